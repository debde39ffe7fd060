import { describe, expect, test } from 'vitest';
import { fromRows } from '../../../reference/matrix.ts';
import {
  drawFirst,
  featureTasks,
  probedFeatures,
  probeTask,
} from '../../../synthetic/metrics/probe-task.ts';
import { createRng } from '../../../synthetic/rng.ts';
import { sparseRows } from '../../../synthetic/sparse-rows.ts';

const range = (from: number, to: number): Int32Array =>
  Int32Array.from({ length: to - from }, (_, i) => from + i);

describe('a task', () => {
  test('has as many negatives as positives, no row twice, and splits the smaller class in half', () => {
    const task = probeTask(0, range(0, 41), range(41, 500), createRng(1));
    expect([task?.train.length, task?.test.length]).toEqual([40, 42]);
    for (const rows of [task?.train ?? [], task?.test ?? []]) {
      rows.forEach((n, i) => expect(n < 41).toBe(i < rows.length / 2));
    }
    const all = [...(task?.train ?? []), ...(task?.test ?? [])];
    expect(new Set(all).size).toBe(all.length);
  });

  test('has at most 512 rows of a class to train on and 1,500 to test', () => {
    const task = probeTask(0, range(0, 5000), range(5000, 9000), createRng(1));
    expect([task?.train.length, task?.test.length]).toEqual([1024, 3000]);
  });

  test('of fewer than ten rows of a class is none', () => {
    expect(probeTask(0, range(0, 9), range(9, 99), createRng(1))).toBeNull();
    expect(probeTask(0, range(0, 90), range(90, 99), createRng(1))).toBeNull();
    expect(probeTask(0, range(0, 10), range(10, 99), createRng(1))?.train.length).toBe(10);
  });

  test('does not depend on which other features are probed', () => {
    const rng = createRng(2);
    const features = sparseRows(
      fromRows(
        Array.from({ length: 100 }, () => [0, 1, 2].map(() => (rng.uniform() < 0.4 ? 1 : 0))),
      ),
    );
    const [, , both] = featureTasks(features, [0, 1, 2], createRng(3));
    const [alone] = featureTasks(features, [2], createRng(3));
    expect(alone).toEqual(both);
    expect(featureTasks(features, [2], createRng(4))[0].train).not.toEqual(alone.train);
  });
});

test('small worlds are probed whole, others in the 24 even-numbered features below 48', () => {
  expect(probedFeatures(20)).toEqual([...Array(20).keys()]);
  expect(probedFeatures(48)).toHaveLength(48);
  expect(probedFeatures(256)).toEqual(Array.from({ length: 24 }, (_, i) => 2 * i));
});

test('drawFirst draws every row equally often to the front', () => {
  const rng = createRng(6);
  const counts = new Array<number>(5).fill(0);
  for (let i = 0; i < 5000; i++) {
    const rows = range(0, 5);
    drawFirst(rows, 2, rng);
    for (const n of rows.subarray(0, 2)) counts[n]++;
  }
  // P = 0.4 each: z < 5.
  for (const count of counts) {
    expect(Math.abs(count - 2000)).toBeLessThan(5 * Math.sqrt(5000 * 0.4 * 0.6));
  }
});

import { describe, expect, test } from 'vitest';
import { fromRows, matrix } from '../../../reference/matrix.ts';
import type { ProbeTask } from '../../../synthetic/metrics/probe-task.ts';
import {
  balancedAccuracy,
  meanDifferences,
  mostTelling,
  sparseProbeAccuracy,
} from '../../../synthetic/metrics/probing.ts';
import { sparseRows } from '../../../synthetic/sparse-rows.ts';

/** Rows 0-39 are on, 40-79 off; even rows train, odd rows test. */
const task: ProbeTask = {
  feature: 0,
  train: Int32Array.from({ length: 40 }, (_, i) => 2 * i),
  test: Int32Array.from({ length: 40 }, (_, i) => 2 * i + 1),
};
const latents = (encode: (on: boolean, n: number) => number[]): ReturnType<typeof sparseRows> =>
  sparseRows(fromRows(Array.from({ length: 80 }, (_, n) => encode(n < 40, n))));

describe('a sparse probe', () => {
  test('of a latent that fires with the feature is right always', () => {
    const z = latents((on, n) => [n % 3, on ? 2 : 0]);
    expect(sparseProbeAccuracy(z, task, 1)).toBe(1);
    expect(sparseProbeAccuracy(z, task, 2)).toBe(1);
  });

  test('of a latent that fires without the feature is right too: its weight is negative', () => {
    expect(
      sparseProbeAccuracy(
        latents((on) => [on ? 0 : 1]),
        task,
        1,
      ),
    ).toBe(1);
  });

  test('of a latent that misses a quarter of the feature is right in 7 of 8 rows', () => {
    // Of four rows in a row two test, 1 and 3: those with n % 8 = 1 are missed.
    const z = latents((on, n) => [on && n % 8 !== 1 && n % 8 !== 0 ? 1 : 0]);
    expect(sparseProbeAccuracy(z, task, 1)).toBe(7 / 8);
  });

  test('needs two latents for a feature that two share', () => {
    const z = latents((on, n) => [on && n < 20 ? 1 : 0, on && n >= 20 ? 1.01 : 0]);
    expect(sparseProbeAccuracy(z, task, 1)).toBe(3 / 4);
    expect(sparseProbeAccuracy(z, task, 2)).toBe(1);
  });

  test('of silent latents says one class for all: ½', () => {
    for (const z of [sparseRows(matrix(80, 3)), sparseRows(matrix(80, 0))]) {
      expect(sparseProbeAccuracy(z, task, 2)).toBe(0.5);
    }
  });

  test('reads all latents where fewer than k exist', () => {
    const z = latents((on) => [on ? 1 : 0]);
    expect(sparseProbeAccuracy(z, task, 5)).toBe(1);
  });
});

test('latents are chosen by the size of their difference of means, the lower of equals', () => {
  const z = latents((on) => [on ? 1 : 0, on ? 0 : 3, on ? 1 : 0, 9]);
  const differences = meanDifferences(z, task);
  [1, -3, 1, 0].forEach((value, l) => expect(differences[l]).toBeCloseTo(value, 12));
  expect(mostTelling(Float64Array.of(1, -3, 1, 0), 2)).toEqual([1, 0]);
});

test('accuracy counts scores above 0 first, and none above 0 after', () => {
  expect(balancedAccuracy(Float64Array.of(1, 0, -1, 2))).toBe(0.5);
  expect(balancedAccuracy(Float64Array.of(1, 1, 0, -1))).toBe(1);
});

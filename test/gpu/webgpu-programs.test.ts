/**
 * Own WebGPU programs at the shapes where workgroups, tiles and dispatches end, against plain loops. Values are small whole
 * numbers, whose sums float32 holds exactly: results must be equal.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { BackendUnavailable, openBackend } from '../../gpu/backend.ts';
import { batchTopK, topK } from '../../gpu/select.ts';
import { createTrainer } from '../../gpu/trainer.ts';
import { adamStep } from '../../gpu/webgpu/adam.ts';
import { flagLargestOfRows } from '../../gpu/webgpu/select-rows.ts';
import { keepLargest } from '../../gpu/webgpu/select.ts';
import { levelDots, levelSums, runningSums } from '../../gpu/webgpu/sparse.ts';
import { matrix, type Matrix } from '../../reference/matrix.ts';
import * as reference from '../../reference/select.ts';
import { trainConfig } from '../../reference/train-config.ts';
import { initialState } from '../../reference/train-step.ts';
import type { Rng } from '../../synthetic/rng.ts';
import { randomMatrix } from './bounds.ts';
import { seeded, upload } from './cases.ts';

const missing = await openBackend('webgpu').then(
  () => null,
  (error: unknown) => {
    const promised = (process.env['MATRYOSHKA_REQUIRE_BACKENDS'] ?? '').split(',');
    if (!(error instanceof BackendUnavailable) || promised.includes('webgpu')) throw error;
    return error.problem.reason;
  },
);
if (missing !== null) test.skip(`WebGPU programs: ${missing}`, () => undefined);

/** Whole numbers of at most ±3, `share` of them not 0. */
function wholes(rows: number, cols: number, share: number, { below, uniform }: Rng): Matrix {
  const value = (): number => (uniform() < share ? (1 + below(3)) * (below(2) === 0 ? -1 : 1) : 0);
  return matrix(rows, cols, Float64Array.from({ length: rows * cols }, value));
}

/** Runs on the device, and disposes everything. */
async function values(compute: () => tf.Tensor): Promise<number[]> {
  const before = tf.memory().numTensors;
  const got = tf.tidy(compute);
  expect(tf.memory().numTensors).toBe(before + 1);
  const data = await got.data<'float32'>();
  got.dispose();
  // -0 is 0 here.
  return Array.from(data, (value) => value + 0);
}

/** Σ_i term(i). */
function sum(length: number, term: (i: number) => number): number {
  let total = 0;
  for (let i = 0; i < length; i++) total += term(i);
  return total + 0;
}

/** Rows, columns, width, ends of columns: of one value, odd, over a tile of 1024 and two chunks of 256. */
const shapes: readonly (readonly [number, number, number, readonly number[]])[] = [
  [1, 1, 1, [1]],
  [1, 7, 3, [1, 2, 7]],
  [5, 33, 257, [32, 33]],
  [3, 2050, 40, [1, 1024, 1025, 2049, 2050]],
];

/** Latents, rows, width, ends of latents: likewise, the tile's edge among rows. */
const byLatent: readonly (readonly [number, number, number, readonly number[]])[] = [
  [1, 1, 1, [1]],
  [7, 1, 3, [1, 2, 7]],
  [12, 9, 257, [11, 12]],
  [5, 2050, 40, [1, 4, 5]],
];

describe.skipIf(missing !== null)('WebGPU programs', () => {
  beforeAll(async () => {
    await openBackend('webgpu');
  });

  test.each([
    [1, 1],
    [1, 7],
    [30, 1],
    [2, 4097],
  ])('select as the reference does, of %d rows of %d', async (rows, cols) => {
    const rng = seeded('select');
    const kinds = [0, 0.3, 1].map((share) => wholes(rows, cols, share, rng));
    for (const acts of [...kinds, randomMatrix(rows, cols, rng.uniform)]) {
      acts.data.forEach((value, i) => (acts.data[i] = Math.max(value, 0)));
      for (const k of [0, cols / 3, cols]) {
        const got = await values(() => batchTopK(upload(acts), k));
        expect(got).toEqual([...reference.batchTopK(acts, k).data]);
        const whole = Math.ceil(k);
        const ofRows = await values(() => topK(upload(acts), whole));
        expect(ofRows).toEqual([...reference.topK(acts, whole).data]);
      }
    }
  });

  test('select from more than 65,535 · 64 values, all the same', async () => {
    const [n, K] = [65_536 * 64 + 1, 3_000_001];
    const kept = await values(() => keepLargest(tf.ones([n]), tf.ones([n]), K));
    expect(kept.findIndex((value) => value !== 1)).toBe(K);
    expect(kept.lastIndexOf(1)).toBe(K - 1);
  });

  test('NaN anywhere makes all of a batch, or of the row, NaN', async () => {
    const acts = wholes(3, 1500, 0.5, seeded('NaN'));
    acts.data[1499] = NaN;
    expect((await values(() => batchTopK(upload(acts), 5))).every(Number.isNaN)).toBe(true);
    expect((await values(() => topK(upload(acts), 5))).every(Number.isNaN)).toBe(true);
  });

  test.each(shapes)(
    'flag the largest of the flagged in %d rows of %d, whatever their sign',
    async (rows, cols) => {
      const rng = seeded('flags');
      const acts = wholes(rows, cols, 0.7, rng);
      const dead = Float32Array.from({ length: cols }, () => rng.below(2));
      for (const K of [1, Math.ceil(cols / 4), cols]) {
        const want = new Float64Array(rows * cols);
        for (let b = 0; b < rows; b++) {
          const at = (j: number): number => acts.data[b * cols + j];
          const order = [...dead.keys()].filter((j) => dead[j] === 1);
          order.sort((i, j) => at(j) - at(i) || i - j);
          for (const j of order.slice(0, K)) want[b * cols + j] = 1;
        }
        const got = await values(() => flagLargestOfRows(upload(acts), tf.tensor1d(dead), K));
        expect(got).toEqual([...want]);
      }
    },
  );

  test.each(shapes)(
    'sum rows of a matrix up to each end: %d rows of %d, width %d',
    async (rows, cols, width, ends) => {
      const rng = seeded('runningSums');
      const terms = wholes(cols, width, 1, rng);
      const start = wholes(1, width, 1, rng);
      for (const share of [0, 0.05, 1]) {
        const a = wholes(rows, cols, share, rng);
        const got = await values(() =>
          runningSums(upload(a), tf.tensor1d([...start.data]), upload(terms), ends),
        );
        const want = ends.flatMap((end) =>
          Array.from({ length: rows * width }, (_, at) => {
            const [b, i] = [Math.floor(at / width), at % width];
            const term = (j: number): number => a.data[b * cols + j] * terms.data[j * width + i];
            return start.data[i] + sum(end, term);
          }),
        );
        expect(got).toEqual(want);
      }
    },
  );

  test.each(byLatent)(
    'sum and multiply by level: %d rows of %d, width %d',
    async (rows, cols, width, ends) => {
      const rng = seeded('levels');
      const terms = ends.map(() => wholes(cols, width, 1, rng));
      const left = wholes(rows, width, 1, rng);
      const stacked = (): tf.Tensor3D => tf.stack(terms.map(upload)) as tf.Tensor3D;
      const level = (j: number): Matrix => terms[ends.findIndex((end) => j < end)];
      for (const share of [0, 0.05, 1]) {
        const a = wholes(rows, cols, share, rng);
        const sums = await values(() => levelSums(upload(a), stacked(), ends));
        expect(sums).toEqual(
          Array.from({ length: rows * width }, (_, at) => {
            const [j, i] = [Math.floor(at / width), at % width];
            return sum(cols, (b) => a.data[j * cols + b] * level(j).data[b * width + i]);
          }),
        );
        const dots = await values(() => levelDots(upload(a), upload(left), stacked(), ends));
        expect(dots).toEqual(
          Array.from(a.data, (value, at) => {
            const [j, b] = [Math.floor(at / cols), at % cols];
            if (value === 0) return 0;
            return sum(width, (i) => left.data[j * width + i] * level(j).data[b * width + i]);
          }),
        );
      }
    },
  );

  test('Adam moves every value of an odd number of them, and no more', async () => {
    const constants = { newM: 0.5, oldV: 0.5, newV: 0.5, rate: 2, root: 1, epsilon: 0 };
    const full = (value: number): tf.Tensor => tf.fill([513], value);
    const moved = (name: 'p' | 'm' | 'v'): Promise<number[]> =>
      values(() => adamStep([full(3), full(0), full(14), full(2)], constants)[name]);
    expect(new Set(await moved('m'))).toEqual(new Set([1]));
    expect(new Set(await moved('v'))).toEqual(new Set([9]));
    for (const value of await moved('p')) expect(value).toBeCloseTo(3 - 2 / 3, 5);
  });

  test('ten steps, five and the same five again, leave the same bits and no tensor behind', async () => {
    const config = trainConfig({
      d_in: 6,
      d_sae: 24,
      k: 1.5,
      steps: 1000,
      prefixes: [8, 24],
      warmupSteps: 2,
      deadAfter: 30,
      thresholdStartStep: 1,
    });
    const { uniform } = seeded('steps');
    const x = Float32Array.from(randomMatrix(9, 6, uniform).data);
    const state = initialState(config, uniform);
    const [one, two] = [createTrainer(config, state), createTrainer(config, state)];
    const before = tf.memory();
    for (let step = 0; step < 5; step++) {
      expect(await one.step(x)).toEqual(await two.step(x));
    }
    expect(tf.memory().numTensors).toBe(before.numTensors);
    expect(tf.memory().numBytes).toBe(before.numBytes);
    expect(await one.download()).toEqual(await two.download());
    one.dispose();
    two.dispose();
  });
});

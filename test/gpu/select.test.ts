import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import { downloadMatrix } from '../../gpu/params.ts';
import { aboveThreshold, batchTopK, selectionScores, topK } from '../../gpu/select.ts';
import { dictionaryLearning } from '../../reference/dialects.ts';
import { relu } from '../../reference/encode.ts';
import { fromRows, matrix, type Matrix } from '../../reference/matrix.ts';
import * as reference from '../../reference/select.ts';
import { gamma, randomMatrix, requireWithin } from './bounds.ts';
import { seeded, upload } from './cases.ts';
import { onEachBackend } from './on-each-backend.ts';

const [rows, d_sae] = [17, 60];

async function run(
  operator: (acts: tf.Tensor2D, k: number, scores?: tf.Tensor2D) => tf.Tensor2D,
  acts: Matrix,
  k: number,
  scores?: Matrix,
): Promise<Matrix> {
  const inputs = [acts, ...(scores === undefined ? [] : [scores])].map(upload);
  const before = tf.memory().numTensors;
  const got = operator(inputs[0], k, inputs[1]);
  expect(tf.memory().numTensors).toBe(before + 1);
  const values = await downloadMatrix(got);
  tf.dispose([got, ...inputs]);
  return values;
}

onEachBackend('selection', (profile) => {
  test.each([0, 0.05, 1, 1.12, 3, 29, 31, d_sae])(
    'batchTopK equals the reference when no two positive acts tie: k = %d',
    async (k) => {
      // About half the acts are 0: k = 29 and 31 lie on both sides of their number.
      const acts = relu(randomMatrix(rows, d_sae, seeded('batchTopK').uniform));
      expect(await run(batchTopK, acts, k)).toEqual(reference.batchTopK(acts, k));
    },
  );

  test.each([0, 1, 7, d_sae])('topK equals the reference in every row: k = %d', async (k) => {
    const acts = relu(randomMatrix(rows, d_sae, seeded('topK').uniform));
    expect(await run(topK, acts, k)).toEqual(reference.topK(acts, k));
  });

  test('what is ranked may differ from what is kept', async () => {
    const { uniform } = seeded('scores');
    const [acts, scores] = [0, 1].map(() => relu(randomMatrix(rows, d_sae, uniform)));
    expect(await run(batchTopK, acts, 2.5, scores)).toEqual(reference.batchTopK(acts, 2.5, scores));
    expect(await run(topK, acts, 4, scores)).toEqual(reference.topK(acts, 4, scores));
  });

  test('among equal acts exactly K are kept, and nothing above the cut is dropped', async () => {
    const { below } = seeded('ties');
    const acts = matrix(
      rows,
      d_sae,
      Float64Array.from({ length: rows * d_sae }, () => below(4)),
    );
    for (const k of [1, 7.3, 20, 44]) {
      const [got, want] = [await run(batchTopK, acts, k), reference.batchTopK(acts, k)];
      expect(got).toEqual(want);
      const row = Math.ceil(k);
      expect(await run(topK, acts, row)).toEqual(reference.topK(acts, row));
    }
  });

  test('batches of several workgroups, ties over their edges among them', async () => {
    const { below, uniform } = seeded('blocks');
    const wide = 4500;
    const few = Float64Array.from({ length: 3 * wide }, () => below(3));
    const many = Float64Array.from({ length: 3 * wide }, () => Math.fround(uniform() - 0.5));
    const tiny = many.map((value) => Math.fround(value * 2 ** -100));
    for (const values of [few, few.map(() => 1), many, tiny]) {
      const acts = relu(matrix(3, wide, values));
      for (const k of [0.4, 1365.4, 2000, wide]) {
        expect(await run(batchTopK, acts, k)).toEqual(reference.batchTopK(acts, k));
      }
      expect(await run(topK, acts, 700)).toEqual(reference.topK(acts, 700));
    }
  });

  test('one act that is not finite makes every latent NaN, also where nothing is selected', async () => {
    for (const value of [NaN, Infinity]) {
      for (const k of [0, 2]) {
        const acts = relu(randomMatrix(rows, d_sae, seeded('poison').uniform));
        acts.data[rows * d_sae - 1] = value;
        const got = await run(batchTopK, acts, k);
        expect(got.data.every(Number.isNaN)).toBe(true);
      }
    }
  });

  test('aboveThreshold is strict, and each row is cut by itself', async () => {
    const acts = fromRows([
      [0.5, 0.25, 0],
      [0.75, 0.5, 0.125],
    ]);
    for (const threshold of [-1, 0, 0.25, 0.5, 2]) {
      const want = reference.aboveThreshold(acts, threshold);
      const at = (a: tf.Tensor2D): tf.Tensor2D => aboveThreshold(a, threshold);
      expect(await run(at, acts, 0)).toEqual(want);
      const scalar = tf.scalar(threshold);
      expect(await run((a) => aboveThreshold(a, scalar), acts, 0)).toEqual(want);
      scalar.dispose();
    }
  });

  test('scores times decoder norm are within the bound of a norm of d_in values', async () => {
    const { uniform } = seeded('norms');
    const acts = relu(randomMatrix(rows, d_sae, uniform));
    const W_dec = randomMatrix(d_sae, 24, uniform);
    const dialect = {
      ...dictionaryLearning,
      select: { score: 'acts-times-decoder-norm' as const },
    };
    const [a, W] = [upload(acts), upload(W_dec)];
    const got = selectionScores(a, W, dialect);
    const want = reference.selectionScores(acts, W_dec, dialect);
    const relative = gamma(24 + 2, profile) / 2 + 2 * profile.u_div + 2 * profile.u_out;
    requireWithin('scores', await downloadMatrix(got), want, (i) => relative * want.data[i]);
    tf.dispose([a, W, got]);
  });

  describe('refuses', () => {
    test('k outside 0..d_sae, scores of another shape, a fractional k for a row', () => {
      const acts = tf.zeros<tf.Rank.R2>([2, 3]);
      const other = tf.zeros<tf.Rank.R2>([3, 2]);
      expect(() => batchTopK(acts, 3.5)).toThrow('0 <= k <= d_sae = 3, got 3.5');
      expect(() => batchTopK(acts, -1)).toThrow('got -1');
      expect(() => batchTopK(acts, NaN)).toThrow('got NaN');
      expect(() => batchTopK(acts, 1, other)).toThrow('(2, 3) like acts, got (3, 2)');
      expect(() => topK(acts, 1.5)).toThrow('whole number for TopK, got 1.5');
      expect(() => aboveThreshold(acts, NaN)).toThrow('threshold: expected a number, got NaN');
      tf.dispose([acts, other]);
    });
  });
});

import { describe, expect, test } from 'vitest';
import { fromRows, map, matrix, type Matrix } from '../../../reference/matrix.ts';
import { rowNorms } from '../../../synthetic/metrics/code.ts';
import { metaSaeExplainedVariance } from '../../../synthetic/metrics/meta-sae.ts';
import { oracle, plantAbsorption } from '../../../synthetic/planted-codes.ts';
import { createRng } from '../../../synthetic/rng.ts';
import { sparseRows } from '../../../synthetic/sparse-rows.ts';
import { nabeshimaTree } from '../../../synthetic/worlds/feature-tree.ts';
import { treeWorld } from '../../../synthetic/worlds/tree-world.ts';

/** Enough for 20 rows. */
const quick = { steps: 300, batch: 64, learningRate: 5e-3 };
const judge = (decoder: Matrix, seed = 1): number | null =>
  metaSaeExplainedVariance(decoder, createRng(seed), quick);

const spread = treeWorld(nabeshimaTree, 2);
const norms = rowNorms(spread.directions);
const directions = map(spread.directions, (value, i) => value / norms[Math.floor(i / 20)]);
const nothing = sparseRows(matrix(1, 20));
const truth = oracle(nothing, directions).W_dec;
const absorbed = plantAbsorption(nothing, directions, spread.edges).W_dec;

describe('a meta-SAE', () => {
  const ofTruth = judge(truth);

  test('explains of 20 orthogonal rows what five dimensions can, 5 of 19, and hardly less', () => {
    expect(ofTruth ?? NaN).toBeLessThanOrEqual(5 / 19 + 1e-12);
    expect(ofTruth ?? NaN).toBeGreaterThan(0.25);
  });

  test('explains far more where children’s rows hold their parents', () => {
    expect(judge(absorbed) ?? NaN).toBeGreaterThan((ofTruth ?? NaN) + 0.2);
  });

  test('explains nearly all of rows that are five, four times each', () => {
    const copies = matrix(20, 20);
    for (let l = 0; l < 20; l++) {
      copies.data.set(directions.data.subarray(20 * (l % 5), 20 * (l % 5) + 20), 20 * l);
    }
    expect(judge(copies) ?? NaN).toBeGreaterThan(0.97);
  });

  test('sees the directions of rows alone, and repeats for the same seed', () => {
    expect(judge(truth)).toBe(ofTruth);
    expect(judge(truth, 2)).not.toBe(ofTruth);
    // Powers of two: no rounding on the way.
    const scaled = map(truth, (value, i) => value * 2 ** (Math.floor(i / 20) % 3));
    expect(judge(scaled)).toBe(ofTruth);
  });

  test('takes nothing from the source of random numbers', () => {
    const rng = createRng(1);
    metaSaeExplainedVariance(truth, rng, { ...quick, steps: 2 });
    expect(rng.uniform()).toBe(createRng(1).uniform());
  });

  test('has fewer than four latents where there are few rows', () => {
    const value = judge(fromRows([[1, 0], [0, 1], [1, 1]])); // prettier-ignore
    expect(Number.isFinite(value)).toBe(true);
  });
});

describe('without variance', () => {
  test('it is 0: equal rows, one row, zero rows', () => {
    expect(judge(fromRows([[0.1, 0.7], [0.1, 0.7], [0.2, 1.4]]))).toBe(0); // prettier-ignore
    expect(judge(fromRows([[3, 1]]))).toBe(0);
    expect(judge(matrix(5, 4))).toBe(0);
  });

  test('and without rows null', () => {
    expect(judge(matrix(0, 4))).toBeNull();
  });
});

test('settings that cannot be are refused', () => {
  const of = (options: object) => () => metaSaeExplainedVariance(truth, createRng(1), options);
  expect(of({ batch: 0 })).toThrow('batch: expected a whole number >= 1, got 0');
  expect(of({ steps: 0 })).toThrow('steps');
  expect(of({ width: 0 })).toThrow('d_sae');
});

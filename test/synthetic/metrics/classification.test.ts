import { describe, expect, test } from 'vitest';
import { fromRows, matrix, type Matrix } from '../../../reference/matrix.ts';
import { classification, type Classification } from '../../../synthetic/metrics/classification.ts';
import { closestFeatures } from '../../../synthetic/metrics/closest-feature.ts';
import { matchLatents } from '../../../synthetic/metrics/mcc.ts';
import { sparseRows } from '../../../synthetic/sparse-rows.ts';

const features = fromRows([
  [1, 0, 0],
  [1, 1, 0],
  [0, 1, 0],
  [0, 0, 0],
]);

function judge(latents: Matrix, on: Matrix, cosine: Matrix): Classification {
  return classification(
    sparseRows(latents),
    sparseRows(on),
    closestFeatures(cosine),
    matchLatents(cosine),
  );
}

describe('classification', () => {
  test('scores each latent on its closest feature; dead latents count as 0', () => {
    const latents = fromRows([
      [1, 0, 0],
      [1, 0, 0],
      [0, 5, 0],
      [1, 0, 0],
    ]);
    const cosine = fromRows([
      [1, 0, 0],
      [0.1, -0.9, 0],
      [0, 0, 1],
    ]);
    const result = judge(latents, features, cosine);
    // Latent 0: TP 2, FP 1, FN 0. Latent 1: TP 1, FP 0, FN 1. Latent 2: dead.
    expect(result.precision).toBeCloseTo((2 / 3 + 1 + 0) / 3, 14);
    expect(result.recall).toBeCloseTo((1 + 0.5 + 0) / 3, 14);
    expect(result.f1).toBeCloseTo((4 / 5 + 2 / 3 + 0) / 3, 14);
    expect(result.accuracy).toBeCloseTo((3 / 4 + 3 / 4 + 1) / 3, 14);
    expect(result.matchedF1).toBeCloseTo((4 / 5 + 2 / 3) / 3, 14);
    expect(result.silentFeatures).toBe(1);
    expect(result.detectors).toEqual([
      { latent: 0, feature: 0, precision: 2 / 3, recall: 1, rate: 3 / 4 },
      { latent: 1, feature: 1, precision: 1, recall: 1 / 2, rate: 1 / 4 },
      { latent: 2, feature: 2, precision: 0, recall: 0, rate: 0 },
    ]);
    expect(result.featureF1).toBeCloseTo((4 / 5 + 2 / 3) / 2, 14);
    expect(result.nearTies).toBe(0);
  });

  test('equal cosines go to the lower feature and are counted, while the matching may differ', () => {
    const latents = fromRows([
      [1, 0],
      [0, 1],
      [0, 1],
      [0, 0],
    ]);
    // Latent 1 lies between both features, as an absorbing child does; latent 0 is the parent.
    const cosine = fromRows([
      [1, 0, 0],
      [0.7, 0.7, 0],
    ]);
    const result = judge(latents, features, cosine);
    expect(result.nearTies).toBe(1);
    expect(result.f1).toBeCloseTo((2 / 3 + 1 / 2) / 2, 14); // latent 1 judged on feature 0
    expect(result.matchedF1).toBeCloseTo((2 / 3 + 1) / 2, 14); // and matched with feature 1
  });

  test('a pointed-at feature that never fires gives F1 0', () => {
    const cosine = fromRows([[0, 0, 1]]);
    const result = judge(fromRows([[1], [0], [0], [0]]), features, cosine);
    expect([result.precision, result.recall, result.f1]).toEqual([0, 0, 0]);
  });

  test('has no value without samples or without latents', () => {
    const cosine = fromRows([[1, 0, 0]]);
    const noSamples = judge(matrix(0, 1), matrix(0, 3), cosine);
    const noLatents = judge(matrix(4, 0), features, matrix(0, 3));
    for (const result of [noSamples, noLatents]) {
      for (const name of ['precision', 'recall', 'f1', 'accuracy', 'matchedF1'] as const) {
        expect(result[name]).toBeNull();
      }
    }
    expect(noSamples.featureF1).toBeNull();
    expect(noSamples.silentFeatures).toBe(3);
    expect(noLatents.featureF1).toBe(0);
  });

  test('refuses as many latents as features that differ in samples', () => {
    expect(() => judge(matrix(3, 1), features, matrix(1, 3))).toThrow('got 4 and 3');
  });
});

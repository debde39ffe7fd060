import { describe, expect, test } from 'vitest';
import { fromRows, matrix } from '../../../reference/matrix.ts';
import { fitLogistic } from '../../../synthetic/metrics/logistic-regression.ts';
import { createRng } from '../../../synthetic/rng.ts';

const sigmoid = (value: number): number => 1 / (1 + Math.exp(-value));

describe('fitLogistic', () => {
  test('two points at ±1: the weight is where it equals 2 C sigmoid(-w), the intercept 0', () => {
    for (const strength of [0.1, 1, 10]) {
      const { weights, intercept } = fitLogistic(fromRows([[1], [-1]]), 1, {
        strength,
        tolerance: 1e-12,
      });
      expect(weights[0]).toBeCloseTo(2 * strength * sigmoid(-weights[0]), 10);
      expect(intercept).toBeCloseTo(0, 10);
    }
  });

  test('at its optimum the gradient is 0, for overlapping classes in 12 dimensions', () => {
    const rng = createRng(4);
    const x = matrix(200, 12);
    for (let i = 0; i < x.data.length; i++) {
      // Columns of sizes from 1 to 100: a method with one step size would crawl.
      x.data[i] = (rng.normal() + (i < 1200 ? 0.3 : 0)) * 10 ** ((2 * (i % 12)) / 11);
    }
    const { weights, intercept } = fitLogistic(x, 100, { tolerance: 1e-8 });
    const gradient = [...weights, 0];
    for (let n = 0; n < 200; n++) {
      let score = intercept;
      weights.forEach((w, i) => (score += w * x.data[n * 12 + i]));
      const slope = sigmoid(score) - (n < 100 ? 1 : 0);
      weights.forEach((_, i) => (gradient[i] += slope * x.data[n * 12 + i]));
      gradient[12] += slope;
    }
    for (const value of gradient) expect(Math.abs(value)).toBeLessThan(1e-7);
  });

  test('without a penalty to hold it, the intercept alone gives the classes’ log odds', () => {
    const { weights, intercept } = fitLogistic(matrix(40, 2), 30, { tolerance: 1e-10 });
    expect([...weights]).toEqual([0, 0]);
    expect(intercept).toBeCloseTo(Math.log(3), 6);
  });

  test('classes far apart neither overflow nor run away', () => {
    const { weights } = fitLogistic(fromRows([[1e4], [1.1e4], [-1e4], [-1.2e4]]), 2);
    expect(weights[0]).toBeGreaterThan(0);
    expect(weights[0]).toBeLessThan(1);
  });

  test('no columns, no rows: nothing to fit', () => {
    expect(fitLogistic(matrix(4, 0), 2)).toEqual({ weights: new Float64Array(0), intercept: 0 });
    expect(fitLogistic(matrix(0, 1), 0).weights).toEqual(new Float64Array(1));
  });
});

import { describe, expect, test } from 'vitest';
import { meanInterval, pairedDifference } from '../../synthetic/bootstrap.ts';
import { createRng } from '../../synthetic/rng.ts';

describe('meanInterval', () => {
  test('of equal values has no width', () => {
    expect(meanInterval([2, 2, 2, 2, 2], 0)).toMatchObject({ mean: 2, low: 2, high: 2 });
  });

  test('of five values of which one is 1 has the binomial’s quantiles', () => {
    // A resample's mean is B(5, 0.2) / 5: P(0) = .328, P(<= 3) = .993, P(<= 2) = .942.
    const interval = meanInterval([0, 0, 1, 0, 0], 1);
    expect(interval).toMatchObject({ low: 0, high: 0.6, kind: 'bootstrap 95 %' });
    expect(interval?.mean).toBeCloseTo(0.2, 14);
  });

  test('of many values is close to mean ± 1.96 standard errors', () => {
    const rng = createRng(2);
    const values = Array.from({ length: 400 }, () => rng.normal());
    const interval = meanInterval(values, 3);
    const mean = values.reduce((sum, v) => sum + v, 0) / 400;
    const error = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0)) / 400;
    // A 2.5 % quantile of 10,000 resamples has standard error about 0.027 standard errors.
    expect(Math.abs((interval?.low ?? NaN) - (mean - 1.96 * error))).toBeLessThan(0.15 * error);
    expect(Math.abs((interval?.high ?? NaN) - (mean + 1.96 * error))).toBeLessThan(0.15 * error);
  });

  test('repeats for the same seed, and moves a little with another', () => {
    const values = [0.31, 0.2, 0.54, 0.28, 0.16, 0.41];
    expect(meanInterval(values, 5)).toEqual(meanInterval(values, 5));
    const [a, b] = [5, 6].map((seed) => meanInterval(values, seed)?.low ?? NaN);
    expect(a).not.toBe(b);
    expect(Math.abs(a - b)).toBeLessThan(0.01);
  });

  test('of fewer than five values is their range, and says so', () => {
    expect(meanInterval([3, 1, 2, 6], 0)).toMatchObject({
      mean: 3,
      low: 1,
      high: 6,
      kind: 'range',
    });
    expect(meanInterval([3, 1, 2, 6, 3], 0)).toMatchObject({ kind: 'bootstrap 95 %' });
  });

  test('has no value without values, and refuses what is not finite', () => {
    expect(meanInterval([], 0)).toBeNull();
    expect(() => meanInterval([1, NaN], 0)).toThrow('expected finite values, got NaN');
  });
});

describe('pairedDifference', () => {
  test('ignores what pairs have in common: a constant shift has no width', () => {
    const a = [10, 200, 3000, 40, 5];
    const shifted = pairedDifference(
      a.map((v) => v - 2),
      a,
      0,
    );
    expect(shifted).toMatchObject({ mean: -2, low: -2, high: -2, effectSize: null });
  });

  test('effect size is the mean over the standard deviation of the differences', () => {
    const result = pairedDifference([2, 4, 6], [1, 1, 1], 0); // 1, 3, 5: mean 3, sd 2
    expect(result?.effectSize).toBeCloseTo(1.5, 14);
    expect(pairedDifference([2], [1], 0)?.effectSize).toBeNull();
  });

  test('refuses lists that are not pairs', () => {
    expect(() => pairedDifference([1, 2], [1], 0)).toThrow('expected pairs, got 2 and 1 values');
    expect(pairedDifference([], [], 0)).toBeNull();
  });
});

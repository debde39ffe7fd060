import { expect, test } from 'vitest';
import { isWithin, METRIC_NOISE, spreadOf } from '../../../synthetic/peers/spread.ts';

test('a spread is the range, widened by t sd / √n: of 1, 2, 3, 4, 5 by 2.776 √2.5 / √5', () => {
  const half = 2.776 * Math.sqrt(0.5);
  const { low, high } = spreadOf([3, 1, 5, 2, 4]);
  expect(low).toBeCloseTo(1 - half, 12);
  expect(high).toBeCloseTo(5 + half, 12);
});

test('two seeds widen it by 12.706 times half their distance', () => {
  // sd = |a - b| / √2, so that sd / √2 is half the distance.
  const { low, high } = spreadOf([0, 2]);
  expect(low).toBeCloseTo(-12.706, 12);
  expect(high).toBeCloseTo(2 + 12.706, 12);
});

test('seeds that end alike leave no room but the noise of float32', () => {
  const spread = spreadOf([0.5, 0.5, 0.5]);
  expect(isWithin(0.5 + 0.9 * METRIC_NOISE, spread)).toBe(true);
  expect(isWithin(0.5 - 0.9 * METRIC_NOISE, spread)).toBe(true);
  expect(isWithin(0.5 + 1.1 * METRIC_NOISE, spread)).toBe(false);
  expect(isWithin(0.5 - 1.1 * METRIC_NOISE, spread)).toBe(false);
});

test.each([[[]], [[1]], [Array.from({ length: 12 }, (_, i) => i)]])(
  'no spread of %j: too few or too many seeds',
  (values: number[]) => {
    expect(() => spreadOf(values)).toThrow(/expected 2 to 11 seeds/);
  },
);

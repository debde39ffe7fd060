/**
 * The spread of a peer's seeds, and whether ours lie in it.
 * @module
 */

/** 97.5 % quantile of Student's t by degrees of freedom, from 1. Abramowitz and Stegun 1964, table 26.10. */
const T_975 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];

/** What float32 leaves of a metric. */
export const METRIC_NOISE = 1e-6;

export interface Spread {
  readonly low: number;
  readonly high: number;
}

/**
 * From the least to the greatest of a few seeds' values, widened on both sides by the half-width of the 95 % t-interval
 * of their mean, t · sd / √n: five seeds seldom show the whole of what a sixth may give.
 * @throws {@link RangeError} for fewer than 2 values or more than 11.
 */
export function spreadOf(values: readonly number[]): Spread {
  const n = values.length;
  if (n < 2 || n - 2 >= T_975.length) {
    throw new RangeError(`spread: expected 2 to ${T_975.length + 1} seeds, got ${n}`);
  }
  const mean = meanOf(values);
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  const half = T_975[n - 2] * Math.sqrt(variance / n);
  return { low: Math.min(...values) - half, high: Math.max(...values) + half };
}

/** Up to {@link METRIC_NOISE}: seeds that all end alike have a spread of nothing. */
export function isWithin(value: number, { low, high }: Spread): boolean {
  return value >= low - METRIC_NOISE && value <= high + METRIC_NOISE;
}

export function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

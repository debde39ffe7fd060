/**
 * How sure a mean over seeds is: percentile bootstrap, 10,000 seeded resamples, 95 %. Fewer than five values carry no
 * such interval; then the range is given, and says so.
 * Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
 * @module
 */
import { quantileOfSorted } from '../gpu/bench/statistics.ts';
import { createRng } from './rng.ts';

export const RESAMPLES = 10_000;
/** Below this many values the range stands in for the interval. */
export const FEWEST_FOR_BOOTSTRAP = 5;

export interface Interval {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
  /** What `low` and `high` are. */
  readonly kind: 'bootstrap 95 %' | 'range';
  readonly values: readonly number[];
}

/** Interval of a mean difference, values paired by seed. */
export interface PairedDifference extends Interval {
  /** mean / standard deviation of the differences; null if they do not vary or are fewer than two. */
  readonly effectSize: number | null;
}

/**
 * @param values - one per seed, finite.
 * @param seed - of the resampling.
 * @returns null for no values.
 * @throws {@link RangeError} if a value is not finite.
 */
export function meanInterval(values: readonly number[], seed: number): Interval | null {
  const bad = values.find((value) => !Number.isFinite(value));
  if (bad !== undefined) throw new RangeError(`meanInterval: expected finite values, got ${bad}`);
  if (values.length === 0) return null;
  const mean = meanOf(values);
  if (values.length < FEWEST_FOR_BOOTSTRAP) {
    return { mean, low: Math.min(...values), high: Math.max(...values), kind: 'range', values };
  }
  const rng = createRng(seed).split('bootstrap');
  const means = new Float64Array(RESAMPLES);
  for (let r = 0; r < RESAMPLES; r++) {
    let sum = 0;
    for (let i = 0; i < values.length; i++) sum += values[rng.below(values.length)];
    means[r] = sum / values.length;
  }
  means.sort();
  return {
    mean,
    low: quantileOfSorted(means, 0.025),
    high: quantileOfSorted(means, 0.975),
    kind: 'bootstrap 95 %',
    values,
  };
}

/**
 * Interval of the mean of a_i - b_i.
 * @throws {@link RangeError} if the lists differ in length: then nothing is paired.
 */
export function pairedDifference(
  a: readonly number[],
  b: readonly number[],
  seed: number,
): PairedDifference | null {
  if (a.length !== b.length) {
    throw new RangeError(
      `pairedDifference: expected pairs, got ${a.length} and ${b.length} values`,
    );
  }
  const differences = a.map((value, i) => value - b[i]);
  const interval = meanInterval(differences, seed);
  if (interval === null) return null;
  const squares = differences.reduce(
    (sum, d) => sum + (d - interval.mean) * (d - interval.mean),
    0,
  );
  const deviation = Math.sqrt(squares / (differences.length - 1));
  return { ...interval, effectSize: deviation > 0 ? interval.mean / deviation : null };
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

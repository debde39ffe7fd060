/**
 * Gaussian correlation of low rank: y = U ε + √δ η with ε, η standard normal has unit variances and correlations U_i · U_j.
 * Source: SAELens 6.54.12, synthetic/correlation.py::generate_random_low_rank_correlation_matrix.
 * @module
 */
import type { Rng } from '../rng.ts';

export interface LowRankCorrelation {
  /** 0 for independent features. */
  readonly rank: number;
  /** U, (features, rank), row-major. */
  readonly factor: Float64Array;
  /** √δ_i = √(1 - |U_i|²), (features). */
  readonly own: Float64Array;
  readonly warnings: readonly string[];
}

/** Least δ; rows of U that leave less are shortened. */
const LEAST_OWN_VARIANCE = 0.01;

export function independent(features: number): LowRankCorrelation {
  return {
    rank: 0,
    factor: new Float64Array(0),
    own: new Float64Array(features).fill(1),
    warnings: [],
  };
}

/** @throws {@link RangeError} if rank is not a whole number >= 1, or scale < 0. */
export function lowRankCorrelation(
  features: number,
  { rank, scale }: { rank: number; scale: number },
  rng: Rng,
): LowRankCorrelation {
  if (!Number.isInteger(rank) || rank < 1) {
    throw new RangeError(`correlation.rank: expected a whole number >= 1, got ${rank}`);
  }
  if (!(scale >= 0 && scale < Infinity)) {
    throw new RangeError(`correlation.scale: expected a number >= 0, got ${scale}`);
  }
  const factor = new Float64Array(features * rank);
  for (let i = 0; i < factor.length; i++) factor[i] = scale * rng.normal();
  const own = new Float64Array(features);
  let shortened = 0;
  for (let f = 0; f < features; f++) {
    const u = factor.subarray(f * rank, (f + 1) * rank);
    let square = u.reduce((sum, value) => sum + value * value, 0);
    if (1 - square < LEAST_OWN_VARIANCE) {
      const by = Math.sqrt((1 - LEAST_OWN_VARIANCE) / square);
      for (let r = 0; r < rank; r++) u[r] *= by;
      square = 1 - LEAST_OWN_VARIANCE;
      shortened++;
    }
    own[f] = Math.sqrt(1 - square);
  }
  const warnings =
    shortened === 0
      ? []
      : [
          `correlation.scale: ${shortened} of ${features} features had correlated variance above ` +
            `${1 - LEAST_OWN_VARIANCE} and were scaled back; lower rank or scale`,
        ];
  return { rank, factor, own, warnings };
}

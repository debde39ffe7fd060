/**
 * Squared error of each prefix, its weight, and their sum.
 *
 * L_g = mean over rows of ‖x̂_g - x‖² (summed over d_in), for g = 0..G with x̂_0 = b_dec alone; tilted, a weighted mean.
 * Every dialect's reconstruction loss is Σ_g c_g L_g; published trainers differ in the coefficients c_g.
 * @module
 */
import { constantRows } from './decode.ts';
import type { Dialect } from './dialects.ts';
import { dot, subtract, type Matrix } from './matrix.ts';
import { rowSquares, rowWeights } from './tilt.ts';

/** Weights w_g of the levels 1..G where the run gives none. */
export function defaultLevelWeights(levels: number, dialect: Dialect): number[] {
  return new Array<number>(levels).fill(
    dialect.loss.defaultWeight === 'one-over-levels' ? 1 / levels : 1,
  );
}

/**
 * c_0..c_G: level weights after the dialect's averages over levels and dimensions; c_0 is 0 unless the empty prefix
 * counts as a level (then its weight is 1). Source: dl `MatryoshkaBatchTopKTrainer.loss`: weighted, then `.mean()`.
 * @param weights - w_1..w_G.
 * @throws {@link RangeError} on a weight that is negative or not finite.
 */
export function levelCoefficients(
  weights: readonly number[],
  d_in: number,
  dialect: Dialect,
): Float64Array {
  const { emptyPrefix, overLevels, overDimensions } = dialect.loss;
  weights.forEach((weight, g) => {
    if (!Number.isFinite(weight) || weight < 0) {
      throw new RangeError(`levelWeights: expected numbers >= 0, got ${weight} at level ${g + 1}`);
    }
  });
  const levels = weights.length + (emptyPrefix ? 1 : 0);
  const share = (overLevels === 'mean' ? 1 / levels : 1) / (overDimensions === 'mean' ? d_in : 1);
  return Float64Array.from([emptyPrefix ? 1 : 0, ...weights], (weight) => weight * share);
}

/**
 * E_0..E_G: reconstruction minus x, for b_dec alone and then for each prefix.
 * @param reconstructions - x̂_1..x̂_G, each (rows, d_in).
 * @returns G + 1 matrices (rows, d_in).
 */
export function levelErrors(
  x: Matrix,
  b_dec: Float64Array,
  reconstructions: readonly Matrix[],
): Matrix[] {
  return [constantRows(b_dec, x.rows), ...reconstructions].map((reconstruction) =>
    subtract(reconstruction, x),
  );
}

/**
 * L_0..L_G from E_0..E_G: squared error summed over d_in, averaged over rows.
 * @param tilt - above 0, rows are weighted: see {@link rowWeights}.
 */
export function levelLosses(errors: readonly Matrix[], tilt = 0): Float64Array {
  return Float64Array.from(errors, (error) =>
    tilt === 0
      ? dot(error.data, error.data) / error.rows
      : dot(rowWeights(error, tilt), rowSquares(error)),
  );
}

/** Σ_g c_g L_g. */
export function reconstructionLoss(losses: Float64Array, coefficients: Float64Array): number {
  return losses.reduce((sum, loss, g) => sum + coefficients[g] * loss, 0);
}

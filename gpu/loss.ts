/**
 * Squared error of each prefix, its weight, and their sum.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import { defaultLevelWeights, levelCoefficients } from '../reference/loss.ts';
import { sumOfSquares } from './product.ts';

export { defaultLevelWeights, levelCoefficients };

/**
 * E_0..E_G: reconstruction minus x, for b_dec alone and then for each prefix. G + 1 tensors (rows, d_in).
 * @param reconstructions - x̂_1..x̂_G, each (rows, d_in).
 */
export function levelErrors(
  x: tf.Tensor2D,
  b_dec: tf.Tensor1D,
  reconstructions: readonly tf.Tensor2D[],
): tf.Tensor2D[] {
  return [b_dec, ...reconstructions].map((reconstruction) => tf.sub(reconstruction, x));
}

/** L_0..L_G from E_0..E_G: squared error summed over d_in, averaged over rows. (G + 1). */
export function levelLosses(errors: readonly tf.Tensor2D[]): tf.Tensor1D {
  return tf.tidy(() =>
    tf.stack(errors.map((error) => tf.div(sumOfSquares(error), error.shape[0]))),
  ) as tf.Tensor1D;
}

/** Σ_g c_g L_g. */
export function reconstructionLoss(losses: tf.Tensor1D, coefficients: Float64Array): tf.Scalar {
  return tf.tidy(() => tf.sum(tf.mul(losses, tf.tensor1d(Float32Array.from(coefficients)))));
}

/**
 * Keeping decoder rows at unit norm: drop the gradient's part parallel to each row, and rescale rows.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import { rowNorms } from './product.ts';

/**
 * g_j ← g_j - (g_j·ŵ_j) ŵ_j with ŵ_j = w_j / (‖w_j‖ + epsilon), for each row j.
 * @param gradient - of W_dec, (d_sae, d_in).
 */
export function projectGradient(
  gradient: tf.Tensor2D,
  W_dec: tf.Tensor2D,
  epsilon: number,
): tf.Tensor2D {
  return tf.tidy(() => {
    const unit = normaliseRows(W_dec, epsilon);
    return tf.sub(gradient, tf.mul(unit, tf.sum(tf.mul(gradient, unit), 1, true)));
  });
}

/** w_j ← w_j / (‖w_j‖ + epsilon). */
export function normaliseRows(W_dec: tf.Tensor2D, epsilon: number): tf.Tensor2D {
  return tf.tidy(() => tf.div(W_dec, tf.add(rowNorms(W_dec), epsilon)));
}

/**
 * Decoder row norms: drop the gradient's part parallel to each row, rescale rows, fold norms away.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import type { SaeTensors } from './params.ts';
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

/**
 * Parameters with unit decoder rows and the same reconstruction: W_enc · n, b_enc · n, W_dec / n, with norms of 1e-8 at
 * least. Latents become acts times decoder norm, and so do thresholds of latents.
 * @param threshold - (d_sae).
 */
export function foldDecoderNorm(
  params: SaeTensors,
  threshold: tf.Tensor1D,
): { params: SaeTensors; threshold: tf.Tensor1D } {
  return tf.tidy(() => {
    const rows = tf.maximum(rowNorms(params.W_dec), 1e-8);
    const norms: tf.Tensor1D = tf.reshape(rows, [-1]);
    return {
      params: {
        W_enc: tf.mul<tf.Tensor2D>(params.W_enc, norms),
        b_enc: tf.mul<tf.Tensor1D>(params.b_enc, norms),
        W_dec: tf.div<tf.Tensor2D>(params.W_dec, rows),
        b_dec: tf.clone(params.b_dec),
      },
      threshold: tf.mul<tf.Tensor1D>(threshold, norms),
    };
  });
}

/**
 * Folding of the number that inputs were multiplied by in training. Estimating it, and what steps do to their inputs, is
 * left to the host.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Dialect } from '../reference/dialects.ts';
import type { SaeTensors } from './params.ts';

/**
 * Parameters and threshold that do on x what the given ones do on x · c, divided by c. Into biases: b_enc / c, b_dec / c
 * and a threshold that was set / c. Into weights: W_enc · c, W_dec / c, b_dec / c, and a threshold in units of rescaled
 * acts / c.
 */
export function foldInputScale(
  params: SaeTensors,
  threshold: tf.Scalar,
  c: number,
  dialect: Dialect,
): { params: SaeTensors; threshold: tf.Scalar } {
  return tf.tidy(() => {
    const b_dec: tf.Tensor1D = tf.div(params.b_dec, c);
    const divided: tf.Scalar = tf.div(threshold, c);
    if (dialect.input.folds === 'into-biases') {
      return {
        params: {
          W_enc: tf.clone(params.W_enc),
          b_enc: tf.div<tf.Tensor1D>(params.b_enc, c),
          W_dec: tf.clone(params.W_dec),
          b_dec,
        },
        threshold: tf.where(tf.greaterEqual(threshold, 0), divided, threshold),
      };
    }
    return {
      params: {
        W_enc: tf.mul<tf.Tensor2D>(params.W_enc, c),
        b_enc: tf.clone(params.b_enc),
        W_dec: tf.div<tf.Tensor2D>(params.W_dec, c),
        b_dec,
      },
      threshold: dialect.select.score === 'acts-times-decoder-norm' ? divided : tf.clone(threshold),
    };
  });
}

/**
 * The inference threshold, kept on the device in float32. Where the reference tests a value and throws, this computes
 * both answers and selects one.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Dialect } from '../reference/dialects.ts';

/**
 * The smallest score among selected latents, or a number above 3e38 if none is selected; NaN if any score is not
 * finite.
 * @param latents - (rows, d_sae), 0 where not selected.
 * @param scores - what was ranked, (rows, d_sae); the latents themselves if left out.
 */
export function smallestSelected(latents: tf.Tensor2D, scores: tf.Tensor2D = latents): tf.Scalar {
  return tf.tidy(() => {
    const selected = tf.step(latents);
    // Selected scores gain exactly 0, all others `none`.
    const smallest = tf.min(tf.add(tf.mul(scores, selected), tf.mul(tf.sub(1, selected), none)));
    const poison = tf.sum(tf.sum(tf.mul(scores, 0), 1)); // 0, or NaN if any score is not finite
    return tf.add(smallest, poison);
  });
}

/** Stands for "none selected"; float32 holds it, and no activation reaches it. */
const none = 3.2e38;

/**
 * First update (threshold still negative) assigns, later ones average: decay · threshold + (1 - decay) · smallest.
 * @param threshold - the value before; negative means never set.
 * @param smallest - of this batch, as {@link smallestSelected} returns it.
 * @returns the new threshold; NaN if the first update has nothing to assign, where the reference throws.
 */
export function updateThreshold(
  threshold: tf.Scalar,
  smallest: tf.Scalar,
  dialect: Dialect,
): tf.Scalar {
  const { first, decay, whenEmpty } = dialect.threshold;
  return tf.tidy(() => {
    const empty = tf.greater(smallest, 3e38);
    const kept: tf.Scalar = tf.mul(threshold, whenEmpty === 'keep' ? 1 : decay);
    const averaged: tf.Scalar = tf.add(tf.mul(threshold, decay), tf.mul(smallest, 1 - decay));
    const later: tf.Scalar = tf.where(empty, kept, averaged);
    if (first === 'average') return later;
    const assigned: tf.Scalar = tf.where(empty, NaN, smallest);
    return tf.where(tf.less(threshold, 0), assigned, later);
  });
}

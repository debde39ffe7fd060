/**
 * How long since each latent fired, and which are dead. Counts are int32, exact where float32 would stop counting at
 * 16.7 million tokens; they stop at 2³⁰ instead of overflowing.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Dialect } from '../reference/dialects.ts';
import { columnSums } from './product.ts';

/** Where counting stops: `deadAfter` has to stay below. */
export const mostSinceFired: number = 2 ** 30;

/**
 * 0 for a latent that is positive in any row, else the old count plus the batch's rows (or 1 where steps are counted).
 * @param sinceFired - (d_sae), int32, in the dialect's unit.
 * @param latents - (rows, d_sae), after selection; none negative.
 */
export function updateSinceFired(
  sinceFired: tf.Tensor1D,
  latents: tf.Tensor2D,
  dialect: Dialect,
): tf.Tensor1D {
  return tf.tidy(() => {
    const silent = tf.lessEqual(columnSums(tf.step(latents)), 0);
    const passed = tf.scalar(countedPerStep(latents.shape[0], dialect), 'int32');
    const counted = tf.minimum(tf.add(sinceFired, passed), tf.scalar(mostSinceFired, 'int32'));
    return tf.mul(counted, tf.cast(silent, 'int32'));
  });
}

/** What one step without firing adds to a count. */
export function countedPerStep(rows: number, dialect: Dialect): number {
  return dialect.deadLatents.unit === 'tokens' ? rows : 1;
}

/** 1 for each dead latent, else 0: (d_sae), float32. Dead: at least `deadAfter`, or above it, as the dialect says. */
export function deadMask(
  sinceFired: tf.Tensor1D,
  deadAfter: number,
  dialect: Dialect,
): tf.Tensor1D {
  return tf.tidy(() =>
    tf.cast(
      tf.greaterEqual(sinceFired, tf.scalar(leastDead(deadAfter, dialect), 'int32')),
      'float32',
    ),
  );
}

/** The smallest whole count that is dead. */
export function leastDead(deadAfter: number, dialect: Dialect): number {
  return dialect.deadLatents.test === 'above' ? Math.floor(deadAfter) + 1 : Math.ceil(deadAfter);
}

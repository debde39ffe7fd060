/**
 * Reconstruction from every prefix in one pass over the latents that are not 0.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import type { SaeTensors } from '../params.ts';
import { runningSums } from './sparse.ts';

/**
 * @param latents - (rows, d_sae).
 * @returns one reconstruction (rows, d_in) for each prefix.
 */
export function decodePrefixes(
  latents: tf.Tensor2D,
  { W_dec, b_dec }: Pick<SaeTensors, 'W_dec' | 'b_dec'>,
  prefixes: readonly number[],
): tf.Tensor2D[] {
  return tf.tidy(() => tf.unstack(runningSums(latents, b_dec, W_dec, prefixes)) as tf.Tensor2D[]);
}

/** latents · W_dec without b_dec: (rows, d_in). */
export function decodeWithoutBias(latents: tf.Tensor2D, W_dec: tf.Tensor2D): tf.Tensor2D {
  return tf.tidy(() => {
    const b_dec = tf.zeros<tf.Rank.R1>([W_dec.shape[1]]);
    return decodePrefixes(latents, { W_dec, b_dec }, [W_dec.shape[0]])[0];
  });
}

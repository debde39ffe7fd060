/**
 * Reconstruction from every prefix, by one running sum over groups: sums over the few latents that are not 0 on the host and
 * on WebGPU, dense products on other devices.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import { groups, requirePrefixes } from '../reference/prefixes.ts';
import type { SaeTensors } from './params.ts';
import { product } from './product.ts';
import { runningSums, sparseRows } from './sparse-rows.ts';
import * as webgpu from './webgpu/decode.ts';
import { onWebgpu } from './webgpu/program.ts';

/**
 * x̂_g = x̂_{g-1} + A_g W_g with x̂_0 = b_dec.
 * @param latents - (rows, d_sae).
 * @returns one reconstruction (rows, d_in) for each prefix; the last is the full one.
 * @throws {@link RangeError} on shapes or prefixes that do not fit.
 */
export function decodePrefixes(
  latents: tf.Tensor2D,
  params: SaeTensors,
  prefixes: readonly number[],
): tf.Tensor2D[] {
  const [d_sae, d_in] = params.W_dec.shape;
  requirePrefixes(prefixes, d_sae);
  if (latents.shape[1] !== d_sae) {
    throw new RangeError(`latents: expected d_sae = ${d_sae} columns, got ${latents.shape[1]}`);
  }
  if (onWebgpu()) return webgpu.decodePrefixes(latents, params, prefixes);
  const rows = latents.shape[0];
  const sparse = sparseRows(latents);
  if (sparse !== null) {
    const [b_dec, W_dec] = [params.b_dec.dataSync<'float32'>(), params.W_dec.dataSync<'float32'>()];
    return runningSums(sparse, b_dec, W_dec, prefixes).map((sum) => tf.tensor2d(sum, [rows, d_in]));
  }
  return tf.tidy(() => {
    let before: tf.Tensor = params.b_dec;
    return groups(prefixes).map(({ start, end }) => {
      const columns = tf.slice(latents, [0, start], [rows, end - start]);
      const part = product(columns, tf.slice(params.W_dec, [start, 0], [end - start, d_in]));
      const sum: tf.Tensor2D = tf.add(part, before);
      before = sum;
      return sum;
    });
  });
}

/** The full reconstruction b_dec + latents · W_dec: (rows, d_sae) → (rows, d_in). */
export function decode(latents: tf.Tensor2D, params: SaeTensors): tf.Tensor2D {
  return decodePrefixes(latents, params, [params.W_dec.shape[0]])[0];
}

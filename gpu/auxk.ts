/**
 * The auxiliary loss that revives dead latents. Differs from the reference in how it counts: how many latents are dead is
 * known only to the device, so the top k_aux of each row is taken over dead latents with all others ranked last, and
 * what is then chosen and not dead is dropped. That is the reference's min(k_aux, dead).
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Dialect } from '../reference/dialects.ts';
import { computesOnHost, cutBelowLargest } from './largest.ts';
import { columnSums, product, sumOfSquares } from './product.ts';
import { scatterRows, selectionScores } from './select.ts';
import { runningSums, sparseRows } from './sparse-rows.ts';
import { tidy } from './tidy.ts';
import { decodeWithoutBias } from './webgpu/decode.ts';
import { onWebgpu } from './webgpu/program.ts';
import { flagLargestOfRows } from './webgpu/select-rows.ts';

export interface Auxk {
  /** Before alpha; 0 if no latent is dead. NaN or infinite if the residual has no variance to divide by. */
  readonly loss: tf.Scalar;
  /** 1 where (row, latent) was chosen, else 0: (rows, d_sae). A chosen value may be 0. */
  readonly chosen: tf.Tensor2D;
  /** The chosen values, 0 elsewhere: (rows, d_sae). */
  readonly latents: tf.Tensor2D;
  /** Gradient of alpha · loss with respect to the auxiliary reconstruction: (rows, d_in). */
  readonly gradient: tf.Tensor2D;
}

/**
 * e = x - x̂_G, ê = chosen latents · W_dec (no b_dec), loss = mean over rows of ‖e - ê‖², scaled as the dialect says.
 * @param residual - e, (rows, d_in).
 * @param values - acts or pre-activations, (rows, d_sae); ranked as they are, or times decoder norm where the dialect
 * selects so.
 * @param dead - (d_sae), 1 for dead, else 0; float32.
 * @param alpha - the loss's weight; scales `gradient` alone.
 */
export function auxk(
  residual: tf.Tensor2D,
  values: tf.Tensor2D,
  W_dec: tf.Tensor2D,
  dead: tf.Tensor1D,
  alpha: number,
  dialect: Dialect,
): Auxk {
  const [rows, d_in] = residual.shape;
  const limit = dialect.auxk.k === 'half-d_in' ? Math.floor(d_in / 2) : dialect.auxk.k;
  return tidy(() => {
    const scores = selectionScores(values, W_dec, dialect);
    const chosen = chooseDead(scores, dead, Math.min(limit, values.shape[1]));
    const latents: tf.Tensor2D = tf.mul(values, chosen);
    const reconstruction = reconstruct(latents, W_dec); // ê
    const miss: tf.Tensor2D = tf.sub(reconstruction, residual);
    let factor = auxkScale(residual, dead, dialect);
    if (dialect.auxk.whenNothingDecodes === 'is-zero') {
      factor = tf.mul(factor, tf.any(tf.notEqual(reconstruction, 0)));
    }
    return {
      loss: tf.mul(factor, tf.div(sumOfSquares(miss), rows)),
      chosen,
      latents,
      gradient: tf.mul(miss, tf.mul(factor, (2 * alpha) / rows)),
    };
  });
}

/** ê = latents · W_dec: (rows, d_in). */
function reconstruct(latents: tf.Tensor2D, W_dec: tf.Tensor2D): tf.Tensor2D {
  if (onWebgpu()) return decodeWithoutBias(latents, W_dec);
  const sparse = sparseRows(latents);
  if (sparse === null) return product(latents, W_dec);
  const [d_sae, d_in] = W_dec.shape;
  const zero = new Float32Array(d_in);
  const [sum] = runningSums(sparse, zero, W_dec.dataSync<'float32'>(), [d_sae]);
  return tf.tensor2d(sum, [latents.shape[0], d_in]);
}

/** What the mean squared error is multiplied by; 0 if no latent is dead. */
function auxkScale(residual: tf.Tensor2D, dead: tf.Tensor1D, dialect: Dialect): tf.Scalar {
  const [rows, d_in] = residual.shape;
  const { normaliser, overDimensions, scale } = dialect.auxk;
  const count: tf.Scalar = tf.sum(dead);
  let factor: tf.Scalar = tf.scalar(overDimensions === 'mean' ? 1 / d_in : 1);
  if (scale === 'dead-fraction') {
    factor = tf.mul(factor, tf.minimum(tf.div(count, Math.floor(d_in / 2)), 1));
  }
  if (normaliser === 'residual-variance') {
    const mean = tf.div(columnSums(residual), rows);
    const variance = tf.div(sumOfSquares(tf.sub(residual, mean)), rows);
    factor = tf.div(factor, variance);
  }
  return tf.where(tf.greater(count, 0), factor, 0);
}

/** 1 for the `count` largest values of each row among dead latents, fewer where fewer are dead: (rows, d_sae). */
function chooseDead(values: tf.Tensor2D, dead: tf.Tensor1D, count: number): tf.Tensor2D {
  const [rows, d_sae] = values.shape;
  if (count === 0) return tf.zeros([rows, d_sae]);
  if (computesOnHost()) return chooseDeadOnHost(values, dead, count);
  if (onWebgpu()) return flagLargestOfRows(values, dead, count);
  // Dead ones keep their value exactly, all others fall below every value.
  const last = tf.mul(tf.sub(dead, 1), 3e38);
  const { indices } = tf.topk(tf.add(tf.mul(values, dead), last), count, false);
  const flags = tf.reshape(tf.gather(dead, tf.reshape(indices, [-1])), [rows, count]);
  return scatterRows(indices as tf.Tensor2D, flags as tf.Tensor2D, d_sae);
}

function chooseDeadOnHost(values: tf.Tensor2D, dead: tf.Tensor1D, limit: number): tf.Tensor2D {
  const [rows, d_sae] = values.shape;
  const flags = dead.dataSync<'float32'>();
  const candidates = Int32Array.from(flags.keys()).filter((j) => flags[j] === 1);
  const chosen = new Float32Array(rows * d_sae);
  const count = Math.min(limit, candidates.length);
  if (count === 0) return tf.tensor2d(chosen, [rows, d_sae]);
  const data = values.dataSync<'float32'>();
  const ranked = new Float32Array(candidates.length);
  for (let b = 0; b < rows; b++) {
    for (let i = 0; i < candidates.length; i++) ranked[i] = data[b * d_sae + candidates[i]];
    const cut = cutBelowLargest(ranked, count);
    let room = cut.room;
    for (let i = 0; i < candidates.length; i++) {
      const takes = ranked[i] > cut.value || (ranked[i] === cut.value && room-- > 0);
      if (takes) chosen[b * d_sae + candidates[i]] = 1;
    }
  }
  return tf.tensor2d(chosen, [rows, d_sae]);
}

/**
 * Re-ordering latents, so that those which explain most, or fire most often, come first and fall into more prefixes.
 * Source: nb `sae.py`, `MatryoshkaSAE.step`; li `autoresearch/sae.py FiringFrequencyTracker.update`, `iterable_decode`.
 * @module
 */
import type { Dialect } from './dialects.ts';
import { rowNorms } from './decoder-norm.ts';
import { map, matrix, type Matrix } from './matrix.ts';
import type { SaeParams } from './params.ts';

/** q_j ← decay · q_j + (1 - decay) · mean_b (a_bj ‖w_j‖)². @param average - q, (d_sae). @param latents - (rows, d_sae). */
export function updateMeanSquares(
  average: Float64Array,
  latents: Matrix,
  W_dec: Matrix,
  dialect: Dialect,
): Float64Array {
  const { decay } = dialect.latentOrder;
  const norms = rowNorms(W_dec);
  const sums = new Float64Array(latents.cols);
  for (let i = 0; i < latents.data.length; i++) {
    const j = i % latents.cols;
    const value = latents.data[i] * norms[j];
    sums[j] += value * value;
  }
  return average.map((old, j) => decay * old + (1 - decay) * (sums[j] / latents.rows));
}

/**
 * p_j ← decay · p_j + (1 - decay) · share of rows in which latent j is not 0.
 * @param average - p, (d_sae); undefined before the first batch, whose shares it starts as.
 * @param latents - (rows, d_sae).
 */
export function updateFrequencies(
  average: Float64Array | undefined,
  latents: Matrix,
  dialect: Dialect,
): Float64Array {
  const { decay } = dialect.latentOrder;
  const counts = new Float64Array(latents.cols);
  latents.data.forEach((latent, i) => {
    if (latent !== 0) counts[i % latents.cols]++;
  });
  const shares = counts.map((count) => count / latents.rows);
  return average?.map((old, j) => decay * old + (1 - decay) * shares[j]) ?? shares;
}

/**
 * Latents by average, largest first; equal ones in the order they were (torch.argsort promises none).
 * @returns order[j] is the latent that comes to place j: (d_sae).
 */
export function latentOrder(average: Float64Array): Uint32Array {
  const indices = [...average.keys()];
  return Uint32Array.from(indices.sort((i, j) => average[j] - average[i] || i - j));
}

/**
 * The parameters with latent order[j] at place j: rows of W_dec, columns of W_enc, entries of b_enc
 * and of JumpReLU's thresholds.
 * @throws {@link RangeError} unless `order` holds each latent once.
 */
export function reorderLatents(params: SaeParams, order: Uint32Array): SaeParams {
  const { W_enc, W_dec, threshold } = params;
  const inRange = order.every((j) => j < W_dec.rows);
  if (order.length !== W_dec.rows || new Set(order).size !== order.length || !inRange) {
    throw new RangeError(
      `order: expected each of ${W_dec.rows} latents once, got [${order.join(', ')}]`,
    );
  }
  const encoder = matrix(W_enc.rows, W_enc.cols);
  const decoder = matrix(W_dec.rows, W_dec.cols);
  for (let j = 0; j < order.length; j++) {
    for (let i = 0; i < W_enc.rows; i++) {
      encoder.data[i * W_enc.cols + j] = W_enc.data[i * W_enc.cols + order[j]];
      decoder.data[j * W_dec.cols + i] = W_dec.data[order[j] * W_dec.cols + i];
    }
  }
  return {
    ...params,
    W_enc: encoder,
    W_dec: decoder,
    b_enc: params.b_enc.map((_, j) => params.b_enc[order[j]]),
    ...(threshold === undefined ? {} : { threshold: threshold.map((_, j) => threshold[order[j]]) }),
  };
}

/** Column order[j] at place j. @param values - (rows, d_sae). */
export function reorderColumns(values: Matrix, order: Uint32Array): Matrix {
  return map(values, (_, i) => {
    const j = i % values.cols;
    return values.data[i - j + order[j]];
  });
}

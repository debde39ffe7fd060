/**
 * Decoder row norms: drop the gradient's part parallel to each row, rescale rows, fold norms away.
 * @module
 */
import { addScaled, dot, map, matrix, norm, row, type Matrix } from './matrix.ts';
import type { SaeParams } from './params.ts';

/**
 * g_j ← g_j - (g_j·ŵ_j) ŵ_j with ŵ_j = w_j / (‖w_j‖ + epsilon), for each row j.
 * With dl's epsilon 1e-6 about 2e-6 of the parallel part stays.
 * Source: dl `trainers/trainer.py`, `remove_gradient_parallel_to_decoder_directions`.
 * @param gradient - of W_dec, (d_sae, d_in).
 */
export function projectGradient(gradient: Matrix, W_dec: Matrix, epsilon: number): Matrix {
  const unit = normaliseRows(W_dec, epsilon);
  const out = matrix(gradient.rows, gradient.cols, gradient.data.slice());
  for (let j = 0; j < out.rows; j++) {
    addScaled(row(out, j), row(unit, j), -dot(row(gradient, j), row(unit, j)));
  }
  return out;
}

/**
 * w_j ← w_j / (‖w_j‖ + epsilon). A zero row stays zero as long as epsilon is not.
 * Source: dl `trainers/trainer.py`, `set_decoder_norm_to_unit_norm`.
 * @throws {@link RangeError} on a zero row where epsilon is 0 (the published code returns NaN).
 */
export function normaliseRows(W_dec: Matrix, epsilon: number): Matrix {
  const out = matrix(W_dec.rows, W_dec.cols, W_dec.data.slice());
  for (let j = 0; j < out.rows; j++) {
    const length = norm(row(W_dec, j)) + epsilon;
    if (length === 0) {
      throw new RangeError(`W_dec: expected rows of a norm above 0 to rescale, got 0 in row ${j}`);
    }
    const values = row(out, j);
    for (let i = 0; i < values.length; i++) values[i] /= length;
  }
  return out;
}

/** ‖w_j‖ of each row: (d_sae). */
export function rowNorms(W_dec: Matrix): Float64Array {
  return Float64Array.from({ length: W_dec.rows }, (_, j) => norm(row(W_dec, j)));
}

/**
 * Norms that {@link foldDecoderNorm} divides by, at least 1e-8, so that a zero row stays finite.
 * Source: sl `saes/sae.py`, `get_W_dec_norm`.
 */
function foldableNorms(W_dec: Matrix): Float64Array {
  return rowNorms(W_dec).map((length) => Math.max(length, 1e-8));
}

/**
 * Parameters with unit decoder rows and the same reconstruction: W_enc · n, b_enc · n, W_dec / n. Latents become acts
 * times decoder norm, and so do JumpReLU's thresholds. Source: sl `saes/topk_sae.py`, `_fold_norm_topk`;
 * `saes/jumprelu_sae.py`, `fold_W_dec_norm`.
 */
export function foldDecoderNorm(params: SaeParams): SaeParams {
  const norms = foldableNorms(params.W_dec);
  const { threshold } = params;
  return {
    W_enc: map(params.W_enc, (w, i) => w * norms[i % norms.length]),
    b_enc: params.b_enc.map((b, j) => b * norms[j]),
    W_dec: map(params.W_dec, (w, i) => w / norms[Math.floor(i / params.W_dec.cols)]),
    b_dec: params.b_dec,
    ...(threshold === undefined ? {} : { threshold: threshold.map((t, j) => t * norms[j]) }),
  };
}

/**
 * Gradients of the total loss for the four parameters, derived by hand.
 *
 * The selection is a constant (not a straight-through estimator). Every level g or later acts on a latent of group g
 * through one accumulated residual, the suffix sum T_g = Σ_{h >= g} R_h with R_h = (2 c_h / rows) E_h, so no level needs
 * a backward pass of its own.
 * @module
 */
import type { Auxk } from './auxk.ts';
import type { Dialect } from './dialects.ts';
import { encoderInput } from './encode.ts';
import {
  addScaled,
  columnSums,
  dot,
  matrix,
  multiplyTransposed,
  row,
  scale,
  transpose,
  type Matrix,
} from './matrix.ts';
import type { SaeParams } from './params.ts';
import { groups } from './prefixes.ts';

export interface Forward {
  /** (rows, d_in). */
  readonly x: Matrix;
  /** (rows, d_sae), before ReLU. */
  readonly pre: Matrix;
  /** (rows, d_sae), after selection. */
  readonly latents: Matrix;
  /** E_0..E_G, each (rows, d_in). */
  readonly errors: readonly Matrix[];
  readonly auxk: Auxk;
}

/** T_0..T_G from E_0..E_G: what each level's latents, and b_dec (T_0), receive. Each (rows, d_in). */
export function suffixSums(errors: readonly Matrix[], coefficients: Float64Array): Matrix[] {
  const sums = errors.map((error, g) => scale(error, (2 * coefficients[g]) / error.rows));
  for (let g = sums.length - 2; g >= 0; g--) addScaled(sums[g].data, sums[g + 1].data, 1);
  return sums;
}

/**
 * ∂W_dec row j = Σ_b a[b,j] T_g[b];  δ[b,j] = T_g[b]·w_j where selected;  ∂W_enc = (x - b_dec)ᵀ δ;  ∂b_enc = Σ_b δ[b];
 * ∂b_dec = Σ_b T_0[b] - W_enc Σ_b δ[b]: b_dec acts through the decoder and through the encoder's input.
 * @param coefficients - c_0..c_G.
 * @returns gradients with the parameters' shapes.
 */
export function gradients(
  forward: Forward,
  params: SaeParams,
  prefixes: readonly number[],
  coefficients: Float64Array,
  dialect: Dialect,
): SaeParams {
  const { x, pre, latents } = forward;
  const sums = suffixSums(forward.errors, coefficients);
  if (dialect.auxk.residual === 'attached') {
    // e = x - x̂_G is then no constant, and x̂_G belongs to every level's latents and to b_dec.
    for (const sum of sums) addScaled(sum.data, forward.auxk.gradient.data, 1);
  }

  const W_dec = matrix(params.W_dec.rows, params.W_dec.cols);
  const delta = matrix(latents.rows, latents.cols); // gradient at the pre-activations
  const addLatent = (b: number, j: number, latent: number, upstream: Matrix): void => {
    const d_in = x.cols;
    for (let i = 0; i < d_in; i++) {
      const received = upstream.data[b * d_in + i];
      W_dec.data[j * d_in + i] += latent * received;
      delta.data[b * delta.cols + j] += received * params.W_dec.data[j * d_in + i];
    }
  };

  groups(prefixes).forEach((group, g) => {
    for (let b = 0; b < latents.rows; b++) {
      for (let j = group.start; j < group.end; j++) {
        const latent = latents.data[b * latents.cols + j];
        if (latent > 0) addLatent(b, j, latent, sums[g + 1]);
      }
    }
  });
  for (let i = 0; i < pre.data.length; i++) {
    // Of chosen acts only positive ones pass ReLU; pre-activations pass whatever their sign.
    const passes = dialect.auxk.values === 'pre-activations' || pre.data[i] > 0;
    if (forward.auxk.chosen[i] === 0 || !passes) continue;
    const b = Math.floor(i / latents.cols);
    addLatent(b, i % latents.cols, forward.auxk.latents.data[i], forward.auxk.gradient);
  }

  const b_enc = columnSums(delta);
  const b_dec = columnSums(sums[0]);
  if (dialect.encode.subtractsDecoderBias) {
    for (let i = 0; i < b_dec.length; i++) b_dec[i] -= dot(row(params.W_enc, i), b_enc);
  }
  return {
    // δᵀ (x - b_dec), transposed, is the same product and skips the zeros of δ.
    W_enc: transpose(multiplyTransposed(delta, encoderInput(x, params, dialect))),
    b_enc: dialect.encode.usesEncoderBias ? b_enc : new Float64Array(b_enc.length),
    W_dec,
    b_dec,
  };
}

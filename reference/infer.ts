/**
 * What a trained SAE does: latents of x, and x̂ from them. Nothing here depends on prefixes; a shorter prefix is the same
 * latents with the rest set to 0.
 * @module
 */
import { decode } from './decode.ts';
import { foldDecoderNorm, rowNorms } from './decoder-norm.ts';
import type { Dialect } from './dialects.ts';
import { preActivations, relu } from './encode.ts';
import { normaliseInput } from './input-norm.ts';
import { jumpRelu } from './jump-relu.ts';
import { map, type Matrix } from './matrix.ts';
import type { SaeParams } from './params.ts';
import { refine } from './refine.ts';
import { aboveThreshold } from './select.ts';

export interface Inferred {
  /** (rows, d_sae), in the dialect's units: acts, or acts times decoder norm. */
  readonly latents: Matrix;
  /** (rows, d_in), in the units of x. */
  readonly reconstruction: Matrix;
}

/**
 * Each row by itself: input normalised, encoded, gated by the threshold, by each latent's own, or not at all; decoded and
 * taken back to the units of x. Where the input is scaled by a running mean, latents are taken back too (nb `get_acts`).
 * Source: dl `MatryoshkaBatchTopKSAE.encode`; bm `compute_activations` in eval mode; sl `JumpReLUSAE.encode` of what
 * training exports; nb `MatryoshkaSAE.get_acts`.
 * @param x - (rows, d_in).
 * @param threshold - the one that training estimated; not read by dialects without.
 * @param meanNorm - the running mean of row norms that training ended with; not read by dialects without.
 * @param firstThreshold - that of the first selection; not read by dialects that refine nothing.
 * @throws {@link RangeError} as {@link preActivations}, and where thresholds are needed and missing.
 */
export function infer(
  x: Matrix,
  params: SaeParams,
  threshold: number,
  dialect: Dialect,
  meanNorm: number = 0,
  firstThreshold?: number,
): Inferred {
  const input = normaliseInput(x, meanNorm, dialect, false);
  const rescaled = dialect.inference.values === 'acts-times-decoder-norm';
  // A threshold is in units of rescaled acts, so the norms go into the encoder; without one they come last.
  const folds = rescaled && dialect.inference.gate !== 'none';
  const model = folds ? foldDecoderNorm(params) : params;
  let pre = preActivations(input.x, model, dialect);
  if (dialect.encode.refinement > 0) {
    if (firstThreshold === undefined) {
      throw new RangeError('firstThreshold: expected that of the first selection, got none');
    }
    const first = gate(pre, model, firstThreshold, dialect);
    pre = refine(pre, first, input.x, model, dialect).pre;
  }
  const acts = gate(pre, model, threshold, dialect);
  const reconstruction = input.restore(decode(acts, model));
  const norms = rowNorms(params.W_dec);
  const latents = rescaled && !folds ? map(acts, (act, i) => act * norms[i % norms.length]) : acts;
  const perUnit = dialect.input.normaliser === 'running-mean-norm';
  return { latents: perUnit ? input.restore(latents) : latents, reconstruction };
}

function gate(pre: Matrix, params: SaeParams, threshold: number, dialect: Dialect): Matrix {
  switch (dialect.inference.gate) {
    case 'none':
      return relu(pre);
    case 'threshold':
      return aboveThreshold(relu(pre), threshold);
    case 'latent-thresholds': {
      if (params.threshold === undefined) {
        throw new RangeError('params: expected a threshold for each latent, got none');
      }
      // Thresholds below 0 need not be kept at 0 here: ReLU drops what only they let pass.
      return relu(jumpRelu(pre, params.threshold));
    }
  }
}

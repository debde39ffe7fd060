/**
 * How far right gradients may be from the reference's, and what both are computed from.
 * @module
 */
import type { LevelAuxk } from '../../reference/auxk.ts';
import { decodePrefixes } from '../../reference/decode.ts';
import { dictionaryLearning } from '../../reference/dialects.ts';
import type { Forward } from '../../reference/gradients.ts';
import { levelCoefficients, levelErrors } from '../../reference/loss.ts';
import { matrix } from '../../reference/matrix.ts';
import type { SaeParams } from '../../reference/params.ts';
import { groups } from '../../reference/prefixes.ts';
import { largestMagnitude, productSum, underflow, type Profile } from '../error-model.ts';
import type { Call } from '../kernel.ts';
import { numbersOf, toMatrix, toParams } from '../tensors.ts';
import { prefixErrors } from './decode-bounds.ts';
import { divisionRoundings, elementwise } from './loss.ts';

/** The names of what the operator returns. */
export const gradientNames = ['grad.W_enc', 'grad.b_enc', 'grad.W_dec', 'grad.b_dec'] as const;

export type GradientBounds = Record<(typeof gradientNames)[number], Float64Array>;

/** What the reference's gradients are computed from. */
export interface GradientInputs {
  readonly forward: Forward;
  readonly params: SaeParams;
  readonly prefixes: readonly number[];
  readonly coefficients: Float64Array;
}

export function inputsOf(call: Call): GradientInputs {
  const params = toParams(call.inputs);
  const prefixes = numbersOf(call, 'prefixes');
  const x = toMatrix(call.inputs.x);
  const latents = toMatrix(call.inputs.latents);
  const auxkLatents = toMatrix(call.inputs.auxk_latents);
  // Of pre-activations only the sign counts, and selected values are positive.
  const pre = latents.data.map((latent, i) => latent + auxkLatents.data[i]);
  const auxk: LevelAuxk = {
    level: prefixes.length,
    loss: 0, // no gradient depends on it
    chosen: Uint8Array.from(auxkLatents.data, (value) => (value > 0 ? 1 : 0)),
    latents: auxkLatents,
    gradient: toMatrix(call.inputs.auxk_gradient),
  };
  const errors = levelErrors(x, params.b_dec, decodePrefixes(latents, params, prefixes));
  return {
    forward: { x, pre: matrix(latents.rows, latents.cols, pre), latents, errors, auxk: [auxk] },
    params,
    prefixes,
    coefficients: levelCoefficients(numbersOf(call, 'level_weights'), x.cols, dictionaryLearning),
  };
}

/**
 * The profile for laws that compare a kernel's answers with one another and are not about x - b_dec: what x and b_dec
 * leave of each other is charged as if both were multiplied apart, however the kernel forms it.
 */
export function apart(profile: Profile): Profile {
  return { ...profile, splitEncode: true };
}

/**
 * One pass of magnitudes and errors along the equations of reference/gradients.ts, with
 * P_g = Σ_{h>=g} (|R_h| + e_R), which bounds |T_g| and also what a kernel meets that adds up levels one by one:
 *
 * - E_g as in decode, x being one more term; R = (2 w/G/rows) E: three products and two divisions, w rounded to float32.
 * - T_g: e_T = Σ e_R + u-growth(G) P_g.
 * - δ = T·w: e_δ = Σ e_T|w| + ρ(d_in · G) D, where D = Σ P|w| + e_δ bounds |δ|.
 * - ∂W_dec = Σ_b a T: Σ a e_T + ρ(rows · G) Σ a P.
 * - ∂W_enc = Σ_b X δ, X = x - b_dec: Σ (e_X D + |X| e_δ) + ρ(2 n G + 2) Σ |X| D, counting x and b_dec apart in each of
 *   the n rows where the latent is active.
 * - ∂b_enc = Σ_b δ and ∂b_dec = Σ_b T - W_enc Σ_b δ: likewise, the latter a sum over all rows and active latents.
 */
export function gradientBounds(call: Call, profile: Profile): GradientBounds {
  const { forward, params, prefixes, coefficients } = inputsOf(call);
  const { x, latents, errors } = forward;
  const [auxk] = forward.auxk;
  const { W_enc, W_dec, b_dec } = params;
  const [rows, d_in, d_sae, levels] = [x.rows, x.cols, latents.cols, prefixes.length];
  const tiny = (n: number, ...operands: Float64Array[]): number =>
    underflow(2 * n, largestMagnitude(...operands), profile);

  const errorsE = prefixErrors({ latents, W_dec, b_dec }, prefixes, profile, x.data);
  const scaleRounding = elementwise(4 + 2 * divisionRoundings, profile);
  const P = new Float64Array(rows * d_in); // for level g, then g - 1, and so on down to the first
  const errorT = new Float64Array(rows * d_in);
  const D = new Float64Array(rows * d_sae);
  const errorDelta = new Float64Array(rows * d_sae);
  const active = new Uint32Array(d_sae);
  const out = {
    'grad.W_enc': new Float64Array(d_in * d_sae),
    'grad.b_enc': new Float64Array(d_sae),
    'grad.W_dec': new Float64Array(d_sae * d_in),
    'grad.b_dec': new Float64Array(d_in),
  };

  /** Latent j of row b with what it receives: ∂W_dec and δ. */
  const addLatent = (at: number, value: number, size: Float64Array, error: Float64Array): void => {
    const b = Math.floor(at / d_sae);
    const j = at % d_sae;
    active[j]++;
    const own = size.subarray(b * d_in, (b + 1) * d_in);
    const weights = W_dec.data.subarray(j * d_in, (j + 1) * d_in);
    let sum = 0;
    for (let i = 0; i < d_in; i++) {
      sum += own[i] * Math.abs(weights[i]);
      errorDelta[at] += error[b * d_in + i] * Math.abs(weights[i]);
      out['grad.W_dec'][j * d_in + i] +=
        value * error[b * d_in + i] +
        productSum(rows * levels, profile) * value * own[i] +
        tiny(levels, Float64Array.of(value), own);
    }
    errorDelta[at] += productSum(d_in * levels, profile) * sum + tiny(d_in * levels, own, weights);
    D[at] += sum + errorDelta[at];
  };

  for (const [g, { start, end }] of [...groups(prefixes).entries()].reverse()) {
    const scale = (2 * coefficients[g + 1]) / rows;
    for (let i = 0; i < P.length; i++) {
      const E = Math.abs(errors[g + 1].data[i]);
      const e = errorsE[g * rows * d_in + i];
      const errorR = scale * (e + scaleRounding * (E + e)) + underflow(16, Math.max(1, E), profile);
      P[i] += scale * E + errorR;
      errorT[i] += errorR;
    }
    const rounding = elementwise(levels, profile);
    const error = errorT.map((e, i) => e + rounding * P[i]);
    for (let at = 0; at < D.length; at++) {
      const j = at % d_sae;
      const latent = latents.data[at];
      if (j >= start && j < end && latent > 0) addLatent(at, latent, P, error);
    }
    if (g === 0) errorT.set(error);
  }
  const exact = new Float64Array(rows * d_in);
  const Q = auxk.gradient.data.map(Math.abs);
  auxk.latents.data.forEach((value, at) => {
    if (value > 0) addLatent(at, value, Q, exact);
  });

  const sumD = new Float64Array(d_sae);
  const sumErrors = new Float64Array(d_sae);
  for (let at = 0; at < D.length; at++) {
    const j = at % d_sae;
    sumD[j] += D[at];
    sumErrors[j] += errorDelta[at];
    if (D[at] === 0) continue;
    for (let i = 0; i < d_in; i++) {
      const value = x.data[Math.floor(at / d_sae) * d_in + i];
      const apart = Math.abs(value) + Math.abs(b_dec[i]);
      const X = profile.splitEncode ? apart : Math.abs(value - b_dec[i]);
      const errorX = elementwise(1, profile) * X + underflow(3, 1, profile);
      out['grad.W_enc'][i * d_sae + j] +=
        errorX * D[at] +
        (X + errorX) * errorDelta[at] +
        productSum(2 * active[j] * levels + 2, profile) * (X + errorX) * D[at] +
        tiny(2 * levels + 2, Float64Array.of(X, D[at]));
    }
  }
  const terms = rows * levels * (d_sae + 1) + 1;
  for (let j = 0; j < d_sae; j++) {
    const rounding = elementwise(active[j] * levels, profile);
    out['grad.b_enc'][j] = sumErrors[j] + rounding * sumD[j] + underflow(2 * active[j], 1, profile);
  }
  for (let i = 0; i < d_in; i++) {
    const weights = W_enc.data.subarray(i * d_sae, (i + 1) * d_sae).map(Math.abs);
    let error = 0;
    let size = 0;
    for (let b = 0; b < rows; b++) {
      error += errorT[b * d_in + i];
      size += P[b * d_in + i];
    }
    for (let j = 0; j < d_sae; j++) {
      error += weights[j] * sumErrors[j];
      size += weights[j] * sumD[j];
    }
    out['grad.b_dec'][i] = error + productSum(terms, profile) * size + tiny(terms, weights, sumD);
  }
  return out;
}

/**
 * Gradients of the total loss for the four parameters, derived by hand; no tape records the forward pass. On the host
 * and on WebGPU loops visit the selected latents alone; on other devices products are dense, one per group, and a mask of
 * the selected latents stands where the reference skips what is not selected.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Dialect } from '../reference/dialects.ts';
import { groups } from '../reference/prefixes.ts';
import type { Auxk } from './auxk.ts';
import { encoderInput } from './encode.ts';
import type { SaeTensors } from './params.ts';
import { columnSums, product } from './product.ts';
import { addGradients, sparseRows } from './sparse-rows.ts';
import { tidy } from './tidy.ts';
import { gradientsByLatent, type Term } from './webgpu/gradients.ts';
import { onWebgpu } from './webgpu/program.ts';

export interface Forward {
  /** (rows, d_in). */
  readonly x: tf.Tensor2D;
  /** (rows, d_sae), before ReLU. */
  readonly pre: tf.Tensor2D;
  /** (rows, d_sae), after selection. */
  readonly latents: tf.Tensor2D;
  /** E_0..E_G, each (rows, d_in). */
  readonly errors: readonly tf.Tensor2D[];
  /** null where it is known that no latent is dead. */
  readonly auxk: Auxk | null;
}

/** T_0..T_G from E_0..E_G: what each level's latents, and b_dec (T_0), receive. Each (rows, d_in). */
export function suffixSums(
  errors: readonly tf.Tensor2D[],
  coefficients: Float64Array,
): tf.Tensor2D[] {
  return tidy(() => {
    const sums: tf.Tensor2D[] = [];
    for (let g = errors.length - 1; g >= 0; g--) {
      const own: tf.Tensor2D = tf.mul(errors[g], (2 * coefficients[g]) / errors[g].shape[0]);
      sums.unshift(sums.length === 0 ? own : tf.add(own, sums[0]));
    }
    return sums;
  });
}

/**
 * ∂W_dec row j = Σ_b a[b,j] T_g[b];  δ[b,j] = T_g[b]·w_j where selected;  ∂W_enc = (x - b_dec)ᵀ δ;  ∂b_enc = Σ_b δ[b];
 * ∂b_dec = Σ_b T_0[b] - W_enc Σ_b δ[b].
 * @param coefficients - c_0..c_G.
 * @returns gradients with the parameters' shapes.
 */
export function gradients(
  forward: Forward,
  params: SaeTensors,
  prefixes: readonly number[],
  coefficients: Float64Array,
  dialect: Dialect,
): SaeTensors {
  return tidy(() => {
    const sums = upstream(forward, coefficients, dialect);
    const { W_enc, b_enc, W_dec } = onWebgpu()
      ? webgpuGradients(forward, params, prefixes, sums, dialect)
      : (sparseGradients(forward, params, prefixes, sums, dialect) ??
        denseGradients(forward, params, prefixes, sums, dialect));
    const b_dec = columnSums(sums[0]);
    return {
      W_enc,
      b_enc: dialect.encode.usesEncoderBias ? b_enc : tf.zerosLike(b_enc),
      W_dec,
      b_dec: dialect.encode.subtractsDecoderBias
        ? tf.sub(b_dec, tf.reshape(product(params.W_enc, tf.expandDims(b_enc, 1)), b_dec.shape))
        : b_dec,
    };
  });
}

/** All but b_dec's, which needs Σ_b δ[b]: b_enc here even if the dialect does not train it. */
type WithoutDecoderBias = Omit<SaeTensors, 'b_dec'>;

function upstream(forward: Forward, coefficients: Float64Array, dialect: Dialect): tf.Tensor2D[] {
  const sums = suffixSums(forward.errors, coefficients);
  const { auxk } = forward;
  if (auxk === null || dialect.auxk.residual === 'detached') return sums;
  return sums.map((sum) => tf.add(sum, auxk.gradient));
}

/** On the host and where latents are few enough, else null. */
function sparseGradients(
  forward: Forward,
  params: SaeTensors,
  prefixes: readonly number[],
  sums: readonly tf.Tensor2D[],
  dialect: Dialect,
): WithoutDecoderBias | null {
  const latents = sparseRows(forward.latents);
  const { auxk } = forward;
  // Of chosen acts only positive ones pass ReLU; pre-activations pass whatever their sign.
  const dead =
    auxk && sparseRows(auxk.latents, dialect.auxk.values === 'acts' ? auxk.latents : auxk.chosen);
  if (latents === null || (auxk !== null && dead === null)) return null;
  const [d_sae, d_in] = params.W_dec.shape;
  const out = {
    W_encTransposed: new Float32Array(d_sae * d_in),
    b_enc: new Float32Array(d_sae),
    W_dec: new Float32Array(d_sae * d_in),
  };
  const input = encoderInput(forward.x, params, dialect).dataSync<'float32'>();
  const W_dec = params.W_dec.dataSync<'float32'>();
  const levels = sums.slice(1).map((sum) => sum.dataSync<'float32'>());
  addGradients(out, latents, levels, prefixes, input, W_dec);
  if (auxk !== null && dead !== null) {
    addGradients(out, dead, [auxk.gradient.dataSync<'float32'>()], [d_sae], input, W_dec);
  }
  return {
    W_enc: tf.transpose(tf.tensor2d(out.W_encTransposed, [d_sae, d_in])),
    b_enc: tf.tensor1d(out.b_enc),
    W_dec: tf.tensor2d(out.W_dec, [d_sae, d_in]),
  };
}

function webgpuGradients(
  { x, latents, auxk }: Forward,
  params: SaeTensors,
  prefixes: readonly number[],
  sums: readonly tf.Tensor2D[],
  dialect: Dialect,
): WithoutDecoderBias {
  const terms: Term[] = [{ latents, passes: latents, upstream: sums.slice(1), ends: prefixes }];
  if (auxk !== null) {
    terms.push({
      latents: auxk.latents,
      passes: dialect.auxk.values === 'acts' ? auxk.latents : auxk.chosen,
      upstream: [auxk.gradient],
      ends: [params.W_dec.shape[0]],
    });
  }
  return tidy(() => gradientsByLatent(terms, encoderInput(x, params, dialect), params.W_dec));
}

function denseGradients(
  forward: Forward,
  params: SaeTensors,
  prefixes: readonly number[],
  sums: readonly tf.Tensor2D[],
  dialect: Dialect,
): WithoutDecoderBias {
  const { latents, auxk } = forward;
  const rows = latents.shape[0];
  const d_in = params.W_dec.shape[1];
  return tidy(() => {
    const parts = groups(prefixes).map(({ start, end }, g) => {
      const columns = tf.slice(latents, [0, start], [rows, end - start]);
      const W_group = tf.slice(params.W_dec, [start, 0], [end - start, d_in]);
      return {
        W_dec: product(columns, sums[g + 1], true),
        acts: product(sums[g + 1], W_group, false, true),
      };
    });
    let W_dec = concatenate(
      parts.map((part) => part.W_dec),
      0,
    );
    // The gradient at the pre-activations: (rows, d_sae).
    let delta: tf.Tensor2D = tf.mul(
      tf.step(latents),
      concatenate(
        parts.map((part) => part.acts),
        1,
      ),
    );
    if (auxk !== null) {
      const passes: tf.Tensor2D =
        dialect.auxk.values === 'acts' ? tf.step(auxk.latents) : auxk.chosen;
      const received = product(auxk.gradient, params.W_dec, false, true);
      delta = tf.add(delta, tf.mul(passes, received));
      W_dec = tf.add(W_dec, product(auxk.latents, auxk.gradient, true));
    }
    const W_enc = product(encoderInput(forward.x, params, dialect), delta, true);
    return { W_enc, b_enc: columnSums(delta), W_dec };
  });
}

/** A single part as it is: concatenating it would copy it. */
function concatenate(parts: tf.Tensor2D[], axis: 0 | 1): tf.Tensor2D {
  return parts.length === 1 ? parts[0] : tf.concat(parts, axis);
}

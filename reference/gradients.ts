/**
 * Gradients of the total loss for the parameters, derived by hand.
 *
 * The selection is a constant (not a straight-through estimator). Every level g or later acts on a latent of group g
 * through one accumulated residual, the suffix sum T_g = Σ_{h >= g} R_h with R_h = (2 c_h / rows) E_h, so no level needs
 * a backward pass of its own.
 * @module
 */
import type { LevelAuxk } from './auxk.ts';
import type { Dialect } from './dialects.ts';
import { encoderInput } from './encode.ts';
import { jumpReluGradient, stepGradient, type StraightThrough } from './jump-relu.ts';
import {
  addScaled,
  columnSums,
  dot,
  map,
  matrix,
  multiplyTransposed,
  row,
  scale,
  transpose,
  type Matrix,
} from './matrix.ts';
import type { SaeParams } from './params.ts';
import type { Penalty } from './penalty.ts';
import { groups } from './prefixes.ts';
import { refinementGradient, type Refinement } from './refine.ts';
import { rowWeights } from './tilt.ts';

export interface Forward {
  /** What the SAE was given: (rows, d_in). */
  readonly x: Matrix;
  /** (rows, d_sae), before ReLU. */
  readonly pre: Matrix;
  /** (rows, d_sae), after selection. */
  readonly latents: Matrix;
  /** E_0..E_G, each (rows, d_in). */
  readonly errors: readonly Matrix[];
  readonly auxk: readonly LevelAuxk[];
  /** Where pre-activations were refined: `pre` are those after it. */
  readonly refinement?: Refinement | null;
  /** The sparsity penalty, if there is one, and what it is multiplied by. */
  readonly penalty?: { readonly penalty: Penalty; readonly coefficient: number };
}

const plain = { innerLevels: 'attached', tilt: 0 } as const;

/**
 * T_0..T_G from E_0..E_G: what each level's latents, and b_dec (T_0), receive. Each (rows, d_in).
 * @param loss - with detached inner levels, T_g = R_g but for T_0: later levels do not train a level's latents. Tilted,
 *   R_g weighs rows as the loss does.
 */
export function suffixSums(
  errors: readonly Matrix[],
  coefficients: Float64Array,
  { innerLevels, tilt }: Pick<Dialect['loss'], 'innerLevels' | 'tilt'> = plain,
): Matrix[] {
  const sums = errors.map((error, g) =>
    tilt === 0
      ? scale(error, (2 * coefficients[g]) / error.rows)
      : tilted(error, 2 * coefficients[g], tilt),
  );
  if (innerLevels === 'detached') {
    for (const own of sums.slice(1)) addScaled(sums[0].data, own.data, 1);
    return sums;
  }
  for (let g = sums.length - 2; g >= 0; g--) addScaled(sums[g].data, sums[g + 1].data, 1);
  return sums;
}

/** slope · w_b · E[b]. */
function tilted(error: Matrix, slope: number, tilt: number): Matrix {
  const weights = rowWeights(error, tilt);
  return map(error, (value, i) => slope * weights[Math.floor(i / error.cols)] * value);
}

/**
 * ∂a[b,j] = T_g[b]·w_j, and the penalty's part;  δ = ∂a where selected (of JumpReLU: straight through);
 * ∂W_dec row j = Σ_b a[b,j] T_g[b], and the penalty's part;  ∂W_enc = (x - b_dec)ᵀ δ;  ∂b_enc = Σ_b δ[b];
 * ∂b_dec = Σ_b T_0[b] - W_enc Σ_b δ[b]: b_dec acts through the decoder and through the encoder's input. Where
 * pre-activations were refined, δ is what the first ones receive, and parameters receive more: {@link refinementGradient}.
 * @param coefficients - c_0..c_G.
 * @returns gradients with the parameters' shapes.
 * @throws {@link RangeError} on a refinement under trained thresholds, of which the first selection has none.
 */
export function gradients(
  forward: Forward,
  params: SaeParams,
  prefixes: readonly number[],
  coefficients: Float64Array,
  dialect: Dialect,
): SaeParams {
  const { x, pre, latents, auxk, penalty } = forward;
  const { innerLevels } = dialect.loss;
  const sums = suffixSums(forward.errors, coefficients, dialect.loss);
  if (dialect.auxk.residual === 'attached') {
    // e = x - x̂_g is then no constant, and x̂_g belongs to b_dec and to the latents of groups up to g.
    for (const { gradient, level } of auxk) {
      for (const [g, sum] of sums.slice(0, level + 1).entries()) {
        const hears = innerLevels === 'attached' || g === 0 || g === level;
        if (hears) addScaled(sum.data, gradient.data, 1);
      }
    }
  }

  const W_dec = matrix(params.W_dec.rows, params.W_dec.cols);
  // JumpReLU's thresholds hear of latents that are 0, too.
  const everywhere = params.threshold !== undefined;
  const received = receivedByLatents(sums, params.W_dec, prefixes, latents, W_dec, everywhere);
  if (penalty !== undefined) {
    addScaled(W_dec.data, penalty.penalty.W_dec.data, penalty.coefficient);
    addScaled(received.data, penalty.penalty.latents.data, penalty.coefficient);
  }

  const gated = throughSelection(received, forward, params, dialect);
  let delta = gated.pre; // gradient at the pre-activations
  for (const term of auxk) addAuxk(term, pre, params.W_dec, W_dec, delta, dialect);
  const { refinement = null } = forward;
  if (refinement !== null && everywhere) {
    throw new RangeError(
      'params: expected no trained thresholds where pre-activations are refined',
    );
  }
  const again = refinement && refinementGradient(delta, refinement, params, dialect);
  if (again !== null) delta = again.pre;

  const b_enc = columnSums(delta);
  const b_dec = columnSums(sums[0]);
  if (dialect.encode.subtractsDecoderBias) {
    for (let i = 0; i < b_dec.length; i++) b_dec[i] -= dot(row(params.W_enc, i), b_enc);
  }
  // δᵀ (x - b_dec), transposed, is the same product and skips the zeros of δ.
  const W_enc = transpose(multiplyTransposed(delta, encoderInput(x, params, dialect)));
  if (again !== null) {
    addScaled(W_enc.data, again.W_enc.data, 1);
    addScaled(W_dec.data, again.W_dec.data, 1);
    addScaled(b_dec, again.b_dec, 1);
  }
  return {
    W_enc,
    b_enc: dialect.encode.usesEncoderBias ? b_enc : new Float64Array(b_enc.length),
    W_dec,
    b_dec,
    ...(gated.threshold === undefined ? {} : { threshold: gated.threshold }),
  };
}

/** T_g[b]·w_j for each latent that is not 0, or for every one; and Σ_b a[b,j] T_g[b] added to `W_dec`. */
function receivedByLatents(
  sums: readonly Matrix[],
  weights: Matrix,
  prefixes: readonly number[],
  latents: Matrix,
  W_dec: Matrix,
  everywhere: boolean,
): Matrix {
  const received = matrix(latents.rows, latents.cols);
  groups(prefixes).forEach((group, g) => {
    for (let b = 0; b < latents.rows; b++) {
      const upstream = row(sums[g + 1], b);
      for (let j = group.start; j < group.end; j++) {
        const latent = latents.data[b * latents.cols + j];
        if (latent === 0 && !everywhere) continue;
        received.data[b * latents.cols + j] = dot(upstream, row(weights, j));
        addScaled(row(W_dec, j), upstream, latent);
      }
    }
  });
  return received;
}

/** From latents to pre-activations: where selected; of JumpReLU, straight through its gate and the counts of L0. */
function throughSelection(
  received: Matrix,
  { pre, latents, penalty }: Forward,
  params: SaeParams,
  dialect: Dialect,
): { pre: Matrix; threshold?: Float64Array } {
  const { threshold } = params;
  if (threshold === undefined) {
    return { pre: map(received, (value, i) => (latents.data[i] > 0 ? value : 0)) };
  }
  const count = countGradient(pre, latents, threshold, penalty, dialect);
  const ofLatents = dialect.jumpRelu.counts === 'latents';
  if (count !== null && ofLatents) addScaled(received.data, count.input.data, 1);
  const gate = jumpReluGradient(pre, threshold, received, dialect);
  if (count !== null) addScaled(gate.threshold, count.threshold, 1);
  if (count !== null && !ofLatents) addScaled(gate.input.data, count.input.data, 1);
  return { pre: gate.input, threshold: gate.threshold };
}

/** What an L0 penalty's counts 1[z > θ] pass back to z and θ; null without one. */
function countGradient(
  pre: Matrix,
  latents: Matrix,
  threshold: Float64Array,
  penalty: Forward['penalty'],
  dialect: Dialect,
): StraightThrough | null {
  if (penalty === undefined || penalty.penalty.count === 0) return null;
  const counted = dialect.jumpRelu.counts === 'latents' ? latents : pre;
  const atCount = penalty.coefficient * penalty.penalty.count;
  return stepGradient(
    counted,
    threshold,
    map(counted, () => atCount),
    dialect,
  );
}

/** Adds what dead latents that were chosen receive. */
function addAuxk(
  term: LevelAuxk,
  pre: Matrix,
  weights: Matrix,
  W_dec: Matrix,
  delta: Matrix,
  dialect: Dialect,
): void {
  for (let i = 0; i < pre.data.length; i++) {
    // Of chosen acts only positive ones pass ReLU; pre-activations pass whatever their sign.
    const passes = dialect.auxk.values === 'pre-activations' || pre.data[i] > 0;
    if (term.chosen[i] === 0 || !passes) continue;
    const j = i % pre.cols;
    const upstream = row(term.gradient, Math.floor(i / pre.cols));
    addScaled(row(W_dec, j), upstream, term.latents.data[i]);
    delta.data[i] += dot(upstream, row(weights, j));
  }
}

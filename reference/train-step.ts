/**
 * One training step: the order of everything.
 *
 * encode → select → threshold → decode every prefix → losses → tokens since fired → auxk → gradients → project → clip →
 * Adam → unit decoder rows. Order is part of a dialect: the fields `decoderNorm.project`, `decoderNorm.normalise` and
 * `deadLatents.mask` move what published trainers place differently.
 * Source: dl `MatryoshkaBatchTopKTrainer.update`.
 * @module
 */
import { adamUpdate, clipGradients, gradientNorm, learningRate, type Schedule } from './adam.ts';
import { auxk, type Auxk } from './auxk.ts';
import { deadMask, updateSinceFired } from './dead-latents.ts';
import { decodePrefixes } from './decode.ts';
import { normaliseRows, projectGradient } from './decoder-norm.ts';
import type { Dialect } from './dialects.ts';
import { preActivations, relu } from './encode.ts';
import { geometricMedian } from './geometric-median.ts';
import { gradients as gradientsOf } from './gradients.ts';
import { levelCoefficients, levelErrors, levelLosses, reconstructionLoss } from './loss.ts';
import { subtract, type Matrix } from './matrix.ts';
import { initialiseParams, zeroParams, type SaeParams } from './params.ts';
import { batchTopK, selectionScores, topK } from './select.ts';
import { smallestSelected, updateThreshold } from './threshold.ts';

/** One run's settings; made and checked by `trainConfig` in train-config.ts. */
export interface TrainConfig extends Schedule {
  readonly dialect: Dialect;
  readonly d_in: number;
  readonly d_sae: number;
  /** Mean latents kept per row; may be fractional when selecting over the batch. */
  readonly k: number;
  /** Select over the whole batch (BatchTopK) or in each row (TopK). */
  readonly selection: 'batch' | 'row';
  /** m_1..m_G; one prefix for a plain SAE. */
  readonly prefixes: readonly number[];
  /** w_1..w_G. */
  readonly levelWeights: readonly number[];
  readonly auxkAlpha: number;
  /** In the dialect's unit (tokens or steps). */
  readonly deadAfter: number;
  /** The threshold is updated in steps after this one. */
  readonly thresholdStartStep: number;
}

/** All that one step hands to the next. */
export interface TrainState {
  /** Steps done. */
  readonly step: number;
  readonly params: SaeParams;
  /** Adam's first and second moments. */
  readonly m: SaeParams;
  readonly v: SaeParams;
  readonly threshold: number;
  /** (d_sae), in the dialect's unit. */
  readonly sinceFired: Float64Array;
}

export interface StepResult {
  readonly state: TrainState;
  /** (rows, d_sae), before selection. */
  readonly acts: Matrix;
  /** (rows, d_sae), after it. */
  readonly latents: Matrix;
  /** One (rows, d_in) per prefix. */
  readonly reconstructions: readonly Matrix[];
  /** L_0..L_G. */
  readonly levelLosses: Float64Array;
  /** Σ c_g L_g. */
  readonly reconstructionLoss: number;
  /** Its loss is before alpha. */
  readonly auxk: Auxk;
  /** reconstructionLoss + alpha · auxk.loss. */
  readonly loss: number;
  /** 1 for each latent that auxk took for dead. (d_sae). */
  readonly dead: Uint8Array;
  /** As derived, before projection and clipping. */
  readonly gradients: SaeParams;
  /** The gradients that were clipped: W_dec's projected, where the dialect projects before. */
  readonly projected: SaeParams;
  /** What Adam receives. */
  readonly clippedGradients: SaeParams;
  /** The parameters as Adam left them, before decoder rows are rescaled. */
  readonly updated: SaeParams;
  /** Before clipping. */
  readonly gradientNorm: number;
  readonly learningRate: number;
}

/** State before the first step. @param uniform - draws from [0, 1). */
export function initialState(config: TrainConfig, uniform: () => number): TrainState {
  const { d_in, d_sae, dialect } = config;
  return {
    step: 0,
    params: initialiseParams(d_in, d_sae, uniform, dialect),
    m: zeroParams(d_in, d_sae),
    v: zeroParams(d_in, d_sae),
    threshold: dialect.threshold.start,
    sinceFired: new Float64Array(d_sae),
  };
}

/**
 * @param x - (rows, d_in).
 * @throws {@link RangeError} on shapes that do not fit, values that are not finite, and what the operators refuse.
 */
export function trainStep(state: TrainState, x: Matrix, config: TrainConfig): StepResult {
  const { dialect, prefixes } = config;
  const { step } = state;
  let params = state.params;
  if (step === 0 && dialect.initialise.b_dec === 'geometric-median') {
    params = { ...params, b_dec: geometricMedian(x) };
  }

  const pre = preActivations(x, params, dialect);
  const acts = relu(pre);
  const scores = selectionScores(acts, params.W_dec, dialect);
  const select = config.selection === 'batch' ? batchTopK : topK;
  const latents = select(acts, config.k, scores);

  let threshold = state.threshold;
  if (step > config.thresholdStartStep) {
    threshold = updateThreshold(threshold, smallestSelected(latents, scores), dialect);
  }

  const reconstructions = decodePrefixes(latents, params, prefixes);
  const errors = levelErrors(x, params.b_dec, reconstructions);
  const losses = levelLosses(errors);
  const coefficients = levelCoefficients(config.levelWeights, config.d_in, dialect);
  const reconstruction = reconstructionLoss(losses, coefficients);

  const sinceFired = updateSinceFired(state.sinceFired, latents, dialect);
  const counts = dialect.deadLatents.mask === 'this-step' ? sinceFired : state.sinceFired;
  const dead = deadMask(counts, config.deadAfter, dialect);
  const residual = subtract(x, reconstructions[reconstructions.length - 1]);
  const values = dialect.auxk.values === 'acts' ? acts : pre;
  const aux = auxk(residual, values, params.W_dec, dead, config.auxkAlpha, dialect);

  const gradients = gradientsOf(
    { x, pre, latents, errors, auxk: aux },
    params,
    prefixes,
    coefficients,
    dialect,
  );
  const { project, projectEpsilon, normalise, normaliseEpsilon } = dialect.decoderNorm;
  const withoutParallel = (g: SaeParams): SaeParams => ({
    ...g,
    W_dec: projectGradient(g.W_dec, params.W_dec, projectEpsilon),
  });
  const normalised = (p: SaeParams): SaeParams => ({
    ...p,
    W_dec: normaliseRows(p.W_dec, normaliseEpsilon),
  });
  const projected = project === 'before-clip' ? withoutParallel(gradients) : gradients;
  let update = clipGradients(projected, dialect.clip.maxNorm);
  if (project === 'after-clip') update = withoutParallel(update);
  if (normalise === 'before-update') params = normalised(params);

  const rate = learningRate(step, config, dialect);
  const adam = adamUpdate(params, update, state.m, state.v, step, rate, dialect);
  return {
    state: {
      step: step + 1,
      params: normalise === 'after-update' ? normalised(adam.params) : adam.params,
      m: adam.m,
      v: adam.v,
      threshold,
      sinceFired,
    },
    acts,
    latents,
    reconstructions,
    levelLosses: losses,
    reconstructionLoss: reconstruction,
    auxk: aux,
    loss: reconstruction + config.auxkAlpha * aux.loss,
    dead,
    gradients,
    projected,
    clippedGradients: update,
    updated: adam.params,
    gradientNorm: gradientNorm(projected),
    learningRate: rate,
  };
}

/**
 * One training step: the order of everything, as in the reference. State stays on the device, and nothing is read back
 * while the step is computed; a caller reads the report once.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import type { TrainConfig } from '../reference/train-step.ts';
import { adamUpdate, clipGradients, gradientNorm, learningRate } from './adam.ts';
import { auxk, type Auxk } from './auxk.ts';
import { countedPerStep, deadMask, leastDead, updateSinceFired } from './dead-latents.ts';
import { decodePrefixes } from './decode.ts';
import { normaliseRows, projectGradient } from './decoder-norm.ts';
import { preActivations, relu } from './encode.ts';
import { geometricMedian } from './geometric-median.ts';
import { gradients as gradientsOf } from './gradients.ts';
import { computesOnHost } from './largest.ts';
import { levelCoefficients, levelErrors, levelLosses, reconstructionLoss } from './loss.ts';
import type { SaeTensors } from './params.ts';
import { requireSupported } from './supported.ts';
import { batchTopK, selectionScores, topK } from './select.ts';
import { tidy } from './tidy.ts';
import { smallestSelected, updateThreshold } from './threshold.ts';
import { disposeState, type TrainStateTensors } from './train-state.ts';

/** Fields as in the reference's StepResult; scalars are tensors. */
export interface StepTensors {
  readonly state: TrainStateTensors;
  /** (rows, d_sae). */
  readonly latents: tf.Tensor2D;
  /** One (rows, d_in) per prefix. */
  readonly reconstructions: readonly tf.Tensor2D[];
  /** L_0..L_G: (G + 1). */
  readonly levelLosses: tf.Tensor1D;
  readonly reconstructionLoss: tf.Scalar;
  /** Its loss is before alpha. null where the host knows that no latent is dead. */
  readonly auxk: Auxk | null;
  readonly loss: tf.Scalar;
  /** 1 for each latent that auxk took for dead, else 0: (d_sae), float32. */
  readonly dead: tf.Tensor1D;
  /** As derived, before projection and clipping. */
  readonly gradients: SaeTensors;
  /** What Adam receives. */
  readonly clippedGradients: SaeTensors;
  /** Before clipping. */
  readonly gradientNorm: tf.Scalar;
  readonly learningRate: number;
}

/**
 * @param state - not changed and not disposed.
 * @param x - (rows, d_in), float32.
 * @throws {@link RangeError} on shapes that do not fit, and {@link UsageError} on a decision this port does not make.
 * Values that are not finite, and what else the reference refuses, come out as a loss or threshold that is NaN:
 * see `readReport`.
 */
export function trainStep(
  state: TrainStateTensors,
  x: tf.Tensor2D,
  config: TrainConfig,
): StepTensors {
  requireSupported(config);
  return tidy(() => step(state, x, config));
}

function step(state: TrainStateTensors, x: tf.Tensor2D, config: TrainConfig): StepTensors {
  const { dialect, prefixes } = config;
  let params = state.params;
  if (state.step === 0 && dialect.initialise.b_dec === 'geometric-median') {
    params = { ...params, b_dec: geometricMedian(x) };
  }

  const pre = preActivations(x, params, dialect);
  const acts = relu(pre);
  const scores =
    dialect.select.score === 'acts' ? acts : selectionScores(acts, params.W_dec, dialect);
  const select = config.selection === 'batch' ? batchTopK : topK;
  const latents = select(acts, config.k, scores);

  let threshold = tf.clone(state.threshold);
  if (state.step > config.thresholdStartStep) {
    const ranked = scores === acts ? latents : scores;
    threshold = updateThreshold(threshold, smallestSelected(latents, ranked), dialect);
  }

  const reconstructions = decodePrefixes(latents, params, prefixes);
  const errors = levelErrors(x, params.b_dec, reconstructions);
  const losses = levelLosses(errors);
  const coefficients = levelCoefficients(config.levelWeights, config.d_in, dialect);
  const reconstruction = reconstructionLoss(losses, coefficients);

  const sinceFired = updateSinceFired(state.sinceFired, latents, dialect);
  const thisStep = dialect.deadLatents.mask === 'this-step';
  const dead = deadMask(thisStep ? sinceFired : state.sinceFired, config.deadAfter, dialect);
  const sinceFiredAtMost = state.sinceFiredAtMost + countedPerStep(x.shape[0], dialect);
  let aux: Auxk | null = null;
  if (mayBeDead(dead, thisStep ? sinceFiredAtMost : state.sinceFiredAtMost, config)) {
    const values = dialect.auxk.values === 'acts' ? acts : pre;
    const residual: tf.Tensor2D = tf.neg(errors[errors.length - 1]);
    aux = auxk(residual, values, params.W_dec, dead, config.auxkAlpha, dialect);
  }

  const gradients = gradientsOf(
    { x, pre, latents, errors, auxk: aux },
    params,
    prefixes,
    coefficients,
    dialect,
  );
  const updated = update(state, params, gradients, config);
  return {
    state: {
      step: state.step + 1,
      params: updated.params,
      m: updated.m,
      v: updated.v,
      threshold,
      sinceFired,
      sinceFiredAtMost,
    },
    latents,
    reconstructions,
    levelLosses: losses,
    reconstructionLoss: reconstruction,
    auxk: aux,
    loss:
      aux === null
        ? tf.clone(reconstruction)
        : tf.add(reconstruction, tf.mul(aux.loss, config.auxkAlpha)),
    dead,
    gradients,
    clippedGradients: updated.clipped,
    gradientNorm: updated.norm,
    learningRate: updated.rate,
  };
}

/** Whether auxk has to be computed at all. Asks a device nothing: there the bound on all counts decides. */
function mayBeDead(dead: tf.Tensor1D, atMost: number, config: TrainConfig): boolean {
  if (atMost < leastDead(config.deadAfter, config.dialect)) return false;
  return !computesOnHost() || dead.dataSync<'float32'>().includes(1);
}

interface Updated {
  readonly params: SaeTensors;
  readonly m: SaeTensors;
  readonly v: SaeTensors;
  readonly clipped: SaeTensors;
  readonly norm: tf.Scalar;
  readonly rate: number;
}

/** Project, clip, Adam and unit decoder rows, in the dialect's order. */
function update(
  state: TrainStateTensors,
  params: SaeTensors,
  gradients: SaeTensors,
  config: TrainConfig,
): Updated {
  const { dialect } = config;
  const { project, projectEpsilon, normalise, normaliseEpsilon } = dialect.decoderNorm;
  const projected = (g: SaeTensors): SaeTensors => ({
    ...g,
    W_dec: projectGradient(g.W_dec, params.W_dec, projectEpsilon),
  });
  const normalised = (p: SaeTensors): SaeTensors => ({
    ...p,
    W_dec: normaliseRows(p.W_dec, normaliseEpsilon),
  });
  const unclipped = project === 'before-clip' ? projected(gradients) : gradients;
  const norm = gradientNorm(unclipped);
  let clipped = clipGradients(unclipped, dialect.clip.maxNorm, norm);
  if (project === 'after-clip') clipped = projected(clipped);

  const rate = learningRate(state.step, config, dialect);
  const before = normalise === 'before-update' ? normalised(params) : params;
  const adam = adamUpdate(before, clipped, state.m, state.v, state.step, rate, dialect);
  return {
    params: normalise === 'after-update' ? normalised(adam.params) : adam.params,
    m: adam.m,
    v: adam.v,
    clipped,
    norm,
    rate,
  };
}

/** Disposes everything of a step, its new state too unless `keepState`. */
export function disposeStep(result: StepTensors, keepState = false): void {
  // The new state is left out here: tensors that `keepState` keeps must not be visited.
  tf.dispose({ ...result, state: null } as unknown as tf.TensorContainer);
  if (!keepState) disposeState(result.state);
}

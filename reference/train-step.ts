/**
 * One training step: the order of everything.
 *
 * normalise input → encode → (select, refine) → select → threshold → decode every prefix → losses → counts since fired → auxk → penalty →
 * gradients → project → clip → Adam → unit decoder rows → re-order latents. Order is part of a dialect: the fields
 * `decoderNorm.project`, `decoderNorm.normalise`, `deadLatents.mask` and `latentOrder.permute` move what published trainers
 * place differently.
 * Source: dl `MatryoshkaBatchTopKTrainer.update`; bm `train_sae_group_seperate_wandb`; sl `SAETrainer._train_step`; nb
 * `MatryoshkaSAE.step`; li `autoresearch/sae.py _matryoshka_train_step`.
 * @module
 */
import { adamUpdate, clipGradients, gradientNorm, learningRate, type Schedule } from './adam.ts';
import { auxkOfLevels, type LevelAuxk } from './auxk.ts';
import { deadMask, updateSinceFired } from './dead-latents.ts';
import { decodePrefixes } from './decode.ts';
import { normaliseRows, projectGradient } from './decoder-norm.ts';
import type { Dialect } from './dialects.ts';
import { preActivations, relu } from './encode.ts';
import { geometricMedian } from './geometric-median.ts';
import { gradients as gradientsOf } from './gradients.ts';
import { normaliseInput } from './input-norm.ts';
import { jumpRelu, keptThresholds } from './jump-relu.ts';
import {
  latentOrder,
  reorderColumns,
  reorderLatents,
  updateFrequencies,
  updateMeanSquares,
} from './latent-order.ts';
import {
  defaultLevelWeights,
  levelCoefficients,
  levelErrors,
  levelLosses,
  reconstructionLoss,
} from './loss.ts';
import { scale, type Matrix } from './matrix.ts';
import { drawInitial, initialiseParams, zeroParams, type SaeParams } from './params.ts';
import { controlSparsity, penaltyCoefficient, sparsityPenalty } from './penalty.ts';
import { refine, type Refinement } from './refine.ts';
import { batchTopK, selectionScores, topK } from './select.ts';
import { smallestSelected, updateThreshold } from './threshold.ts';

/** One run's settings; made and checked by `trainConfig` in train-config.ts. */
export interface TrainConfig extends Schedule {
  readonly dialect: Dialect;
  readonly d_in: number;
  readonly d_sae: number;
  /** Mean latents kept per row; may be fractional when selecting over the batch, unused by `all` and `jump`. */
  readonly k: number;
  /** Over the whole batch (BatchTopK), in each row (TopK), all positive (ReLU), above trained thresholds (JumpReLU). */
  readonly selection: Dialect['defaults']['selection'];
  /** m_1..m_G; one prefix for a plain SAE. */
  readonly prefixes: readonly number[];
  /** w_1..w_G. */
  readonly levelWeights: readonly number[];
  readonly auxkAlpha: number;
  /** In the dialect's unit (tokens or steps). */
  readonly deadAfter: number;
  /** The threshold is updated in steps after this one. */
  readonly thresholdStartStep: number;
  /** x is multiplied by it: see `estimateInputScale`. */
  readonly inputScale: number;
  /** Factor of the sparsity penalty; where it is controlled, its start. */
  readonly sparsityCoefficient: number;
  readonly sparsityWarmupSteps: number;
  /** Mean latents per row that the penalty or its controller aims for. */
  readonly targetL0: number;
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
  /** That of the selection before a refinement; left out without one, or before the first step. */
  readonly firstThreshold?: number;
  /** (d_sae), in the dialect's unit. */
  readonly sinceFired: Float64Array;
  /** Left out where the dialect keeps none, or before the first step. */
  readonly averages?: Averages;
}

/** What dialects without a top-k carry along. */
export interface Averages {
  /** Running mean of row norms, for `input.normaliser`. */
  readonly meanNorm: number;
  /** (d_sae), for `latentOrder.permute`. */
  readonly meanSquares: Float64Array;
  /** (d_sae), for `latentOrder.permute`, after the first batch: how often each latent is not 0. */
  readonly frequencies?: Float64Array;
  /** The controller's scale, for `penalty.coefficient`. */
  readonly sparsityScale: number;
}

/** Random choices of one step, where they are not the run's own. */
export interface StepDraws {
  /** Drawn prefixes, with the dialect's default level weights: see `samplePrefixes`. */
  readonly prefixes?: readonly number[];
  /** order[j] is the latent that comes to place j: what was recorded, where equal averages leave a choice. */
  readonly order?: Uint32Array;
}

export interface StepResult {
  readonly state: TrainState;
  /** order[j] is the latent that came to place j after selection, which all below already follows; null if none moved. */
  readonly order: Uint32Array | null;
  /** What the SAE was given: x scaled and normalised, (rows, d_in). */
  readonly input: Matrix;
  /** The first selection and what came of it; null where the dialect refines nothing. */
  readonly refinement: Refinement | null;
  /** (rows, d_sae), before ReLU; refined, if they are. */
  readonly pre: Matrix;
  /** (rows, d_sae), before selection. */
  readonly acts: Matrix;
  /** (rows, d_sae), after it. */
  readonly latents: Matrix;
  /** One (rows, d_in) per prefix, of `input`. */
  readonly reconstructions: readonly Matrix[];
  /** L_0..L_G. */
  readonly levelLosses: Float64Array;
  /** Σ c_g L_g. */
  readonly reconstructionLoss: number;
  /** Losses before alpha; one, one for each level, or none. */
  readonly auxk: readonly LevelAuxk[];
  /** Mean number of latents per row, as a penalty or its controller counts them. */
  readonly l0: number;
  /** The sparsity penalty before its coefficient; 0 if there is none. */
  readonly penalty: number;
  readonly penaltyCoefficient: number;
  /** reconstructionLoss + alpha · Σ auxk losses + penaltyCoefficient · penalty. */
  readonly loss: number;
  /** 1 for each latent that auxk took for dead. (d_sae). */
  readonly dead: Uint8Array;
  /** As derived, before projection and clipping. */
  readonly gradients: SaeParams;
  /** The gradients that were clipped: W_dec's projected, where the dialect projects before. */
  readonly projected: SaeParams;
  /** What Adam receives. */
  readonly clippedGradients: SaeParams;
  /** The parameters as Adam left them, before decoder rows are rescaled and latents re-ordered. */
  readonly updated: SaeParams;
  /** Before clipping. */
  readonly gradientNorm: number;
  readonly learningRate: number;
}

/** State before the first step. @param uniform - draws from [0, 1). */
export function initialState(config: TrainConfig, uniform: () => number): TrainState {
  const { d_in, d_sae, dialect } = config;
  const jump = config.selection === 'jump';
  const thresholds = (value: number): { threshold?: Float64Array } =>
    jump ? { threshold: new Float64Array(d_sae).fill(value) } : {};
  return {
    step: 0,
    params: {
      ...initialiseParams(drawInitial(d_in, d_sae, uniform, dialect), dialect),
      ...thresholds(dialect.jumpRelu.start),
    },
    m: { ...zeroParams(d_in, d_sae), ...thresholds(0) },
    v: { ...zeroParams(d_in, d_sae), ...thresholds(0) },
    threshold: dialect.threshold.start,
    sinceFired: new Float64Array(d_sae),
  };
}

/**
 * @param x - (rows, d_in).
 * @throws {@link RangeError} on shapes that do not fit, values that are not finite, and what the operators refuse.
 */
export function trainStep(
  state: TrainState,
  x: Matrix,
  config: TrainConfig,
  draws: StepDraws = {},
): StepResult {
  const { dialect } = config;
  const { step } = state;
  const averages = state.averages ?? startingAverages(config);
  const prefixes = draws.prefixes ?? config.prefixes;
  const weights =
    draws.prefixes === undefined
      ? config.levelWeights
      : defaultLevelWeights(prefixes.length, dialect);

  const scaled = config.inputScale === 1 ? x : scale(x, config.inputScale);
  const { x: input, meanNorm } = normaliseInput(scaled, averages.meanNorm, dialect, true);
  let params = state.params;
  if (params.threshold !== undefined) {
    params = { ...params, threshold: keptThresholds(params.threshold, dialect) };
  }
  if (step === 0 && dialect.initialise.b_dec === 'geometric-median') {
    params = { ...params, b_dec: geometricMedian(input) };
  }

  let { m, v, sinceFired: countsBefore } = state;
  let { frequencies } = averages;
  let pre = preActivations(input, params, dialect);
  let { threshold, firstThreshold } = state;
  let refinement: Refinement | null = null;
  if (dialect.encode.refinement > 0) {
    const first = selectFrom(pre, params, config);
    firstThreshold = nextThreshold(firstThreshold ?? dialect.threshold.start, first, step, config);
    refinement = refine(pre, first.latents, input, params, dialect);
    pre = refinement.pre;
  }
  const selected = selectFrom(pre, params, config);
  threshold = nextThreshold(threshold, selected, step, config);
  let { acts, latents } = selected;

  let order: Uint32Array | null = null;
  if (dialect.latentOrder.permute === 'by-frequency') {
    frequencies = updateFrequencies(frequencies, latents, dialect);
    const places = draws.order ?? latentOrder(frequencies);
    // The published code slices prefixes from an order; moving latents instead leaves prefixes what they are elsewhere.
    [params, m, v] = [params, m, v].map((each) => reorderLatents(each, places));
    [pre, acts, latents] = [pre, acts, latents].map((each) => reorderColumns(each, places));
    refinement &&= { ...refinement, pre, first: reorderColumns(refinement.first, places) };
    [countsBefore, frequencies] = [countsBefore, frequencies].map((each) =>
      each.map((_, j) => each[places[j]]),
    );
    order = places;
  }

  const reconstructions = decodePrefixes(latents, params, prefixes);
  const errors = levelErrors(input, params.b_dec, reconstructions);
  const losses = levelLosses(errors, dialect.loss.tilt);
  const coefficients = levelCoefficients(weights, config.d_in, dialect);
  const reconstruction = reconstructionLoss(losses, coefficients);

  const sinceFired = updateSinceFired(countsBefore, latents, dialect);
  const counts = dialect.deadLatents.mask === 'this-step' ? sinceFired : countsBefore;
  const dead = deadMask(counts, config.deadAfter, dialect);
  const values = dialect.auxk.values === 'acts' ? acts : pre;
  const { W_dec } = params;
  const { auxkAlpha, targetL0 } = config;
  const auxk = auxkOfLevels(
    input,
    reconstructions,
    values,
    W_dec,
    dead,
    prefixes,
    auxkAlpha,
    dialect,
  );
  const auxkLoss = auxk.reduce((sum, term) => sum + term.loss, 0);

  const countsLatents = params.threshold === undefined || dialect.jumpRelu.counts === 'latents';
  const l0 = meanCount(countsLatents ? latents : pre, params.threshold);
  const penalty = sparsityPenalty(latents, W_dec, prefixes, l0, targetL0, dialect);
  const { scale: sparsityScale, coefficient } = coefficientOf(l0, averages, step, config);

  const gradients = gradientsOf(
    { x: input, pre, latents, errors, auxk, refinement, penalty: { penalty, coefficient } },
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
  const adam = adamUpdate(params, update, m, v, step, rate, dialect);
  let next = normalise === 'after-update' ? normalised(adam.params) : adam.params;
  let { meanSquares } = averages;
  if (dialect.latentOrder.permute === 'by-mean-square') {
    meanSquares = updateMeanSquares(meanSquares, latents, W_dec, dialect);
    next = reorderLatents(next, draws.order ?? latentOrder(meanSquares));
  }
  return {
    state: {
      step: step + 1,
      params: next,
      m: adam.m,
      v: adam.v,
      threshold,
      ...(firstThreshold === undefined ? {} : { firstThreshold }),
      sinceFired,
      averages: {
        meanNorm,
        meanSquares,
        sparsityScale,
        ...(frequencies === undefined ? {} : { frequencies }),
      },
    },
    order,
    input,
    refinement,
    pre,
    acts,
    latents,
    reconstructions,
    levelLosses: losses,
    reconstructionLoss: reconstruction,
    auxk,
    l0,
    penalty: penalty.loss,
    penaltyCoefficient: coefficient,
    loss: reconstruction + auxkAlpha * auxkLoss + coefficient * penalty.loss,
    dead,
    gradients,
    projected,
    clippedGradients: update,
    updated: adam.params,
    gradientNorm: gradientNorm(projected),
    learningRate: rate,
  };
}

/** Averages before the first step. */
export function startingAverages(config: TrainConfig): Averages {
  return {
    meanNorm: 0,
    meanSquares: new Float64Array(config.d_sae),
    sparsityScale: config.sparsityCoefficient,
  };
}

/** One selection: acts, what they are ranked by, and latents. Each (rows, d_sae). */
interface Selected {
  readonly acts: Matrix;
  readonly scores: Matrix;
  readonly latents: Matrix;
}

function selectFrom(pre: Matrix, params: SaeParams, config: TrainConfig): Selected {
  const acts = relu(pre);
  const scores = selectionScores(acts, params.W_dec, config.dialect);
  return { acts, scores, latents: select(pre, acts, scores, params, config) };
}

function nextThreshold(
  threshold: number,
  { latents, scores }: Selected,
  step: number,
  { dialect, selection, thresholdStartStep }: TrainConfig,
): number {
  const estimates = selection === 'batch' || selection === 'row';
  if (!estimates || step <= thresholdStartStep) return threshold;
  return updateThreshold(threshold, smallestSelected(latents, scores), dialect);
}

function select(
  pre: Matrix,
  acts: Matrix,
  scores: Matrix,
  { threshold }: SaeParams,
  { selection, k }: TrainConfig,
): Matrix {
  switch (selection) {
    case 'batch':
      return batchTopK(acts, k, scores);
    case 'row':
      return topK(acts, k, scores);
    case 'all':
      return acts;
    case 'jump': {
      if (threshold === undefined) {
        throw new RangeError('params: expected a threshold for each latent, got none');
      }
      return jumpRelu(pre, threshold);
    }
  }
}

/** Mean number per row of values above their latent's threshold, or above 0 where there is none. */
function meanCount(values: Matrix, threshold: Float64Array | undefined): number {
  let count = 0;
  for (let i = 0; i < values.data.length; i++) {
    if (values.data[i] > (threshold?.[i % values.cols] ?? 0)) count++;
  }
  return count / values.rows;
}

/** What the penalty is multiplied by, and the controller's scale after this step. */
function coefficientOf(
  l0: number,
  { sparsityScale }: Averages,
  step: number,
  config: TrainConfig,
): { scale: number; coefficient: number } {
  const { dialect, sparsityCoefficient, sparsityWarmupSteps, targetL0 } = config;
  if (dialect.penalty.kind === 'none') return { scale: sparsityScale, coefficient: 0 };
  if (dialect.penalty.coefficient === 'controlled') {
    return controlSparsity(sparsityScale, step, l0, targetL0, sparsityWarmupSteps, dialect);
  }
  const coefficient = penaltyCoefficient(step, sparsityCoefficient, sparsityWarmupSteps, dialect);
  return { scale: sparsityScale, coefficient };
}

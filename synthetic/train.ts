/**
 * Trains an SAE on a world's stream with the reference step, and watches it: metrics on one held-out sample at equal
 * distances. A fixed number of steps; nothing stops early, nothing is restarted.
 * @module
 */
import { decode } from '../reference/decode.ts';
import { preActivations, relu } from '../reference/encode.ts';
import { matrix, type Matrix } from '../reference/matrix.ts';
import type { SaeParams } from '../reference/params.ts';
import { aboveThreshold, batchTopK, selectionScores, topK } from '../reference/select.ts';
import {
  initialState,
  trainStep,
  type TrainConfig,
  type TrainState,
} from '../reference/train-step.ts';
import { evaluate, type Evaluation, type Judged } from './evaluate.ts';
import type { Rng } from './rng.ts';
import { createRng } from './rng.ts';
import { sparseRows } from './sparse-rows.ts';
import { createSampler, type LabelledBatch, type World } from './worlds/world.ts';

/** A curve has this many intervals: a point every 5 % of the steps, and one before the first. */
export const CURVE_INTERVALS = 20;

/** A run whose MCC moves more than this over the last fifth of its steps is called unconverged. */
export const CONVERGED_WITHIN = 0.01;

export interface TrainingRun {
  readonly config: TrainConfig;
  readonly world: World;
  /** Names initialisation, training stream and evaluation stream; runs with equal seeds see the same data. */
  readonly seed: number;
  /** Rows per step, and per selection when evaluating. */
  readonly batch: number;
  /** Rows of the held-out sample behind a curve; rounded up to whole batches. */
  readonly curveSamples: number;
}

/** Metrics on the held-out sample after `step` steps. */
export interface CurvePoint {
  readonly step: number;
  readonly l0: number;
  readonly mcc: number | null;
  readonly fullAbsorption: number | null;
  readonly deadLatents: number;
  /** Mean training loss since the point before; null before the first step. */
  readonly loss: number | null;
  /** As the training state holds it; negative while never set. */
  readonly threshold: number;
}

export interface TrainedSae {
  readonly state: TrainState;
  readonly curve: readonly CurvePoint[];
  /** Largest minus smallest MCC over the last fifth of the steps; null if MCC has no value. */
  readonly mccDrift: number | null;
  readonly converged: boolean;
}

/** The sub-streams of a training seed. */
export function streamsOf(
  seed: number,
): Record<'initialise' | 'train' | 'watch' | 'evaluate', Rng> {
  const rng = createRng(seed);
  return {
    initialise: rng.split('initialise'),
    train: rng.split('train'),
    watch: rng.split('watch'),
    evaluate: rng.split('evaluate'),
  };
}

/**
 * @param onProgress - called with the number of steps done, at every point of the curve.
 * @throws {@link RangeError} if the world's width is not the config's d_in, and whatever the step refuses.
 */
export function trainOnWorld(run: TrainingRun, onProgress?: (step: number) => void): TrainedSae {
  const { config, world, seed, batch } = run;
  if (world.d_in !== config.d_in) {
    throw new RangeError(`d_in: expected the world's ${world.d_in}, got ${config.d_in}`);
  }
  const streams = streamsOf(seed);
  const sampler = createSampler(world, streams.train);
  const watched = createSampler(world, streams.watch).next(wholeBatches(run.curveSamples, batch));

  let state = initialState(config, streams.initialise.uniform);
  const curve = [pointOf(state, null, watched, run)];
  let lossSum = 0;
  let since = 0;
  for (let step = 1; step <= config.steps; step++) {
    const result = trainStep(state, sampler.nextX(batch), config);
    state = result.state;
    lossSum += result.loss;
    since++;
    if (!isPoint(step, config.steps)) continue;
    curve.push(pointOf(state, lossSum / since, watched, run));
    lossSum = 0;
    since = 0;
    onProgress?.(step);
  }
  const mccDrift = driftOf(curve, config.steps);
  return { state, curve, mccDrift, converged: mccDrift !== null && mccDrift <= CONVERGED_WITHIN };
}

/** Rows rounded up to whole batches: selection over a smaller last batch would be another selection. */
export function wholeBatches(rows: number, batch: number): number {
  return Math.ceil(rows / batch) * batch;
}

/** True where one more 20th of the steps is done. Fewer steps than that: after every step. */
function isPoint(step: number, steps: number): boolean {
  const intervals = (done: number): number => Math.floor((done * CURVE_INTERVALS) / steps);
  return intervals(step) > intervals(step - 1);
}

function pointOf(
  state: TrainState,
  loss: number | null,
  watched: LabelledBatch,
  run: TrainingRun,
): CurvePoint {
  const { l0, mcc, absorption, deadLatents } = evaluateTrained(state, watched, run).evaluation;
  const fullAbsorption = absorption.full;
  return {
    step: state.step,
    l0,
    mcc,
    fullAbsorption,
    deadLatents,
    loss,
    threshold: state.threshold,
  };
}

function driftOf(curve: readonly CurvePoint[], steps: number): number | null {
  const last = curve.filter(({ step }) => step >= 0.8 * steps).map(({ mcc }) => mcc);
  const defined = last.filter((mcc) => mcc !== null);
  return defined.length === 0 ? null : Math.max(...defined) - Math.min(...defined);
}

/**
 * A trained SAE on labelled samples: selected batch by batch as in training, which is what the metrics judge, and
 * beside it the mean number of latents that the inference threshold lets through.
 */
export function evaluateTrained(
  state: TrainState,
  samples: LabelledBatch,
  run: Pick<TrainingRun, 'config' | 'world' | 'batch'>,
): { evaluation: Evaluation; thresholdL0: number } {
  const { config, world, batch } = run;
  const { x, features } = samples;
  const latents = matrix(x.rows, config.d_sae);
  const reconstruction = matrix(x.rows, x.cols);
  let overThreshold = 0;
  for (let start = 0; start < x.rows; start += batch) {
    const rows = sliceRows(x, start, Math.min(start + batch, x.rows));
    const { selected, above } = encodeBatch(rows, state.params, state.threshold, config);
    latents.data.set(selected.data, start * config.d_sae);
    reconstruction.data.set(decode(selected, state.params).data, start * x.cols);
    for (const z of above.data) if (z !== 0) overThreshold++;
  }
  const judged: Judged = {
    latents: sparseRows(latents),
    W_dec: state.params.W_dec,
    reconstruction,
    x,
    features,
  };
  return { evaluation: evaluate(judged, world), thresholdL0: overThreshold / x.rows };
}

function encodeBatch(
  x: Matrix,
  params: SaeParams,
  threshold: number,
  { dialect, selection, k }: TrainConfig,
): { selected: Matrix; above: Matrix } {
  const acts = relu(preActivations(x, params, dialect));
  const scores = selectionScores(acts, params.W_dec, dialect);
  const select = selection === 'batch' ? batchTopK : topK;
  return {
    selected: select(acts, k, scores),
    above: aboveThreshold(acts, threshold, scores),
  };
}

/** Rows start..end-1 as a view. */
function sliceRows(a: Matrix, start: number, end: number): Matrix {
  return matrix(end - start, a.cols, a.data.subarray(start * a.cols, end * a.cols));
}

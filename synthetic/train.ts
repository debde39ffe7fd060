/**
 * Trains an SAE on a world's stream and watches it: metrics on one held-out sample at equal distances. A fixed number of
 * steps; nothing stops early, nothing is restarted.
 * @module
 */
import type { Matrix } from '../reference/matrix.ts';
import { samplePrefixes } from '../reference/prefixes.ts';
import {
  initialState,
  type StepDraws,
  type TrainConfig,
  type TrainState,
} from '../reference/train-step.ts';
import { referenceSteps } from './kernels/reference-steps.ts';
import { nothingToClose, type StepKernel } from './kernels/step-kernel.ts';
import { absorption } from './metrics/absorption.ts';
import { cosines, foldDecoderNorms, type Code } from './metrics/code.ts';
import { deadLatents } from './metrics/dead-latents.ts';
import { l0 } from './metrics/l0.ts';
import { matchLatents } from './metrics/mcc.ts';
import { createRng, stateOf, type Rng, type RngState } from './rng.ts';
import type { RowSource } from './row-threads.ts';
import type { RunFile } from './saved-run.ts';
import { trainedCode } from './trained-code.ts';
import { createSampler, type LabelledBatch, type World } from './worlds/world.ts';

/** A curve has this many intervals: a point every 5 % of the steps, and one before the first. */
export const CURVE_INTERVALS = 20;

/** A run whose MCC moves more than this over the last fifth of its steps is called unconverged. */
const CONVERGED_WITHIN = 0.01;

/** Pairs of latent and feature that a curve still matches: 256 × 1,024 is, 4,096 × 16,384 is not. */
const MOST_WATCHED = 2 ** 22;

export interface TrainingRun {
  readonly config: TrainConfig;
  readonly world: World;
  /** Names initialisation, training stream and evaluation stream; runs with equal seeds see the same data. */
  readonly seed: number;
  /** Rows per step, and per selection when evaluating. */
  readonly batch: number;
  /** Rows of the held-out sample behind a curve; rounded up to whole batches. */
  readonly curveSamples: number;
  /** What changes from step to step, if anything does: made anew for every run. */
  readonly schedule?: StepSchedule;
}

/** Settings of the step that follows `step` others. @param l0 - of the step before; null before the first. */
export type StepSchedule = (
  step: number,
  l0: number | null,
) => Partial<Pick<TrainConfig, 'k' | 'sparsityCoefficient'>>;

export interface TrainingOptions {
  /** The float64 reference if left out. */
  readonly kernel?: StepKernel;
  /** Called with the number of steps done, at every point of the curve. */
  readonly onProgress?: (step: number) => void;
  /** Where the run is kept while it lasts, and goes on from. */
  readonly file?: RunFile;
  /** Where batches come from after so many steps; drawn here, as they are needed, if left out. */
  readonly rows?: (done: number) => RowSource;
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
): Record<'initialise' | 'train' | 'prefixes' | 'watch' | 'evaluate' | 'judge', Rng> {
  const rng = createRng(seed);
  return {
    initialise: rng.split('initialise'),
    train: rng.split('train'),
    prefixes: rng.split('prefixes'),
    watch: rng.split('watch'),
    evaluate: rng.split('evaluate'),
    judge: rng.split('judge'),
  };
}

/**
 * @throws {@link RangeError} if the world's width is not the config's d_in, and whatever the step refuses;
 *   {@link UsageError} on what the kernel does not support.
 */
export async function trainOnWorld(
  run: TrainingRun,
  { kernel = referenceSteps, onProgress, file, rows }: TrainingOptions = {},
): Promise<TrainedSae> {
  const { config, world, seed, batch } = run;
  if (world.d_in !== config.d_in) {
    throw new RangeError(`d_in: expected the world's ${world.d_in}, got ${config.d_in}`);
  }
  const streams = streamsOf(seed);
  const watched = createSampler(world, streams.watch).next(wholeBatches(run.curveSamples, batch));
  const saved = (await file?.load()) ?? null;
  const start = saved?.state ?? initialState(config, streams.initialise.uniform);
  if (saved !== null) {
    putBack(streams.train, saved.streams.train);
    putBack(streams.prefixes, saved.streams.prefixes);
  }
  const l0s = [...(saved?.l0s ?? [])];
  l0s.forEach((_, step) => void run.schedule?.(step, l0s[step - 1] ?? null));
  const curve = [...(saved?.curve ?? [pointOf(start, null, watched, run)])];
  let lossSum = saved?.lossSum ?? 0;
  let savedAt = performance.now();
  let x: Matrix | undefined;
  const stepper = kernel.open(config, start);
  const drawHere = (done: number): RowSource => {
    const sampler = createSampler(world, streams.train, world.rowsPerBlock ? done * batch : 0);
    return { next: (over) => sampler.nextX(batch, over), close: nothingToClose };
  };
  const source = (rows ?? drawHere)(l0s.length);
  try {
    for (let step = l0s.length + 1; step <= config.steps; step++) {
      const before = l0s[step - 2] ?? null;
      const now = run.schedule ? { ...config, ...run.schedule(step - 1, before) } : config;
      x = await source.next(x);
      const figures = await stepper.step(x, now, drawsOf(config, streams.prefixes.uniform));
      lossSum += figures.loss;
      l0s.push(figures.l0);
      if (isPoint(step, config.steps)) {
        const since = step - curve[curve.length - 1].step;
        curve.push(pointOf(await stepper.state(), lossSum / since, watched, run));
        lossSum = 0;
        onProgress?.(step);
      }
      if (file !== undefined && performance.now() - savedAt >= file.every) {
        const at = { train: placeOf(streams.train), prefixes: placeOf(streams.prefixes) };
        await file.save({ state: await stepper.state(), streams: at, l0s, curve, lossSum });
        savedAt = performance.now();
      }
    }
    const mccDrift = driftOf(curve, config.steps);
    return {
      state: await stepper.state(),
      curve,
      mccDrift,
      converged: mccDrift !== null && mccDrift <= CONVERGED_WITHIN,
    };
  } finally {
    await source.close();
    await stepper.close();
  }
}

function placeOf(rng: Rng): RngState {
  const state = stateOf(rng);
  if (state === undefined) throw new Error('placeOf: expected a stream of createRng');
  return state;
}

function putBack(rng: Rng, { words, spare }: RngState): void {
  const state = placeOf(rng);
  state.words.set(words);
  state.spare.set(spare);
}

/** Prefixes of one step, where the dialect draws them: as many as the run has. One alone leaves nothing to draw. */
export function drawsOf(
  { dialect, prefixes, d_sae }: TrainConfig,
  uniform: () => number,
): StepDraws {
  if (dialect.prefixes.drawn === 'once' || prefixes.length === 1) return {};
  return { prefixes: samplePrefixes(d_sae, prefixes.length, 1, dialect.prefixes.power, uniform) };
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
  const { judged } = trainedCode(state, watched, run.config, run.batch);
  const code = foldDecoderNorms(judged.latents, judged.W_dec);
  return {
    step: state.step,
    l0: l0(code.latents),
    ...recoveryOf(code, watched, run),
    deadLatents: deadLatents(code.latents),
    loss,
    threshold: state.threshold,
  };
}

/** What needs a matching of latents with features; null where one would take longer than the steps between. */
function recoveryOf(
  code: Code,
  { features }: LabelledBatch,
  { world }: TrainingRun,
): Pick<CurvePoint, 'mcc' | 'fullAbsorption'> {
  const { directions } = world;
  if (code.decoder.rows * directions.rows > MOST_WATCHED)
    return { mcc: null, fullAbsorption: null };
  const cosine = cosines(code.decoder, directions);
  const matching = matchLatents(cosine);
  const { full } = absorption(code, features, world, cosine, matching);
  return { mcc: matching.mcc, fullAbsorption: full };
}

function driftOf(curve: readonly CurvePoint[], steps: number): number | null {
  const last = curve.filter(({ step }) => step >= 0.8 * steps).map(({ mcc }) => mcc);
  const defined = last.filter((mcc) => mcc !== null);
  return defined.length === 0 ? null : Math.max(...defined) - Math.min(...defined);
}

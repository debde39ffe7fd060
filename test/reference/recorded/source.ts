/**
 * What the recordings of one published implementation are compared with, and how.
 */
import { fileURLToPath } from 'node:url';
import type { LevelAuxk } from '../../../reference/auxk.ts';
import type { Dialect } from '../../../reference/dialects.ts';
import { namesOf, paramNames, valuesOf, type SaeParams } from '../../../reference/params.ts';
import { samplePrefixes } from '../../../reference/prefixes.ts';
import {
  trainStep,
  type StepDraws,
  type StepResult,
  type TrainConfig,
  type TrainState,
} from '../../../reference/train-step.ts';
import {
  openRecording,
  recordedMatrix,
  recordedParams,
  type Dtype,
  type Recording,
} from '../golden-vectors.ts';

/** A quantity: its name, ours, theirs; and, where float32 cancels, the size of the terms, which float64 needs no help of. */
export type Quantity = readonly [
  name: string,
  got: ArrayLike<number>,
  expected: ArrayLike<number>,
  size?: number,
];

/** What is counted, not computed: no rounding is an excuse. */
export const exact: ReadonlySet<string> = new Set(['selection', 'counts', 'dead', 'error raised']);

/** Another dialect than the published one, for {@link Source.configOf}. */
export type Change = (dialect: Dialect) => Dialect;

export interface Source {
  readonly folder: string;
  readonly dialect: Dialect;
  readonly runs: readonly string[];
  /**
   * The recorded run's settings under the reference's names, in the dialect as that run's options make it.
   * @param change - made to that dialect before settings are taken from it.
   */
  readonly configOf: (recording: Recording, change?: Change) => TrainConfig;
  /** The state before step t, of which row `r` of the recorded states is. */
  readonly stateAt: (recording: Recording, t: number, r: number) => TrainState;
  /** What of a state is taken from the recording even when running free, because no decision says it. */
  readonly forced?: (recording: Recording, t: number, r: number) => Partial<TrainState>;
  readonly drawsAt: (recording: Recording, t: number) => StepDraws;
  /** Everything recorded of step t in row s of the recorded steps; the state after it in row r. */
  readonly quantities: (
    result: StepResult,
    recording: Recording,
    config: TrainConfig,
    s: number,
    r: number,
  ) => Iterable<Quantity>;
}

/** Recorded steps, and where each is in what was recorded of states and of steps. */
export interface Step {
  readonly t: number;
  readonly s: number;
  readonly before: number;
  readonly after: number;
}

const opened = new Map<string, Recording>();

/** A recording of a source, such as `operators`. */
export function open({ folder }: Pick<Source, 'folder'>, id: string, dtype: Dtype): Recording {
  const path = fileURLToPath(
    new URL(`../../../conformance/vectors/${folder}/${id}.${dtype}.safetensors`, import.meta.url),
  );
  const recording = opened.get(path) ?? openRecording(path);
  opened.set(path, recording);
  return recording;
}

/** Every step whose state was recorded. */
export function stepsOf({ config }: Recording): Step[] {
  const all = (count: number): number[] => Array.from({ length: count }, (_, t) => t);
  const total = config['steps'] as number;
  const steps = (config['recorded_steps'] as number[] | undefined) ?? all(total);
  const states = (config['recorded_states'] as number[] | undefined) ?? all(total + 1);
  return steps.map((t, s) => ({
    t,
    s,
    before: states.indexOf(t),
    after: states.indexOf(t + 1),
  }));
}

/** The step made anew from the recorded state. */
export function replay(
  source: Source,
  recording: Recording,
  config: TrainConfig,
  { t, before }: Step,
): StepResult {
  return trainStep(
    source.stateAt(recording, t, before),
    recordedMatrix(recording, 'x', t),
    config,
    drawsOf(source, recording, config, t),
  );
}

/** Recorded prefixes where the dialect draws them anew and the run recorded any; else drawn here. */
export function drawsOf(
  source: Source,
  recording: Recording,
  { dialect, d_sae, prefixes: settings }: TrainConfig,
  t: number,
): StepDraws {
  const { prefixes, ...others } = source.drawsAt(recording, t);
  if (dialect.prefixes.drawn === 'once') return others;
  const uniform = (): number => (0.5 + t * 0.618_033_988_75) % 1;
  return {
    ...others,
    prefixes:
      prefixes ?? samplePrefixes(d_sae, settings.length, 1, dialect.prefixes.power, uniform),
  };
}

/** Gradients, what Adam received, and the parameters and moments after it. */
export function* paramQuantities(
  result: StepResult,
  recording: Recording,
  s: number,
  r: number,
  names: readonly (keyof SaeParams)[] = namesOf(result.state.params),
): Generator<Quantity> {
  const { params, m, v } = result.state;
  for (const [kind, got, prefix, at] of [
    ['gradient', result.gradients, 'grad.', s],
    ['clipped', result.clippedGradients, 'clipped.', s],
    ['m', m, 'm.', r],
    ['v', v, 'v.', r],
  ] as const) {
    for (const name of names) {
      yield [`${kind} ${name}`, valuesOf(got, name), recording.values(`${prefix}${name}`, at)];
    }
  }
  for (const name of new Set([...paramNames, ...names])) {
    yield [`params ${name}`, valuesOf(params, name), recording.values(name, r)];
  }
}

/** 1 where a latent is selected. */
export function selected(latents: ArrayLike<number>): Float64Array {
  return Float64Array.from(latents, (latent) => Number(latent > 0));
}

/** The auxiliary losses of all levels together, before alpha. */
export function auxkLoss(auxk: readonly LevelAuxk[]): number {
  return auxk.reduce((sum, { loss }) => sum + loss, 0);
}

/** What the auxiliary losses decode, of all levels: each latent is of one. */
export function auxkLatents({ auxk, latents }: StepResult): Float64Array {
  return latents.data.map((_, i) => auxk.reduce((sum, term) => sum + term.latents.data[i], 0));
}

/** All reconstructions after one another, as `x_hat` is recorded. */
export function stacked(matrices: readonly { readonly data: Float64Array }[]): Float64Array {
  return Float64Array.from(matrices.flatMap(({ data }) => [...data]));
}

/** Parameters of which some may not have been trained, with zeros for their moments. */
export function paramsAt(
  recording: Recording,
  r: number,
  prefix = '',
  trained: readonly string[] = paramNames,
): SaeParams {
  if (trained.length === paramNames.length) {
    const threshold = `${prefix}threshold`;
    const perLatent = recording.names.includes('m.threshold');
    return {
      ...recordedParams(recording, r, prefix),
      ...(perLatent ? { threshold: recording.values(threshold, r) } : {}),
    };
  }
  const read = (name: string): Float64Array =>
    trained.includes(name)
      ? recording.values(`${prefix}${name}`, r)
      : new Float64Array(recording.values(name, r).length);
  const W = (name: 'W_enc' | 'W_dec') => ({
    ...recordedMatrix(recording, name, r),
    data: read(name),
  });
  return { W_enc: W('W_enc'), b_enc: read('b_enc'), W_dec: W('W_dec'), b_dec: read('b_dec') };
}

/**
 * Largest difference relative to the largest expected magnitude, or to the size of what it is a sum of, if that is known
 * to be larger; infinite for NaN or other lengths.
 */
export function relativeError(
  got: ArrayLike<number>,
  expected: ArrayLike<number>,
  size: number = 0,
): number {
  if (got.length !== expected.length) return Infinity;
  let difference = 0;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(got[i] - expected[i]);
    if (Number.isNaN(error)) return Infinity;
    difference = Math.max(difference, error);
    largest = Math.max(largest, Math.abs(expected[i]));
  }
  return difference === 0 ? 0 : difference / Math.max(largest, size);
}

/**
 * What the recordings of one published implementation are compared with, and how.
 */
import { fileURLToPath } from 'node:url';
import type { Dialect } from '../../../reference/dialects.ts';
import { paramNames, type SaeParams } from '../../../reference/params.ts';
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
  type Recording,
} from '../golden-vectors.ts';

/** A quantity of one step: its name, ours, theirs. */
export type Quantity = readonly [name: string, got: ArrayLike<number>, expected: ArrayLike<number>];

export interface Source {
  readonly folder: string;
  readonly dialect: Dialect;
  readonly runs: readonly string[];
  /** The recorded run's settings under the reference's names, in the dialect as that run's options make it. */
  readonly configOf: (recording: Recording) => TrainConfig;
  /** The state before step t, of which row `r` of the recorded states is. */
  readonly stateAt: (recording: Recording, t: number, r: number) => TrainState;
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

export function open(source: Source, id: string): Recording {
  const folder = new URL(`../../../conformance/vectors/${source.folder}/`, import.meta.url);
  return openRecording(fileURLToPath(new URL(`${id}.safetensors`, folder)));
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
    source.drawsAt(recording, t),
  );
}

/** Gradients, what Adam received, and the parameters and moments after it. */
export function* paramQuantities(
  result: StepResult,
  recording: Recording,
  s: number,
  r: number,
  names: readonly (keyof SaeParams)[] = paramNames,
): Generator<Quantity> {
  const { params, m, v } = result.state;
  for (const [kind, got, prefix, at] of [
    ['gradient', result.gradients, 'grad.', s],
    ['clipped', result.clippedGradients, 'clipped.', s],
    ['m', m, 'm.', r],
    ['v', v, 'v.', r],
  ] as const) {
    for (const name of names) {
      yield [`${kind} ${name}`, flat(got, name), recording.values(`${prefix}${name}`, at)];
    }
  }
  for (const name of new Set([...paramNames, ...names])) {
    yield [`params ${name}`, flat(params, name), recording.values(name, r)];
  }
}

export function flat(params: SaeParams, name: keyof SaeParams): Float64Array {
  const param = params[name];
  if (param === undefined) throw new Error(`no ${name}`);
  return param instanceof Float64Array ? param : param.data;
}

/** Parameters of which some may not have been trained, with zeros for their moments. */
export function paramsAt(
  recording: Recording,
  r: number,
  prefix = '',
  trained: readonly string[] = paramNames,
): SaeParams {
  if (trained.length === paramNames.length) return recordedParams(recording, r, prefix);
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

/** Largest difference relative to the largest expected magnitude; infinite for NaN or other lengths. */
export function relativeError(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (got.length !== expected.length) return Infinity;
  let difference = 0;
  let scale = 0;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(got[i] - expected[i]);
    if (Number.isNaN(error)) return Infinity;
    difference = Math.max(difference, error);
    scale = Math.max(scale, Math.abs(expected[i]));
  }
  return difference === 0 ? 0 : difference / scale;
}

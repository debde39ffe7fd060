/**
 * Reading recorded runs of the published code: conformance/vectors/<source>/manifest.json says what each holds.
 */
import { readFileSync } from 'node:fs';
import { matrix, type Matrix } from '../../reference/matrix.ts';
import type { SaeParams } from '../../reference/params.ts';
import { decodeSafetensors } from '../../training/formats/safetensors.ts';

export interface Recording {
  /** Sizes and settings of the run, by the published code's names. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly dtype: Dtype;
  /** Every tensor's name. */
  readonly names: readonly string[];
  /** The values of one tensor as float64; of entry `t` of its leading axis if given. A copy. */
  readonly values: (name: string, t?: number) => Float64Array;
  readonly shape: (name: string) => readonly number[];
  /** Names of tensors that were asked for so far. */
  readonly used: ReadonlySet<string>;
}

export type Dtype = 'float32' | 'float64';

export function openRecording(path: string): Recording {
  const { tensors, metadata } = decodeSafetensors(readFileSync(path), path);
  const used = new Set<string>();
  const converted = new Map<string, Float64Array>();
  const shape = (name: string): readonly number[] => {
    const found = tensors.get(name);
    if (found === undefined) throw new Error(`${path}: no tensor ${name}`);
    return found.shape;
  };
  const all = (name: string): Float64Array => {
    let values = converted.get(name);
    if (values === undefined) {
      shape(name);
      values = Float64Array.from(tensors.get(name)!.data as ArrayLike<number>);
      converted.set(name, values);
    }
    used.add(name);
    return values;
  };
  return {
    config: JSON.parse(metadata['config']) as Readonly<Record<string, unknown>>,
    dtype: path.includes('float32') ? 'float32' : 'float64',
    names: [...tensors.keys()],
    values: (name, t) => {
      const values = all(name);
      if (t === undefined) return values.slice();
      const size = values.length / shape(name)[0];
      return values.slice(t * size, (t + 1) * size);
    },
    shape,
    used,
  };
}

/** A whole matrix; leading axes before the last are rows. */
export function wholeMatrix(recording: Recording, name: string): Matrix {
  const shape = recording.shape(name);
  const values = recording.values(name);
  const cols = shape[shape.length - 1];
  return matrix(values.length / cols, cols, values);
}

/** Entry `t` of a stacked matrix. */
export function recordedMatrix(recording: Recording, name: string, t: number): Matrix {
  const [rows, cols] = recording.shape(name).slice(-2);
  return matrix(rows, cols, recording.values(name, t));
}

/** Entry `t` of the four parameters, their gradients (`grad.`) or moments (`m.`, `v.`). */
export function recordedParams(recording: Recording, t: number, prefix = ''): SaeParams {
  return {
    W_enc: recordedMatrix(recording, `${prefix}W_enc`, t),
    b_enc: recording.values(`${prefix}b_enc`, t),
    W_dec: recordedMatrix(recording, `${prefix}W_dec`, t),
    b_dec: recording.values(`${prefix}b_dec`, t),
  };
}

/** Parameters recorded once, under a common prefix such as `step.`; zero where one was not recorded. */
export function wholeParams(
  recording: Recording,
  prefix: string,
  like: string = prefix,
): SaeParams {
  const has = (name: string): boolean => recording.names.includes(`${prefix}${name}`);
  const vector = (name: string): Float64Array =>
    has(name)
      ? recording.values(`${prefix}${name}`)
      : new Float64Array(recording.values(`${like}${name}`).length);
  const whole = (name: string): Matrix =>
    has(name)
      ? wholeMatrix(recording, `${prefix}${name}`)
      : matrix(...(recording.shape(`${like}${name}`) as readonly [number, number]));
  return {
    W_enc: whole('W_enc'),
    b_enc: vector('b_enc'),
    W_dec: whole('W_dec'),
    b_dec: vector('b_dec'),
  };
}

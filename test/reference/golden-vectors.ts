/**
 * Reading recorded runs of the published code: conformance/vectors/<source>/manifest.json says what each holds.
 */
import { readFileSync } from 'node:fs';
import { matrix, type Matrix } from '../../reference/matrix.ts';
import type { SaeParams } from '../../reference/params.ts';
import { decodeSafetensors, type Tensor } from '../../training/formats/safetensors.ts';

export interface Recording {
  /** Sizes and settings of the run, by the published code's names. */
  readonly config: Readonly<Record<string, unknown>>;
  /** The values of one tensor as float64; of entry `t` of its leading axis if given. */
  readonly values: (name: string, t?: number) => Float64Array;
  readonly shape: (name: string) => readonly number[];
}

export function openRecording(path: string): Recording {
  const { tensors, metadata } = decodeSafetensors(readFileSync(path), path);
  const named = (name: string): Tensor => {
    const found = tensors.get(name);
    if (found === undefined) throw new Error(`${path}: no tensor ${name}`);
    return found;
  };
  return {
    config: JSON.parse(metadata['config']) as Readonly<Record<string, unknown>>,
    values: (name, t) => {
      const { shape, data } = named(name);
      const all = Float64Array.from(data as ArrayLike<number>);
      if (t === undefined) return all;
      const size = all.length / shape[0];
      return all.slice(t * size, (t + 1) * size);
    },
    shape: (name) => named(name).shape,
  };
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

/**
 * The four parameters on the device, and the way there and back.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Dialect } from '../reference/dialects.ts';
import { matrix, type Matrix } from '../reference/matrix.ts';
import {
  drawInitial,
  initialiseParams as initialiseReferenceParams,
  paramNames,
  requireParams,
  type SaeParams,
} from '../reference/params.ts';

export { paramNames };

/** Shapes as in the reference, float32. */
export interface SaeTensors {
  /** (d_in, d_sae). */
  readonly W_enc: tf.Tensor2D;
  /** (d_sae). */
  readonly b_enc: tf.Tensor1D;
  /** (d_sae, d_in). */
  readonly W_dec: tf.Tensor2D;
  /** (d_in). */
  readonly b_dec: tf.Tensor1D;
}

/** Rounds to float32. @param values - (rows, cols), row-major. */
export function uploadMatrix(
  values: Float32Array | Float64Array,
  rows: number,
  cols: number,
): tf.Tensor2D {
  // A copy in either case: the cpu backend would otherwise keep the caller's array as its own.
  return tf.tensor2d(Float32Array.from(values), [rows, cols]);
}

/** @throws {@link RangeError} on shapes that do not fit, and values that are not finite. */
export function uploadParams(params: SaeParams): SaeTensors {
  requireParams(params);
  return {
    W_enc: uploadMatrix(params.W_enc.data, params.W_enc.rows, params.W_enc.cols),
    b_enc: tf.tensor1d(Float32Array.from(params.b_enc)),
    W_dec: uploadMatrix(params.W_dec.data, params.W_dec.rows, params.W_dec.cols),
    b_dec: tf.tensor1d(Float32Array.from(params.b_dec)),
  };
}

export async function downloadMatrix(tensor: tf.Tensor2D): Promise<Matrix> {
  return matrix(tensor.shape[0], tensor.shape[1], await downloadVector(tensor));
}

/** The values of a tensor of any shape, row-major. */
export async function downloadVector(tensor: tf.Tensor): Promise<Float64Array> {
  return Float64Array.from(await tensor.data());
}

export async function downloadParams(params: SaeTensors): Promise<SaeParams> {
  const [W_enc, b_enc, W_dec, b_dec] = await Promise.all([
    downloadMatrix(params.W_enc),
    downloadVector(params.b_enc),
    downloadMatrix(params.W_dec),
    downloadVector(params.b_dec),
  ]);
  return { W_enc, b_enc, W_dec, b_dec };
}

/** All four parameters zero: also how Adam's moments start. */
export function zeroParams(d_in: number, d_sae: number): SaeTensors {
  return {
    W_enc: tf.zeros([d_in, d_sae]),
    b_enc: tf.zeros([d_sae]),
    W_dec: tf.zeros([d_sae, d_in]),
    b_dec: tf.zeros([d_in]),
  };
}

/** The reference's initial parameters, drawn on the host and uploaded: the same seed starts both alike. */
export function initialiseParams(
  d_in: number,
  d_sae: number,
  uniform: () => number,
  dialect: Dialect,
): SaeTensors {
  return uploadParams(
    initialiseReferenceParams(drawInitial(d_in, d_sae, uniform, dialect), dialect),
  );
}

/** The four parameters made anew by name, each in a tidy of its own. */
export function eachParam(make: (name: (typeof paramNames)[number]) => tf.Tensor): SaeTensors {
  return {
    W_enc: tf.tidy(() => make('W_enc') as tf.Tensor2D),
    b_enc: tf.tidy(() => make('b_enc') as tf.Tensor1D),
    W_dec: tf.tidy(() => make('W_dec') as tf.Tensor2D),
    b_dec: tf.tidy(() => make('b_dec') as tf.Tensor1D),
  };
}

export function disposeParams(params: SaeTensors): void {
  for (const name of paramNames) params[name].dispose();
}

/**
 * Between tensors of any rank and the reference's matrices.
 * @module
 */
import { matrix, type Matrix } from '../reference/matrix.ts';
import type { SaeParams } from '../reference/params.ts';
import type { Call, Tensor, Tensors } from './kernel.ts';

/** @throws {@link RangeError} if shape and number of values differ. */
export function tensor(shape: readonly number[], data: ArrayLike<number>): Tensor {
  const size = shape.reduce((product, length) => product * length, 1);
  if (size !== data.length) {
    throw new RangeError(
      `tensor: shape [${shape.join(', ')}] holds ${size} values, got ${data.length}`,
    );
  }
  return { shape, data: Float64Array.from(data) };
}

export function scalar(value: number): Tensor {
  return tensor([], [value]);
}

export function fromMatrix(a: Matrix, shape: readonly number[] = [a.rows, a.cols]): Tensor {
  return tensor(shape, a.data);
}

export function fromVector(values: ArrayLike<number>): Tensor {
  return tensor([values.length], values);
}

/** All leading dimensions flattened to rows. */
export function toMatrix({ shape, data }: Tensor): Matrix {
  const cols = shape[shape.length - 1];
  return matrix(cols === 0 ? 0 : data.length / cols, cols, data.slice());
}

/** The parameters among a call's inputs; `prefix` for gradients and moments: `grad.W_enc`. */
export function toParams(inputs: Tensors, prefix = ''): SaeParams {
  return {
    W_enc: toMatrix(inputs[`${prefix}W_enc`]),
    b_enc: inputs[`${prefix}b_enc`].data.slice(),
    W_dec: toMatrix(inputs[`${prefix}W_dec`]),
    b_dec: inputs[`${prefix}b_dec`].data.slice(),
  };
}

export function fromParams(params: SaeParams, prefix = ''): Tensors {
  return {
    [`${prefix}W_enc`]: fromMatrix(params.W_enc),
    [`${prefix}b_enc`]: fromVector(params.b_enc),
    [`${prefix}W_dec`]: fromMatrix(params.W_dec),
    [`${prefix}b_dec`]: fromVector(params.b_dec),
  };
}

/** The shape without its last dimension, plus a new one. */
export function withLast(shape: readonly number[], last: number): number[] {
  return [...shape.slice(0, -1), last];
}

/** A number of the configuration. @throws {@link TypeError} if it is missing or no number. */
export function numberOf(call: Call, name: string): number {
  const value = call.config[name];
  if (typeof value !== 'number') {
    throw new TypeError(`config.${name}: expected a number, got ${JSON.stringify(value)}`);
  }
  return value;
}

/** A list of numbers of the configuration. @throws {@link TypeError} if it is missing or no list. */
export function numbersOf(call: Call, name: string): readonly number[] {
  const value = call.config[name];
  if (!Array.isArray(value)) {
    throw new TypeError(`config.${name}: expected a list of numbers, got ${JSON.stringify(value)}`);
  }
  return value as readonly number[];
}

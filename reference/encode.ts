/**
 * Pre-activations, then ReLU. Does not normalise inputs, does not select.
 * @module
 */
import type { Dialect } from './dialects.ts';
import { addToRows, map, multiply, requireFinite, type Matrix } from './matrix.ts';
import { requireParams, type SaeParams } from './params.ts';

/** What the encoder multiplies by W_enc: x - b_dec, or x in dialects that do not subtract. (rows, d_in). */
export function encoderInput(x: Matrix, params: SaeParams, dialect: Dialect): Matrix {
  if (!dialect.encode.subtractsDecoderBias) return x;
  return addToRows(
    x,
    params.b_dec.map((bias) => -bias),
  );
}

/**
 * pre = (x - b_dec) W_enc + b_enc.
 * @param x - (rows, d_in).
 * @param product - what multiplies: a faster one must give the same bits.
 * @returns (rows, d_sae).
 * @throws {@link RangeError} on shapes that do not fit, no rows, or a value that is not finite.
 */
export function preActivations(
  x: Matrix,
  params: SaeParams,
  dialect: Dialect,
  product: typeof multiply = multiply,
): Matrix {
  requireParams(params);
  requireFinite('x', x);
  if (x.rows === 0) throw new RangeError('x: expected at least one row, got 0');
  if (x.cols !== params.W_enc.rows) {
    throw new RangeError(`x: expected d_in = ${params.W_enc.rows} columns, got ${x.cols}`);
  }
  const pre = product(encoderInput(x, params, dialect), params.W_enc);
  return dialect.encode.usesEncoderBias ? addToRows(pre, params.b_enc) : pre;
}

/** max(value, 0) for each value; -0 becomes 0. */
export function relu(pre: Matrix): Matrix {
  return map(pre, (value) => (value > 0 ? value : 0));
}

/** acts = ReLU(pre-activations): (rows, d_in) → (rows, d_sae). Throws as {@link preActivations}. */
export function encode(x: Matrix, params: SaeParams, dialect: Dialect): Matrix {
  return relu(preActivations(x, params, dialect));
}

/**
 * Pre-activations, then ReLU. Differs from the reference in what it does with values that are not finite: the reference
 * throws, this passes them on as NaN.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Dialect } from '../reference/dialects.ts';
import type { SaeTensors } from './params.ts';
import { product } from './product.ts';

/** x - b_dec, or x in dialects that do not subtract. (rows, d_in). */
export function encoderInput(x: tf.Tensor2D, params: SaeTensors, dialect: Dialect): tf.Tensor2D {
  return dialect.encode.subtractsDecoderBias ? tf.sub(x, params.b_dec) : tf.clone(x);
}

/**
 * pre = (x - b_dec) W_enc + b_enc.
 * @param x - (rows, d_in).
 * @returns (rows, d_sae).
 * @throws {@link RangeError} on shapes that do not fit, or no rows.
 */
export function preActivations(x: tf.Tensor2D, params: SaeTensors, dialect: Dialect): tf.Tensor2D {
  const [rows, d_in] = x.shape;
  if (rows === 0) throw new RangeError('x: expected at least one row, got 0');
  if (d_in !== params.W_enc.shape[0]) {
    throw new RangeError(`x: expected d_in = ${params.W_enc.shape[0]} columns, got ${d_in}`);
  }
  return tf.tidy(() => {
    const pre = product(encoderInput(x, params, dialect), params.W_enc);
    return dialect.encode.usesEncoderBias ? tf.add(pre, params.b_enc) : pre;
  });
}

/**
 * max(value, 0) for each value, and NaN where the value is NaN or infinite. Backends' own ReLU would turn -Infinity,
 * and some of them NaN, into an ordinary 0; adding 0 · value changes nothing else.
 */
export function relu(pre: tf.Tensor2D): tf.Tensor2D {
  return tf.tidy(() => tf.add(tf.relu(pre), tf.mul(pre, 0)));
}

/** acts = ReLU(pre-activations): (rows, d_in) → (rows, d_sae). Throws as {@link preActivations}. */
export function encode(x: tf.Tensor2D, params: SaeTensors, dialect: Dialect): tf.Tensor2D {
  return tf.tidy(() => relu(preActivations(x, params, dialect)));
}

/**
 * What a trained SAE does, on the backend in use: latents of rows, and rows from latents. Dense on the device; a batch is
 * read back at a time.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import { relu } from './encode.ts';
import { product } from './product.ts';
import { aboveThreshold, batchTopK } from './select.ts';

/** Row-major, float32, with norms and scales folded in. */
export interface InferenceWeights {
  readonly d_in: number;
  readonly d_sae: number;
  /** (d_in, d_sae). */
  readonly W_enc: Float32Array;
  readonly b_enc: Float32Array;
  /** (d_sae, d_in). */
  readonly W_dec: Float32Array;
  readonly b_dec: Float32Array;
  /** Whether b_dec is taken from x before it is encoded. */
  readonly subtractsDecoderBias: boolean;
}

export interface PortInference {
  /** Acts above the threshold, 0 elsewhere: (rows, d_sae). */
  readonly above: (x: Float32Array, rows: number, threshold: number) => Promise<Float32Array>;
  /** The k · rows largest acts, 0 elsewhere: (rows, d_sae). */
  readonly largest: (x: Float32Array, rows: number, k: number) => Promise<Float32Array>;
  /** latents W_dec + b_dec: (rows, d_in). */
  readonly decode: (latents: Float32Array, rows: number) => Promise<Float32Array>;
  readonly dispose: () => void;
}

export function portInference(weights: InferenceWeights): PortInference {
  const { d_in, d_sae } = weights;
  const W_enc = tf.tensor2d(weights.W_enc, [d_in, d_sae]);
  const W_dec = tf.tensor2d(weights.W_dec, [d_sae, d_in]);
  const [b_enc, b_dec] = [tf.tensor1d(weights.b_enc), tf.tensor1d(weights.b_dec)];
  const read = async (make: () => tf.Tensor): Promise<Float32Array> => {
    const result = tf.tidy(make);
    try {
      return await result.data<'float32'>();
    } finally {
      result.dispose();
    }
  };
  const acts = (x: Float32Array, rows: number): tf.Tensor2D => {
    const raw = tf.tensor2d(x, [rows, d_in]);
    const input: tf.Tensor2D = weights.subtractsDecoderBias ? tf.sub(raw, b_dec) : raw;
    return relu(tf.add(product(input, W_enc), b_enc));
  };
  return {
    above: (x, rows, threshold) => read(() => aboveThreshold(acts(x, rows), threshold)),
    largest: (x, rows, k) => read(() => batchTopK(acts(x, rows), k)),
    decode: (latents, rows) =>
      read(() => tf.add(product(tf.tensor2d(latents, [rows, d_sae]), W_dec), b_dec)),
    dispose: () => tf.dispose([W_enc, W_dec, b_enc, b_dec]),
  };
}

/**
 * Which acts become latents. Where tensors lie in host memory it selects there, on WebGPU by own programs, ties as in the
 * reference; elsewhere it uses the device's topk, whose choice among equal values is the device's own (TensorFlow: lower
 * index first).
 *
 * One score that is NaN or infinite makes every latent NaN: topk ranks NaN anywhere, or drops it, and would hide it.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Dialect } from '../reference/dialects.ts';
import { selectionCount } from '../reference/select.ts';
import { relu } from './encode.ts';
import { computesOnHost, cutBelowLargest } from './largest.ts';
import { rowNorms } from './product.ts';
import { onWebgpu } from './webgpu/program.ts';
import { keepLargestOfRows } from './webgpu/select-rows.ts';
import { keepLargest } from './webgpu/select.ts';

export { selectionCount };

/**
 * What is ranked: acts, or acts times their decoder row's norm where the dialect says so. (rows, d_sae).
 * A row of norm 0 is no error here: its latents score 0 and are not selected.
 */
export function selectionScores(
  acts: tf.Tensor2D,
  W_dec: tf.Tensor2D,
  dialect: Dialect,
): tf.Tensor2D {
  if (dialect.select.score === 'acts') return tf.clone(acts);
  return tf.tidy(() => tf.mul(acts, tf.reshape(rowNorms(W_dec), [1, W_dec.shape[0]])));
}

/**
 * The K = trunc(k · rows) largest scores of the whole batch keep their act if it is positive; everything else is 0.
 * @param acts - (rows, d_sae), after ReLU.
 * @param scores - what is ranked, (rows, d_sae).
 * @returns (rows, d_sae).
 * @throws {@link RangeError} on k outside 0..d_sae, or shapes that differ.
 */
export function batchTopK(acts: tf.Tensor2D, k: number, scores: tf.Tensor2D = acts): tf.Tensor2D {
  requireScores(acts, scores);
  const [rows, d_sae] = acts.shape;
  const K = selectionCount(k, rows, d_sae);
  if (computesOnHost()) return keepOnHost(acts, scores, K, rows * d_sae);
  if (onWebgpu() && K > 0) return keepLargest(acts, scores, K) as tf.Tensor2D;
  return tf.tidy(() =>
    tf.reshape(
      keepOnDevice(tf.reshape(acts, [1, rows * d_sae]), tf.reshape(scores, [1, rows * d_sae]), K),
      [rows, d_sae],
    ),
  );
}

/**
 * TopK: the k largest scores of each row keep their act.
 * @throws {@link RangeError} as {@link batchTopK}, and if k is not a whole number.
 */
export function topK(acts: tf.Tensor2D, k: number, scores: tf.Tensor2D = acts): tf.Tensor2D {
  requireScores(acts, scores);
  selectionCount(k, 1, acts.shape[1]);
  if (!Number.isInteger(k)) throw new RangeError(`k: expected a whole number for TopK, got ${k}`);
  if (computesOnHost()) return keepOnHost(acts, scores, k, acts.shape[1]);
  if (onWebgpu() && k > 0) {
    return tf.tidy(() => tf.add(keepLargestOfRows(acts, scores, k), poisonOf(acts, scores)));
  }
  return tf.tidy(() => keepOnDevice(acts, scores, k));
}

/**
 * Inference: acts whose score is strictly above the threshold; each row by itself.
 * @param threshold - one cut for all latents, a number or a scalar tensor.
 * @throws {@link RangeError} if shapes differ, or the threshold is the number NaN.
 */
export function aboveThreshold(
  acts: tf.Tensor2D,
  threshold: number | tf.Scalar,
  scores: tf.Tensor2D = acts,
): tf.Tensor2D {
  requireScores(acts, scores);
  if (Number.isNaN(threshold)) throw new RangeError('threshold: expected a number, got NaN');
  if (computesOnHost()) return aboveOnHost(acts, threshold, scores);
  return tf.tidy(() => tf.mul(relu(acts), tf.cast(tf.greater(scores, threshold), 'float32')));
}

/** As the device computes it: an act that is not finite makes its latent NaN, kept or not. */
function aboveOnHost(
  acts: tf.Tensor2D,
  threshold: number | tf.Scalar,
  scores: tf.Tensor2D,
): tf.Tensor2D {
  const cut = typeof threshold === 'number' ? Math.fround(threshold) : threshold.dataSync()[0];
  const values = acts.dataSync<'float32'>();
  const ranked = scores === acts ? values : scores.dataSync<'float32'>();
  const kept = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const act = values[i];
    kept[i] = ranked[i] > cut && act > 0 ? act : 0;
    if (!Number.isFinite(act)) kept[i] = NaN;
  }
  return tf.tensor2d(kept, acts.shape);
}

/** Each `length` values in a row compete for their own K places. */
function keepOnHost(
  acts: tf.Tensor2D,
  scores: tf.Tensor2D,
  K: number,
  length: number,
): tf.Tensor2D {
  const values = acts.dataSync<'float32'>();
  const ranked = scores === acts ? values : scores.dataSync<'float32'>();
  const kept = new Float32Array(values.length);
  if (!allFinite(values) || (ranked !== values && !allFinite(ranked))) {
    return tf.tensor2d(kept.fill(NaN), acts.shape);
  }
  for (let start = 0; K > 0 && start < values.length; start += length) {
    const cut = cutBelowLargest(ranked.subarray(start, start + length), K);
    let room = cut.room;
    for (let i = start; i < start + length; i++) {
      const score = ranked[i];
      const chosen = score > cut.value || (score === cut.value && room-- > 0);
      if (chosen && score > 0) kept[i] = values[i];
    }
  }
  return tf.tensor2d(kept, acts.shape);
}

/** Each row competes for its own K places. Selected acts that are 0 stay 0, so they need no removing. */
function keepOnDevice(acts: tf.Tensor2D, scores: tf.Tensor2D, K: number): tf.Tensor2D {
  const [rows, cols] = acts.shape;
  const poison = poisonOf(acts, scores);
  if (K === 0) return tf.add(tf.zeros([rows, cols]), poison);
  const { indices } = tf.topk(scores, K, false);
  const chosen = scatterRows(indices, tf.ones([rows, K]), cols);
  // A score that is not positive never counts, whatever its act is.
  return tf.add(tf.mul(tf.mul(acts, chosen), tf.step(scores)), poison);
}

/** 0, or NaN if any score or act is not finite. */
function poisonOf(acts: tf.Tensor2D, scores: tf.Tensor2D): tf.Scalar {
  return tf.sum(tf.sum(tf.mul(scores === acts ? acts : tf.add(scores, acts), 0), 1));
}

/** values[b, i] at column indices[b, i] of row b, 0 elsewhere: (rows, K) → (rows, cols). */
export function scatterRows(indices: tf.Tensor2D, values: tf.Tensor2D, cols: number): tf.Tensor2D {
  return tf.tidy(() => {
    const rows = indices.shape[0];
    const starts = tf.mul(tf.reshape(tf.range(0, rows, 1, 'int32'), [rows, 1]), cols);
    const flat = tf.reshape(tf.add(indices, starts), [-1, 1]);
    return tf.reshape(
      tf.scatterND(tf.cast(flat, 'int32'), tf.reshape(values, [-1]), [rows * cols]),
      [rows, cols],
    );
  });
}

function allFinite(values: Float32Array): boolean {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] * 0;
  return sum === 0;
}

function requireScores(acts: tf.Tensor2D, scores: tf.Tensor2D): void {
  if (scores.shape[0] !== acts.shape[0] || scores.shape[1] !== acts.shape[1]) {
    throw new RangeError(
      `scores: expected (${acts.shape.join(', ')}) like acts, got (${scores.shape.join(', ')})`,
    );
  }
}

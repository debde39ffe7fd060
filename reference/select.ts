/**
 * Which acts become latents. BatchTopK keeps the k·rows largest of the whole batch, so one row may keep more than k and
 * another none; TopK keeps k in each row; inference cuts every act at a threshold. One selection serves all prefixes.
 * Does not apply ReLU. Bussmann, Leask, Nanda 2024, arXiv:2412.06410.
 *
 * Acts that are not positive are never kept: where fewer than K are positive, the rest of the selection falls on zeros,
 * which no value and no gradient can see.
 * @module
 */
import { map, matrix, norm, requireFinite, row, type Matrix } from './matrix.ts';
import type { Dialect } from './dialects.ts';

/**
 * K = trunc(k · rows), the product taken in double: k may be fractional.
 * @throws {@link RangeError} if k is negative or not finite, or K exceeds rows · d_sae.
 */
export function selectionCount(k: number, rows: number, d_sae: number): number {
  const K = Math.trunc(k * rows);
  if (!Number.isFinite(k) || k < 0 || K > rows * d_sae) {
    throw new RangeError(`k: expected 0 <= k <= d_sae = ${d_sae}, got ${k}`);
  }
  return K;
}

/**
 * What is ranked: acts, or acts times their decoder row's norm where the dialect says so. (rows, d_sae).
 * @throws {@link RangeError} if a norm that is used is 0.
 */
export function selectionScores(acts: Matrix, W_dec: Matrix, dialect: Dialect): Matrix {
  if (dialect.select.score === 'acts') return acts;
  const norms = new Float64Array(W_dec.rows);
  for (let j = 0; j < W_dec.rows; j++) {
    norms[j] = norm(row(W_dec, j));
    if (norms[j] === 0) {
      throw new RangeError(
        `W_dec: expected non-zero rows to rescale acts by, got norm 0 in row ${j}`,
      );
    }
  }
  return map(acts, (act, i) => act * norms[i % acts.cols]);
}

/**
 * The K largest scores of the whole batch keep their act; everything else is 0.
 * Equal scores: the lower row, then the lower latent index, is kept.
 * @param acts - (rows, d_sae), after ReLU.
 * @param k - mean number of latents kept per row; K = trunc(k · rows).
 * @param scores - what is ranked, (rows, d_sae); the acts themselves if left out.
 * @returns latents (rows, d_sae), at most K of them not zero.
 * @throws {@link RangeError} on k outside 0..d_sae, shapes that differ, or scores that are not finite.
 * @example batchTopK(fromRows([[3, 2], [1, 0]]), 1) // [3, 2] and [0, 0]: the first row keeps two, the second none
 */
export function batchTopK(acts: Matrix, k: number, scores: Matrix = acts): Matrix {
  requireScores(acts, scores);
  const K = selectionCount(k, acts.rows, acts.cols);
  return matrix(acts.rows, acts.cols, keepLargest(acts.data, scores.data, K));
}

/**
 * TopK: the k largest scores of each row keep their act. Ties, arguments and errors as {@link batchTopK}.
 * @throws {@link RangeError} also if k is not a whole number.
 */
export function topK(acts: Matrix, k: number, scores: Matrix = acts): Matrix {
  requireScores(acts, scores);
  selectionCount(k, 1, acts.cols);
  if (!Number.isInteger(k)) throw new RangeError(`k: expected a whole number for TopK, got ${k}`);
  const latents = matrix(acts.rows, acts.cols);
  for (let b = 0; b < acts.rows; b++) {
    row(latents, b).set(keepLargest(row(acts, b), row(scores, b), k));
  }
  return latents;
}

/**
 * Inference: acts whose score is strictly above the threshold; each row by itself.
 * @param threshold - one cut for all latents; a negative one leaves a plain ReLU.
 * @throws {@link RangeError} if the threshold is NaN, or scores are not finite.
 */
export function aboveThreshold(acts: Matrix, threshold: number, scores: Matrix = acts): Matrix {
  requireScores(acts, scores);
  if (Number.isNaN(threshold)) throw new RangeError('threshold: expected a number, got NaN');
  return map(acts, (act, i) => (act > 0 && scores.data[i] > threshold ? act : 0));
}

/** Values whose score is among the K largest (lower index first among equals) and above 0; 0 elsewhere. */
function keepLargest(values: Float64Array, scores: Float64Array, K: number): Float64Array {
  const kept = new Float64Array(values.length);
  if (K === 0) return kept;
  // Only positive scores are ever kept: with fewer than K of them, all are.
  const positive = sortedPositive(scores);
  const cut = positive.length < K ? 0 : positive[positive.length - K]; // the K-th largest
  let room = K;
  for (let i = 0; i < scores.length; i++) if (scores[i] > cut) room--; // what is left for scores equal to the cut
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i];
    const chosen = score > cut || (score === cut && room-- > 0);
    if (chosen && score > 0) kept[i] = values[i];
  }
  return kept;
}

/** Scores above 0, ascending. A plain loop: the built-in filter of typed arrays takes as long as sorting. */
function sortedPositive(scores: Float64Array): Float64Array {
  const positive = new Float64Array(scores.length);
  let count = 0;
  for (let i = 0; i < scores.length; i++) if (scores[i] > 0) positive[count++] = scores[i];
  return positive.subarray(0, count).sort();
}

function requireScores(acts: Matrix, scores: Matrix): void {
  if (scores.rows !== acts.rows || scores.cols !== acts.cols) {
    throw new RangeError(
      `scores: expected (${acts.rows}, ${acts.cols}) like acts, got (${scores.rows}, ${scores.cols})`,
    );
  }
  requireFinite('scores', scores);
}

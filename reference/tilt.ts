/**
 * Tilted risk: rows with larger errors weigh more in a level's loss (Li et al. 2021, arXiv:2007.01162).
 * Source: li `autoresearch/sae.py term_mean`.
 * @module
 */
import { dot, row, type Matrix } from './matrix.ts';

/**
 * w_b = softmax over rows of t · e_b / mean e, with e_b = ‖E[b]‖²; constants to the gradient. Where every error is 0,
 * 1 / rows each (published: NaN).
 * @param error - E of one level, (rows, d_in).
 * @param tilt - t >= 0; 0 weighs rows alike.
 * @returns (rows), of sum 1.
 */
export function rowWeights(error: Matrix, tilt: number): Float64Array {
  const squares = rowSquares(error);
  const mean = squares.reduce((sum, square) => sum + square, 0) / error.rows;
  if (mean === 0) return squares.fill(1 / error.rows);
  const tilts = squares.map((square) => tilt * (square / mean));
  const largest = tilts.reduce((most, value) => Math.max(most, value));
  // From the largest down: no exponential overflows.
  const shares = tilts.map((value) => Math.exp(value - largest));
  const total = shares.reduce((sum, share) => sum + share, 0);
  return shares.map((share) => share / total);
}

/** ‖E[b]‖² of each row: (rows). */
export function rowSquares(error: Matrix): Float64Array {
  return Float64Array.from({ length: error.rows }, (_, b) => dot(row(error, b), row(error, b)));
}

/**
 * Keeping decoder rows at unit norm: drop the gradient's part parallel to each row, and rescale rows.
 * @module
 */
import { addScaled, dot, matrix, norm, row, type Matrix } from './matrix.ts';

/**
 * g_j ← g_j - (g_j·ŵ_j) ŵ_j with ŵ_j = w_j / (‖w_j‖ + epsilon), for each row j.
 * With dl's epsilon 1e-6 about 2e-6 of the parallel part stays.
 * Source: dl `trainers/trainer.py`, `remove_gradient_parallel_to_decoder_directions`.
 * @param gradient - of W_dec, (d_sae, d_in).
 */
export function projectGradient(gradient: Matrix, W_dec: Matrix, epsilon: number): Matrix {
  const unit = normaliseRows(W_dec, epsilon);
  const out = matrix(gradient.rows, gradient.cols, gradient.data.slice());
  for (let j = 0; j < out.rows; j++) {
    addScaled(row(out, j), row(unit, j), -dot(row(gradient, j), row(unit, j)));
  }
  return out;
}

/**
 * w_j ← w_j / (‖w_j‖ + epsilon). A zero row stays zero as long as epsilon is not.
 * Source: dl `trainers/trainer.py`, `set_decoder_norm_to_unit_norm`.
 */
export function normaliseRows(W_dec: Matrix, epsilon: number): Matrix {
  const out = matrix(W_dec.rows, W_dec.cols, W_dec.data.slice());
  for (let j = 0; j < out.rows; j++) {
    const length = norm(row(W_dec, j)) + epsilon;
    const values = row(out, j);
    for (let i = 0; i < values.length; i++) values[i] /= length;
  }
  return out;
}

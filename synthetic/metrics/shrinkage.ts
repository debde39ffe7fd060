/**
 * Whether reconstructions are too short. Shrinkage, mean |x̂| / |x| (SAELens 6.54.12,
 * synthetic/evals.py::ShrinkageCalculator), and relative reconstruction bias, E|x̂|² / E[x · x̂] (SAEBench 0.6.0,
 * core/main.py): both 1 at best.
 * @module
 */
import { dot, norm, row, type Matrix } from '../../reference/matrix.ts';

/** Rows of x no longer than this have no ratio. */
export const SHORTEST = 1e-6;

/**
 * @param x - (samples, d_in).
 * @param reconstruction - x̂, (samples, d_in).
 * @returns null if every row of x is shorter than {@link SHORTEST}.
 */
export function shrinkage(x: Matrix, reconstruction: Matrix): number | null {
  let sum = 0;
  let rows = 0;
  for (let n = 0; n < x.rows; n++) {
    const length = norm(row(x, n));
    if (length <= SHORTEST) continue;
    sum += norm(row(reconstruction, n)) / length;
    rows++;
  }
  return rows === 0 ? null : sum / rows;
}

/** @returns null if E[x · x̂] is 0, as for a reconstruction that is 0 everywhere. */
export function reconstructionBias(x: Matrix, reconstruction: Matrix): number | null {
  const product = dot(x.data, reconstruction.data);
  return product === 0 ? null : dot(reconstruction.data, reconstruction.data) / product;
}

/**
 * Directions of features: orthonormal frames where they fit, random unit vectors where they do not (push-apart.ts).
 * @module
 */
import { addScaled, dot, matrix, norm, row, type Matrix } from '../../reference/matrix.ts';
import type { Rng } from '../rng.ts';

/**
 * Rows of a random orthonormal frame, (rows, cols) with rows <= cols: the Q of the QR of a Gaussian matrix, by
 * Gram–Schmidt done twice per row, which holds orthogonality to rounding (Giraud et al. 2005, "twice is enough").
 */
export function orthonormalRows(rows: number, cols: number, rng: Rng): Matrix {
  const q = matrix(rows, cols);
  for (let f = 0; f < rows; f++) {
    const v = row(q, f);
    for (let i = 0; i < cols; i++) v[i] = rng.normal();
    for (let pass = 0; pass < 2; pass++) {
      for (let g = 0; g < f; g++) addScaled(v, row(q, g), -dot(v, row(q, g)));
      toUnit(v);
    }
  }
  return q;
}

/** (rows, cols), each row uniform on the unit sphere. */
export function unitRows(rows: number, cols: number, rng: Rng): Matrix {
  const q = matrix(rows, cols);
  for (let i = 0; i < q.data.length; i++) q.data[i] = rng.normal();
  for (let f = 0; f < rows; f++) toUnit(row(q, f));
  return q;
}

/** Scales v to length 1, in place. */
export function toUnit(v: Float64Array): void {
  const length = norm(v);
  for (let i = 0; i < v.length; i++) v[i] /= length;
}

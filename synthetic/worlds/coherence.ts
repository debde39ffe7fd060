/**
 * How close to orthogonal directions are, and how close they could be.
 * @module
 */
import { dot, norm, row, type Matrix } from '../../reference/matrix.ts';

/**
 * Welch's bound: the least root mean square cosine between `features` unit vectors in d_in dimensions, √((F - d) / (d (F - 1))); 0
 * where they can be orthogonal. Welch 1974, IEEE Transactions on Information Theory 20(3).
 */
export function welchBound(features: number, d_in: number): number {
  return features <= d_in ? 0 : Math.sqrt((features - d_in) / (d_in * (features - 1)));
}

/**
 * Mean over rows of the largest |cos| with another row. Takes F² d products.
 * @throws {@link RangeError} with fewer than 2 rows.
 */
export function meanMaxCosine(directions: Matrix): number {
  const { rows } = directions;
  if (rows < 2) throw new RangeError(`meanMaxCosine: expected at least 2 rows, got ${rows}`);
  const unit = Array.from({ length: rows }, (_, f) => {
    const g = row(directions, f);
    const length = norm(g);
    return g.map((value) => value / length);
  });
  const largest = new Float64Array(rows);
  for (let f = 0; f < rows; f++) {
    for (let g = 0; g < f; g++) {
      const cosine = Math.abs(dot(unit[f], unit[g]));
      if (cosine > largest[f]) largest[f] = cosine;
      if (cosine > largest[g]) largest[g] = cosine;
    }
  }
  return largest.reduce((sum, value) => sum + value, 0) / rows;
}

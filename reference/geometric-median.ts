/**
 * Geometric median by Weiszfeld's iteration: where b_dec starts in dl. Robust to the few huge rows of real activations.
 * @module
 */
import { addScaled, columnMeans, norm, requireFinite, row, type Matrix } from './matrix.ts';

/**
 * Starts at the mean; at most 100 rounds of y' = Σ x_i / ‖x_i - y‖, weights normalised; stops when ‖y' - y‖ < 1e-5
 * and returns y'. No epsilon guards the distances.
 * Source: dl `MatryoshkaBatchTopKTrainer.geometric_median`.
 * @param points - (rows, d_in).
 * @returns (d_in).
 * @throws {@link RangeError} if the iterate meets a row exactly, as with one row or identical rows: the weight would be
 * infinite and the published code returns NaN.
 */
export function geometricMedian(points: Matrix): Float64Array {
  requireFinite('geometricMedian: points', points);
  if (points.rows === 0) throw new RangeError('geometricMedian: expected at least one row, got 0');
  let median = columnMeans(points);
  for (let round = 0; round < 100; round++) {
    const next = weiszfeld(points, median);
    const moved = norm(next.map((value, i) => value - median[i]));
    median = next;
    if (moved < 1e-5) break;
  }
  return median;
}

/** One round of the iteration from `from`: the mean of all rows weighted by 1 / distance. */
export function weiszfeld(points: Matrix, from: Float64Array): Float64Array {
  const weights = new Float64Array(points.rows);
  for (let i = 0; i < points.rows; i++) {
    const distance = norm(row(points, i).map((value, t) => value - from[t]));
    if (distance === 0) {
      throw new RangeError(
        `geometricMedian: row ${i} equals the iterate, so its weight 1 / distance is infinite; expected rows that differ (got ${points.rows} rows)`,
      );
    }
    weights[i] = 1 / distance;
  }
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const next = new Float64Array(points.cols);
  for (let i = 0; i < points.rows; i++) addScaled(next, row(points, i), weights[i] / total);
  return next;
}

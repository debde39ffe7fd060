/**
 * Explained variance, 1 - E|x - x̂|² / (E|x|² - |E x|²), the R² of all dimensions together.
 * Definition: SAELens 6.54.12, evals.py::ExplainedVarianceCalculator. Not SAEBench core's field of the same name,
 * which averages x² where R² needs x.
 * @module
 */
import type { Matrix } from '../../reference/matrix.ts';
import { columnMeans, dot } from '../../reference/matrix.ts';

/** Below this a variance, or an error, counts as none. */
export const NO_VARIANCE = 1e-10;

/**
 * @param x - (samples, d_in).
 * @param reconstruction - x̂, (samples, d_in).
 * @returns in (-∞, 1]; for constant x 1 if it is reconstructed and 0 if not; null without samples.
 * @throws {@link RangeError} if the shapes differ.
 */
export function explainedVariance(x: Matrix, reconstruction: Matrix): number | null {
  if (x.rows !== reconstruction.rows || x.cols !== reconstruction.cols) {
    throw new RangeError(
      `explainedVariance: expected a reconstruction of ${x.rows} x ${x.cols}, got ${reconstruction.rows} x ${reconstruction.cols}`,
    );
  }
  if (x.rows === 0) return null;
  let squaredError = 0;
  for (let i = 0; i < x.data.length; i++) {
    const difference = x.data[i] - reconstruction.data[i];
    squaredError += difference * difference;
  }
  const meanError = squaredError / x.rows;
  const mean = columnMeans(x);
  const variance = dot(x.data, x.data) / x.rows - dot(mean, mean);
  if (variance < NO_VARIANCE) return meanError < NO_VARIANCE ? 1 : 0;
  return 1 - meanError / variance;
}

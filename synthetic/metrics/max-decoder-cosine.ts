/**
 * How close decoder rows lie to one another: per latent the largest signed cosine to another latent, then the mean.
 * Low is disentangled, but a world of correlated directions has a floor of its own: print it beside.
 * Definition: SAEBench 0.6.0, core/main.py::calculate_max_cosine_sim.
 * @module
 */
import type { Matrix } from '../../reference/matrix.ts';
import { dot, matrix, row } from '../../reference/matrix.ts';
import { rowNorms } from './code.ts';

/** @returns the mean over rows, in [-1, 1]; null for fewer than two rows. */
export function maxDecoderCosine(decoder: Matrix): number | null {
  if (decoder.rows < 2) return null;
  const rows = Array.from({ length: decoder.rows }, (_, l) => row(decoder, l));
  const norms = rowNorms(decoder);
  // Pair by pair: the matrix of all cosines is never held.
  const largest = new Float64Array(decoder.rows).fill(-1);
  for (let a = 0; a < rows.length; a++) {
    for (let b = a + 1; b < rows.length; b++) {
      const cosine = dot(rows[a], rows[b]) / (norms[a] * norms[b]);
      if (cosine > largest[a]) largest[a] = cosine;
      if (cosine > largest[b]) largest[b] = cosine;
    }
  }
  return largest.reduce((sum, value) => sum + value, 0) / decoder.rows;
}

/** The same among the latents that are active somewhere: dead rows neither count nor are compared with. */
export function maxDecoderCosineAlive(decoder: Matrix, alive: readonly number[]): number | null {
  return maxDecoderCosine(selectRows(decoder, alive));
}

/**
 * The world's floor: what a perfect dictionary of its `d_sae` most frequent features scores.
 * @param directions - (features, d_in).
 * @param marginals - P(feature on); equal ones in order of the feature.
 */
export function maxCosineFloor(
  directions: Matrix,
  marginals: readonly number[],
  d_sae: number,
): number | null {
  const byFrequency = marginals
    .map((_, f) => f)
    .sort((a, b) => marginals[b] - marginals[a] || a - b);
  return maxDecoderCosine(selectRows(directions, byFrequency.slice(0, d_sae)));
}

function selectRows(a: Matrix, indices: readonly number[]): Matrix {
  const out = matrix(indices.length, a.cols);
  indices.forEach((source, i) => out.data.set(row(a, source), i * a.cols));
  return out;
}

/**
 * How close decoder rows lie to one another: per latent the largest signed cosine to another latent, then the mean.
 * Low is disentangled, but a world of correlated directions has a floor of its own: print it beside.
 * Definition: SAEBench 0.6.0, core/main.py::calculate_max_cosine_sim.
 * @module
 */
import type { Matrix } from '../../reference/matrix.ts';
import { matrix, row } from '../../reference/matrix.ts';
import { cosines } from './code.ts';

/** @returns the mean over rows, in [-1, 1]; null for fewer than two rows. */
export function maxDecoderCosine(decoder: Matrix): number | null {
  if (decoder.rows < 2) return null;
  const cosine = cosines(decoder, decoder);
  let sum = 0;
  for (let l = 0; l < decoder.rows; l++) {
    sum += row(cosine, l).reduce(
      (max, value, other) => (other === l ? max : Math.max(max, value)),
      -1,
    );
  }
  return sum / decoder.rows;
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

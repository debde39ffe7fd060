/**
 * Mean correlation coefficient: how well decoder rows match true directions, one to one. Sees only directions: dead
 * latents are matched like any other, and chance gives more than 0.
 * Definition: SAELens 6.54.12, synthetic/evals.py::mean_correlation_coefficient.
 * @module
 */
import { linearSumAssignment } from 'linear-sum-assignment';
import type { Matrix } from '../../reference/matrix.ts';
import { row } from '../../reference/matrix.ts';

/** A one-to-one pairing of min(latents, features) latents with features. */
export interface Matching {
  /** Latent paired with each feature; -1 if none is left for it. */
  readonly latentOf: Int32Array;
  /** Feature paired with each latent; -1 if none. */
  readonly featureOf: Int32Array;
  /** Mean |cosine| of the pairs, in [0, 1]; null without latents or without features. */
  readonly mcc: number | null;
}

/**
 * Maximises the sum of |cosine| over one-to-one pairings. Its value is unique; which of several equal pairings is
 * returned is not specified.
 * @param cosine - (d_sae, features), of decoder rows with true directions.
 * @throws {@link RangeError} if a cosine is not finite: the assignment would be meaningless.
 */
export function matchLatents(cosine: Matrix): Matching {
  const at = cosine.data.findIndex((value) => !Number.isFinite(value));
  if (at >= 0) {
    throw new RangeError(`matchLatents: expected finite cosines, got ${cosine.data[at]}`);
  }
  const featureOf = new Int32Array(cosine.rows).fill(-1);
  const latentOf = new Int32Array(cosine.cols).fill(-1);
  if (cosine.rows === 0 || cosine.cols === 0) return { latentOf, featureOf, mcc: null };

  const similarity = Array.from({ length: cosine.rows }, (_, l) => row(cosine, l).map(Math.abs));
  const { rowAssignments } = linearSumAssignment(similarity, { maximaze: true });
  let sum = 0;
  for (let l = 0; l < cosine.rows; l++) {
    const feature = rowAssignments[l];
    featureOf[l] = feature;
    if (feature < 0) continue;
    latentOf[feature] = l;
    sum += similarity[l][feature];
  }
  return { latentOf, featureOf, mcc: sum / Math.min(cosine.rows, cosine.cols) };
}

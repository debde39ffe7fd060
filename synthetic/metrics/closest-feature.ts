/**
 * The feature a latent points at most: the largest |cosine|, the lowest index among equals. Under absorption a child's
 * row is equally close to its parent, and then the lengths of the world's directions decide; hence the near-ties.
 * @module
 */
import { row, type Matrix } from '../../reference/matrix.ts';

/** Two best |cosines| closer than this are a near-tie. */
export const NEAR_TIE = 0.02;

export interface ClosestFeatures {
  /** (d_sae); -1 without features. */
  readonly feature: Int32Array;
  /** Latents whose two closest features are within {@link NEAR_TIE}. */
  readonly nearTies: number;
}

/** @param cosine - (d_sae, features). */
export function closestFeatures(cosine: Matrix): ClosestFeatures {
  const feature = new Int32Array(cosine.rows).fill(-1);
  let nearTies = 0;
  for (let l = 0; l < cosine.rows; l++) {
    const values = row(cosine, l);
    let best = -1;
    let second = -1;
    for (let f = 0; f < values.length; f++) {
      const size = Math.abs(values[f]);
      if (size > best) {
        second = best;
        best = size;
        feature[l] = f;
      } else if (size > second) second = size;
    }
    if (second >= 0 && best - second < NEAR_TIE) nearTies++;
  }
  return { feature, nearTies };
}

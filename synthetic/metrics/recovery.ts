/**
 * Feature-wise recovery: how well any decoder row points along a true direction. One latent may recover several
 * features, as opposed to MCC's one-to-one pairs.
 * @module
 */
import type { Matrix } from '../../reference/matrix.ts';

/** A feature whose best |cosine| is above this counts as recovered. */
export const RECOVERED = 0.9;

export interface Recovery {
  /** Largest |cosine| of a decoder row with each direction: (features); 0 without latents. */
  readonly best: Float64Array;
  /** Share of features above {@link RECOVERED}; null without features. */
  readonly recovered: number | null;
}

/** @param cosine - (d_sae, features). */
export function recovery(cosine: Matrix): Recovery {
  const best = new Float64Array(cosine.cols);
  for (let l = 0; l < cosine.rows; l++) {
    for (let f = 0; f < cosine.cols; f++) {
      best[f] = Math.max(best[f], Math.abs(cosine.data[l * cosine.cols + f]));
    }
  }
  const count = best.filter((value) => value > RECOVERED).length;
  return { best, recovered: cosine.cols === 0 ? null : count / cosine.cols };
}

/**
 * Cosines of latents with true directions in the order that pictures show them: one row for each matched feature in
 * the world's order, then what is unmatched.
 * @module
 */
import type { Matrix } from '../../reference/matrix.ts';
import { row } from '../../reference/matrix.ts';
import type { Matching } from './mcc.ts';

/** Rows of a picture, at most: worlds of more features have none. */
export const SHOWN_FEATURES = 64;

export interface MatchedCosines {
  /** Latent of each row. */
  readonly latents: readonly number[];
  /** Feature matched with each row, or -1. */
  readonly features: readonly number[];
  /** cos(w_latent, g_feature), rows × features. */
  readonly values: readonly (readonly number[])[];
}

/** @param cosine - (d_sae, features). @returns null above {@link SHOWN_FEATURES} features. */
export function matchedCosines(cosine: Matrix, matching: Matching): MatchedCosines | null {
  if (cosine.cols > SHOWN_FEATURES) return null;
  const { latentOf, featureOf } = matching;
  const matched = [...latentOf].filter((latent) => latent >= 0);
  const unmatched = [...featureOf.keys()].filter((latent) => featureOf[latent] < 0);
  const latents = [...matched, ...unmatched];
  return {
    latents,
    features: latents.map((latent) => featureOf[latent]),
    values: latents.map((latent) => [...row(cosine, latent)]),
  };
}

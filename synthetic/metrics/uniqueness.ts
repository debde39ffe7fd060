/**
 * Uniqueness: how many different features the latents are closest to, per latent. At most features / latents where
 * there are fewer features. Definition: SAELens 6.54.12, synthetic/evals.py::feature_uniqueness.
 * @module
 */
import type { ClosestFeatures } from './closest-feature.ts';

/** @returns in [0, 1]; 0 without latents or without features. Dead latents count. */
export function uniqueness({ feature }: ClosestFeatures): number {
  const pointedAt = new Set(feature);
  pointedAt.delete(-1);
  return feature.length === 0 ? 0 : pointedAt.size / feature.length;
}

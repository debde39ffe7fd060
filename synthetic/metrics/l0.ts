/**
 * L0: mean number of active latents per sample. A latent is active where it is not 0, negative values included.
 * @module
 */
import type { Matrix } from '../../reference/matrix.ts';

/** @param latents - (samples, d_sae). @returns in [0, d_sae]; 0 without samples. */
export function l0(latents: Matrix): number {
  if (latents.rows === 0) return 0;
  return latents.data.reduce((count, z) => count + (z === 0 ? 0 : 1), 0) / latents.rows;
}

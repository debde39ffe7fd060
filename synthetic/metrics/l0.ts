/**
 * L0: mean number of active latents per sample. A latent is active where it is not 0, negative values included.
 * @module
 */
import type { SparseRows } from '../sparse-rows.ts';

/** @param latents - (samples, d_sae). @returns in [0, d_sae]; 0 without samples. */
export function l0(latents: SparseRows): number {
  return latents.rows === 0 ? 0 : latents.index.length / latents.rows;
}

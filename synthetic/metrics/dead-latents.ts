/**
 * Latents that are never active over an evaluation. The count falls as the evaluation grows: state its size with it.
 * @module
 */
import { columnCounts, type SparseRows } from '../sparse-rows.ts';

/** @param latents - (samples, d_sae). @returns indices of the latents active in some sample, ascending. */
export function aliveLatents(latents: SparseRows): number[] {
  const counts = columnCounts(latents);
  return [...counts.keys()].filter((l) => counts[l] > 0);
}

/** @returns number of latents never active; 0 without samples, when nothing could have fired. */
export function deadLatents(latents: SparseRows): number {
  return latents.rows === 0 ? 0 : latents.cols - aliveLatents(latents).length;
}

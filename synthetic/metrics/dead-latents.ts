/**
 * Latents that are never active over an evaluation. The count falls as the evaluation grows: state its size with it.
 * @module
 */
import type { Matrix } from '../../reference/matrix.ts';

/** @param latents - (samples, d_sae). @returns indices of the latents active in some sample, ascending. */
export function aliveLatents(latents: Matrix): number[] {
  const fired = new Uint8Array(latents.cols);
  latents.data.forEach((z, i) => {
    if (z !== 0) fired[i % latents.cols] = 1;
  });
  return [...fired.keys()].filter((l) => fired[l] === 1);
}

/** @returns number of latents never active; 0 without samples, when nothing could have fired. */
export function deadLatents(latents: Matrix): number {
  return latents.rows === 0 ? 0 : latents.cols - aliveLatents(latents).length;
}

/**
 * How long since each latent fired, and which are dead.
 * @module
 */
import type { Dialect } from './dialects.ts';
import type { Matrix } from './matrix.ts';

/**
 * 0 for a latent that is positive in any row, else the old count plus the batch's rows (or 1 where steps are counted).
 * Source: dl `MatryoshkaBatchTopKTrainer.loss`.
 * @param sinceFired - (d_sae), in the dialect's unit.
 * @param latents - (rows, d_sae), after selection.
 */
export function updateSinceFired(
  sinceFired: Float64Array,
  latents: Matrix,
  dialect: Dialect,
): Float64Array {
  const passed = dialect.deadLatents.unit === 'tokens' ? latents.rows : 1;
  const next = sinceFired.map((count) => count + passed);
  for (let i = 0; i < latents.data.length; i++) {
    if (latents.data[i] > 0) next[i % latents.cols] = 0;
  }
  return next;
}

/** 1 for each dead latent: its count is at least `deadAfter` (or above it, as the dialect says). (d_sae). */
export function deadMask(
  sinceFired: Float64Array,
  deadAfter: number,
  dialect: Dialect,
): Uint8Array {
  const { test } = dialect.deadLatents;
  return Uint8Array.from(sinceFired, (count) =>
    Number(test === 'above' ? count > deadAfter : count >= deadAfter),
  );
}

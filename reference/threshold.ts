/**
 * The inference threshold: a moving average of the smallest positive latent that training selected. No gradient.
 * @module
 */
import type { Dialect } from './dialects.ts';
import type { Matrix } from './matrix.ts';

/**
 * The smallest score among selected latents, or null if none is selected.
 * @param latents - (rows, d_sae), 0 where not selected.
 * @param scores - what was ranked, (rows, d_sae); the latents themselves if left out.
 */
export function smallestSelected(latents: Matrix, scores: Matrix = latents): number | null {
  let smallest = Infinity;
  for (let i = 0; i < latents.data.length; i++) {
    if (latents.data[i] > 0) smallest = Math.min(smallest, scores.data[i]);
  }
  return smallest === Infinity ? null : smallest;
}

/**
 * First update (threshold still negative) assigns, later ones average: decay · threshold + (1 - decay) · smallest.
 * Source: dl `MatryoshkaBatchTopKTrainer.update_threshold`.
 * @param threshold - the value before; negative means never set.
 * @param smallest - of this batch, null if nothing positive was selected.
 * @throws {@link RangeError} if the first update has nothing to assign (the published code raises a TypeError).
 */
export function updateThreshold(
  threshold: number,
  smallest: number | null,
  dialect: Dialect,
): number {
  const { first, decay, whenEmpty } = dialect.threshold;
  if (first === 'assign' && threshold < 0) {
    if (smallest === null) {
      throw new RangeError('threshold: expected a positive latent for its first update, got none');
    }
    return smallest;
  }
  if (smallest === null && whenEmpty === 'keep') return threshold;
  return decay * threshold + (1 - decay) * (smallest ?? 0);
}

/**
 * since-fired: counts, which no arithmetic changes but a narrow dtype.
 * @module
 */
import type { Call, Tensors } from '../kernel.ts';
import { fromVector, numberOf } from '../tensors.ts';
import type { Arithmetic } from './arithmetic.ts';

/** 0 for a latent that is positive in any row, else its count plus the batch's rows; dead from dead_after on. */
export function sinceFired(call: Call, { round, store }: Arithmetic): Tensors {
  const { since_fired, latents } = call.inputs;
  const d_sae = since_fired.data.length;
  const rows = latents.data.length / d_sae;
  const counts = since_fired.data.map((count) => round(count + rows));
  latents.data.forEach((latent, at) => {
    if (latent > 0) counts[at % d_sae] = 0;
  });
  const deadAfter = numberOf(call, 'dead_after');
  return {
    since_fired: fromVector(counts.map(store)),
    dead: fromVector(counts.map((count) => Number(count >= deadAfter))),
  };
}

/**
 * update-threshold.
 * @module
 */
import type { Call, Tensors } from '../kernel.ts';
import { numberOf, scalar } from '../tensors.ts';
import type { Arithmetic } from './arithmetic.ts';

/** decay · threshold + (1 - decay) · smallest positive latent; that latent itself the first time; 0 if there is none. */
export function updateThreshold(call: Call, { round, store }: Arithmetic): Tensors {
  const { threshold, latents } = call.inputs;
  const [old] = threshold.data;
  const smallest = latents.data.reduce(
    (least, value) => (value > 0 && value < least ? value : least),
    Infinity,
  );
  if (old < 0) {
    if (smallest === Infinity) throw new RangeError('latents: expected a positive one, got none');
    return { threshold: scalar(store(smallest)) };
  }
  const decay = numberOf(call, 'decay');
  const kept = round(round(decay) * old);
  const added = smallest === Infinity ? 0 : round(round(1 - decay) * smallest);
  return { threshold: scalar(store(round(kept + added))) };
}

/**
 * The input normalisation of a run, from its first batches.
 * @module
 */
import { normFactor } from '../reference/input-norm.ts';
import type { ActivationShards } from './activation-shards.ts';
import { shuffledBatches, type BatchOptions } from './shuffled-batches.ts';
import { usage } from './usage-error.ts';

/** As many batches as dl's `get_norm_factor` takes. */
const BATCHES = 101;

/**
 * f = √(mean ‖x‖²) over the first 101 batches of the run, or one pass where that is less; these batches are trained on
 * as well.
 * @throws {@link UsageError} if all of them are zero.
 */
export async function measureNormFactor(
  activations: ActivationShards,
  options: BatchOptions,
): Promise<number> {
  const count = Math.min(BATCHES, Math.floor(activations.rows / options.batchRows));
  const batches = shuffledBatches(activations, options);
  let sum = 0;
  try {
    for (let i = 0; i < count; i++) {
      const x = await batches.next();
      for (let at = 0; at < x.length; at++) sum += x[at] * x[at];
    }
  } finally {
    await batches.close();
  }
  return usage(() => normFactor(sum / (count * options.batchRows)));
}

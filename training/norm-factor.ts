/**
 * The input normalisation of a run, from its first batches.
 * @module
 */
import { dictionaryLearning, type Dialect } from '../reference/dialects.ts';
import { normFactor } from '../reference/input-norm.ts';
import type { ActivationShards } from './activation-shards.ts';
import { shuffledBatches, type BatchOptions } from './shuffled-batches.ts';
import { usage } from './usage-error.ts';

/** As many batches as dl's `get_norm_factor` takes. */
const BATCHES = 101;

/**
 * What inputs are divided by, as the dialect estimates it over the first 101 batches of the run, or one pass where that
 * is less: √(mean ‖x‖²), or mean ‖x‖ / √d_in; 1 where it estimates nothing. These batches are trained on as well.
 * @throws {@link UsageError} if all of them are zero.
 */
export async function measureNormFactor(
  activations: ActivationShards,
  options: BatchOptions,
  dialect: Dialect = dictionaryLearning,
): Promise<number> {
  const { estimate } = dialect.input;
  if (estimate === 'none') return 1;
  const count = Math.min(BATCHES, Math.floor(activations.rows / options.batchRows));
  const { d_in } = activations;
  const batches = shuffledBatches(activations, options);
  let sum = 0; // of squared lengths
  let lengths = 0;
  try {
    for (let i = 0; i < count; i++) {
      const x = await batches.next();
      let squares = 0;
      for (let at = 0; at < x.length; at++) {
        const square = x[at] * x[at];
        sum += square;
        squares += square;
        if (at % d_in !== d_in - 1) continue;
        lengths += Math.sqrt(squares);
        squares = 0;
      }
    }
  } finally {
    await batches.close();
  }
  const rows = count * options.batchRows;
  if (estimate === 'root-mean-square-norm') return usage(() => normFactor(sum / rows));
  // The same refusal of zeros, then sl's estimate.
  return usage(() => normFactor((lengths / rows) ** 2 / d_in));
}

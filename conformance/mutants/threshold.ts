/**
 * Wrong updates of the inference threshold.
 * @module
 */
import type { Call } from '../kernel.ts';
import { numberOf, scalar } from '../tensors.ts';
import type { Mutant } from './mutant.ts';

interface Parts {
  readonly threshold: number;
  readonly decay: number;
  /** What the batch gives; null where nothing is positive. */
  readonly found: number | null;
}

/** `find` names the batch's value, `update` what becomes of the threshold. NaN for a refusal. */
function updating(
  find: (positive: readonly number[], call: Call) => number,
  update: (parts: Parts) => number = published,
): Mutant['run'] {
  return (call) => {
    const positive = [...call.inputs.latents.data].filter((latent) => latent > 0);
    const threshold = update({
      threshold: call.inputs.threshold.data[0],
      decay: numberOf(call, 'decay'),
      found: positive.length === 0 ? null : find(positive, call),
    });
    return { threshold: scalar(threshold) };
  };
}

function published({ threshold, decay, found }: Parts): number {
  if (threshold < 0) return found ?? NaN;
  return decay * threshold + (1 - decay) * (found ?? 0);
}

const smallest = (positive: readonly number[]): number => Math.min(...positive);

/** Each row's smallest positive latent; `empty` for a row without one. */
function rowMinima({ inputs: { latents } }: Call, empty: number): number[] {
  const [rows, d_sae] = latents.shape;
  return Array.from({ length: rows }, (_, b) => {
    const row = latents.data.slice(b * d_sae, (b + 1) * d_sae).filter((latent) => latent > 0);
    return row.length === 0 ? empty : Math.min(...row);
  });
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Laws that tell what is wrong. */
const law = {
  first: 'the first update takes the smallest positive latent as it is',
  values: 'only the values of latents matter, not their places',
  share:
    'a later update, from a threshold of 0 too, takes 1 - decay of the way to the smallest positive latent',
  empty: 'without a positive latent a threshold that was set shrinks to decay times itself',
  refused: 'refuses a first update without a positive latent, or returns NaN',
} as const;

export const mutants: readonly Mutant[] = [
  {
    operator: 'update-threshold',
    name: "mean of each row's smallest positive latent",
    imitates: "dictionary_learning's TopKTrainer, where a row without one makes it infinite",
    diagnosis: [law.first, law.values],
    run: updating((_, call) => mean(rowMinima(call, Infinity))),
  },
  {
    operator: 'update-threshold',
    name: "mean of each row's smallest positive latent, rows without one left out",
    imitates: 'a threshold per row averaged over the batch',
    diagnosis: [law.first, law.values],
    run: updating((_, call) => mean(rowMinima(call, NaN).filter((value) => value > 0))),
  },
  {
    operator: 'update-threshold',
    name: 'largest latent',
    imitates: 'a maximum for a minimum',
    diagnosis: [law.first],
    run: updating((positive) => Math.max(...positive)),
  },
  {
    operator: 'update-threshold',
    name: 'mean of all positive latents',
    imitates: 'a threshold from the mean activation',
    diagnosis: [law.first],
    run: updating(mean),
  },
  {
    operator: 'update-threshold',
    name: 'smallest of all values, zeros included',
    imitates: 'a minimum that does not leave out what was not selected, or that reads acts',
    diagnosis: [law.first],
    run: updating((_, call) => Math.min(...call.inputs.latents.data)),
  },
  {
    operator: 'update-threshold',
    name: 'the initial -1 averaged in',
    imitates:
      'bartbussmann/matryoshka_sae and SAELens, which average from the first update, with a start of -1',
    diagnosis: [law.first],
    run: updating(smallest, ({ threshold, decay, found }) =>
      threshold < 0 && found === null ? NaN : decay * threshold + (1 - decay) * (found ?? 0),
    ),
  },
  {
    operator: 'update-threshold',
    name: 'weights of old and new exchanged',
    imitates: 'decay taken for the weight of the new value, as SAELens names its topk_threshold_lr',
    diagnosis: [law.share],
    run: updating(smallest, (parts) => published({ ...parts, decay: 1 - parts.decay })),
  },
  {
    operator: 'update-threshold',
    name: 'kept where nothing is positive',
    imitates: 'bartbussmann/matryoshka_sae and SAELens: an empty batch is skipped',
    diagnosis: [law.empty],
    run: updating(smallest, (parts) =>
      parts.found === null && parts.threshold >= 0 ? parts.threshold : published(parts),
    ),
  },
  {
    operator: 'update-threshold',
    name: 'a threshold of 0 taken for one never set',
    imitates: 'start 0 (bartbussmann/matryoshka_sae, SAELens) tested with > 0',
    diagnosis: [law.share],
    run: updating(smallest, (parts) =>
      parts.threshold <= 0 ? (parts.found ?? NaN) : published(parts),
    ),
  },
  {
    operator: 'update-threshold',
    name: 'an empty first update leaves -1',
    imitates: 'a skipped update, where the published code raises',
    diagnosis: [law.refused],
    run: updating(smallest, (parts) =>
      parts.threshold < 0 ? (parts.found ?? parts.threshold) : published(parts),
    ),
  },
  {
    operator: 'update-threshold',
    name: 'always assigned',
    imitates: 'the last batch taken for the average',
    diagnosis: [law.share],
    run: updating(
      smallest,
      ({ found, threshold, decay }) => found ?? (threshold < 0 ? NaN : decay * threshold),
    ),
  },
  {
    operator: 'update-threshold',
    name: 'average kept in bfloat16',
    imitates: 'dictionary_learning 17aa5d5, SAELens pull 728: under autocast the average stalls',
    diagnosis: [law.first, law.share],
    run: updating(smallest, (parts) => {
      const bits = new Uint32Array(Float32Array.of(published(parts)).buffer);
      bits[0] = ((bits[0] + 0x8000) & 0xffff0000) >>> 0;
      return new Float32Array(bits.buffer)[0];
    }),
  },
];

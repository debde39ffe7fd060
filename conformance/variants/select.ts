/**
 * batch-topk, topk and above-threshold: values are copied, so only ties and subnormals are free.
 * @module
 */
import { selectionCount } from '../../reference/select.ts';
import type { Call, Tensors } from '../kernel.ts';
import { numberOf } from '../tensors.ts';
import type { Arithmetic } from './arithmetic.ts';

/** The `count` largest positive of `values` by their places, the first or the last among equals. */
export function largest(
  values: Float64Array,
  places: readonly number[],
  count: number,
  keeps: Arithmetic['keeps'],
): number[] {
  const sign = keeps === 'first' ? 1 : -1;
  return places
    .filter((at) => values[at] > 0)
    .sort((a, b) => values[b] - values[a] || sign * (a - b))
    .slice(0, count);
}

const range = (start: number, length: number): number[] =>
  Array.from({ length }, (_, i) => start + i);

function copied({ inputs: { acts } }: Call, kept: readonly number[]): Tensors {
  const data = new Float64Array(acts.data.length);
  for (const at of kept) data[at] = acts.data[at];
  return { latents: { shape: acts.shape, data } };
}

export function batchTopk(call: Call, { keeps }: Arithmetic): Tensors {
  const { shape, data } = call.inputs.acts;
  const d_sae = shape[shape.length - 1];
  const K = selectionCount(numberOf(call, 'k'), data.length / d_sae, d_sae);
  return copied(call, largest(data, range(0, data.length), K, keeps));
}

export function topk(call: Call, { keeps }: Arithmetic): Tensors {
  const { shape, data } = call.inputs.acts;
  const d_sae = shape[shape.length - 1];
  const k = numberOf(call, 'k');
  if (selectionCount(k, 1, d_sae) !== k)
    throw new RangeError(`k: expected a whole number, got ${k}`);
  const kept = range(0, data.length / d_sae).flatMap((b) =>
    largest(data, range(b * d_sae, d_sae), k, keeps),
  );
  return copied(call, kept);
}

export function aboveThreshold(call: Call): Tensors {
  const { acts, threshold } = call.inputs;
  const [cut] = threshold.data;
  const kept = range(0, acts.data.length).filter((at) => acts.data[at] > 0 && acts.data[at] > cut);
  return copied(call, kept);
}

/**
 * Latents in another order, within their groups: the whole state of a step, and all that a step shows.
 * @module
 */
import { groups } from '../../reference/prefixes.ts';
import type { Call, Tensor, Tensors } from '../kernel.ts';
import { numbersOf, tensor } from '../tensors.ts';

/** Which axis of a tensor counts latents; gradients and moments are shaped as their parameters. */
const latentAxis: Readonly<Record<string, 0 | 1>> = {
  W_enc: 1,
  b_enc: 0,
  W_dec: 0,
  acts: 1,
  latents: 1,
  auxk_latents: 1,
  dead: 0,
  since_fired: 0,
};

/**
 * Each group's latents by rising priority: place j takes latent order[j]. A permutation that leaves every group in place.
 * @param priorities - one for each latent at least; more are not read.
 */
export function orderWithinGroups(call: Call, priorities: readonly number[]): number[] {
  return groups(numbersOf(call, 'prefixes')).flatMap(({ start, end }) =>
    Array.from({ length: end - start }, (_, j) => start + j).sort(
      (a, b) => priorities[a] - priorities[b],
    ),
  );
}

/** The order that undoes an order. */
export function inverseOf(order: readonly number[]): number[] {
  const inverse = new Array<number>(order.length);
  order.forEach((from, to) => (inverse[from] = to));
  return inverse;
}

/** Tensors with latent order[j] at place j; those that do not count latents as they are. */
export function reordered(tensors: Tensors, order: readonly number[]): Tensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, each]) => {
      const axis = latentAxis[name.slice(name.lastIndexOf('.') + 1)];
      return [name, axis === undefined ? each : alongAxis(each, axis, order)];
    }),
  );
}

function alongAxis({ shape, data }: Tensor, axis: 0 | 1, order: readonly number[]): Tensor {
  const inner = axis === 0 ? data.length / order.length : 1;
  const block = order.length * inner;
  return tensor(
    shape,
    data.map((_, at) => {
      const within = at % block;
      return data[at - within + order[Math.floor(within / inner)] * inner + (within % inner)];
    }),
  );
}

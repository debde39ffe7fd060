/**
 * Reordering the latents of a step: every tensor that counts latents, back and forth, and only within groups.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { permutationOf } from '../../conformance/arbitraries.ts';
import type { Call } from '../../conformance/kernel.ts';
import { calls, mostLatents, stepTensors } from '../../conformance/kernels/train-step-calls.ts';
import {
  inverseOf,
  orderWithinGroups,
  reordered,
} from '../../conformance/kernels/train-step-order.ts';
import { numbersOf } from '../../conformance/tensors.ts';
import { groups } from '../../reference/prefixes.ts';

const given = fc.tuple(calls, permutationOf(mostLatents));
const widthOf = ({ inputs }: Call): number => inputs.b_enc.shape[0];

test('an order permutes each group, and most calls have an order that moves a latent', () => {
  const moving = fc.sample(given, 300).filter(([call, priorities]) => {
    const order = orderWithinGroups(call, priorities);
    for (const { start, end } of groups(numbersOf(call, 'prefixes'))) {
      const own = order.slice(start, end).sort((a, b) => a - b);
      expect(own).toEqual(Array.from({ length: end - start }, (_, j) => start + j));
    }
    return order.some((from, to) => from !== to);
  });
  expect(moving.length).toBeGreaterThan(150);
});

test('every tensor of a call and of its answer that counts latents is moved, and moved back', () => {
  fc.assert(
    fc.property(given, ([call, priorities]) => {
      const order = orderWithinGroups(call, priorities);
      for (const tensors of [call.inputs, stepTensors(call)]) {
        const there = reordered(tensors, order);
        expect(reordered(there, inverseOf(order))).toEqual(tensors);
      }
    }),
    { numRuns: 50 },
  );
  const [call] = fc.sample(
    calls.filter((each) => widthOf(each) > 4),
    1,
  );
  const d_sae = widthOf(call);
  const reversed = Array.from({ length: d_sae }, (_, j) => d_sae - 1 - j);
  const numbered = Object.fromEntries(
    Object.entries({ ...call.inputs, ...stepTensors(call) }).map(([name, { shape, data }]) => [
      name,
      { shape, data: data.map((_, i) => i) },
    ]),
  );
  const still = Object.entries(reordered(numbered, reversed))
    .filter(([name, { data }]) => data.every((value, i) => value === numbered[name].data[i]))
    .map(([name]) => name);
  expect(still.sort()).toEqual(
    [
      ...['x', 'threshold', 'b_dec', 'm.b_dec', 'v.b_dec', 'grad.b_dec', 'clipped.b_dec'],
      ...['reconstructions', 'residual', 'auxk_gradient', 'level_losses', 'norm'],
      ...['reconstruction_loss', 'auxk_loss', 'loss'],
    ].sort(),
  );
});

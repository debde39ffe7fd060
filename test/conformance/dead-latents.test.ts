/**
 * since-fired's laws: the reference keeps them, float32 and int32 counters keep them.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { float32, float64 } from '../../conformance/error-model.ts';
import type { Call, Operator } from '../../conformance/kernel.ts';
import { sinceFired, sinceFiredCalls } from '../../conformance/kernels/dead-latents.ts';
import { fromVector, numberOf } from '../../conformance/tensors.ts';
import { brokenLaws, flush } from './broken-laws.ts';

/** Columns summed, then a product with "not fired", in the given arithmetic. */
function counting(f: (value: number) => number): Operator {
  return (call) => {
    const { since_fired, latents } = call.inputs;
    if (!latents.data.every(Number.isFinite)) throw new Error('latents: expected finite values');
    const [rows, d_sae] = latents.shape;
    const sums = new Float64Array(d_sae);
    latents.data.forEach((latent, i) => (sums[i % d_sae] = f(sums[i % d_sae] + f(latent))));
    const next = since_fired.data.map((count, j) => f(f(count) + rows) * Number(!(sums[j] > 0)));
    const limit = f(numberOf(call, 'dead_after'));
    return {
      since_fired: fromVector(next),
      dead: fromVector(next.map((count) => Number(count >= limit))),
    };
  };
}

test('the reference keeps every law', async () => {
  expect(await brokenLaws(sinceFired, sinceFired.reference, float64, 500)).toEqual([]);
});

test.each([
  ['float32', Math.fround],
  ['float32 without subnormals', flush],
  ['int32', (value: number) => (value === Math.trunc(value) ? value | 0 : value)],
])('%s counters keep every law', async (_, f) => {
  expect(await brokenLaws(sinceFired, counting(f), float32, 2000)).toEqual([]);
});

test('generated calls reach every class', () => {
  const calls = fc.sample(sinceFiredCalls, 1000);
  const share = (holds: (call: Call, counts: Float64Array, dead: number) => boolean): number =>
    calls.filter((call) => {
      const { since_fired, dead } = sinceFired.reference(call);
      return holds(call, since_fired.data, dead.data.filter((flag) => flag === 1).length);
    }).length / calls.length;
  expect(share((_, counts, dead) => dead === 0 && counts.length > 1)).toBeGreaterThan(0.05);
  expect(share((_, counts, dead) => dead > 0 && dead < counts.length)).toBeGreaterThan(0.05);
  expect(share((_, counts, dead) => dead === counts.length)).toBeGreaterThan(0.015);
  const limit = (call: Call): number => numberOf(call, 'dead_after');
  expect(share((call, counts) => counts.includes(limit(call)))).toBeGreaterThan(0.08);
  expect(share((call, counts) => counts.includes(limit(call) - 1))).toBeGreaterThan(0.02);
  expect(share((call, counts) => counts.includes(limit(call) + 1))).toBeGreaterThan(0.02);
  // Old and new count on different sides of the limit.
  expect(
    share(({ inputs, config }) => {
      const { rows, limit } = { rows: inputs.latents.shape[0], limit: Number(config.dead_after) };
      return inputs.since_fired.data.some((count) => count < limit && count + rows >= limit);
    }),
  ).toBeGreaterThan(0.3);
  expect(share((_, counts) => counts.some((count) => count > 2 ** 23))).toBeGreaterThan(0.2);
  expect(share((_, counts) => counts.includes(0))).toBeGreaterThan(0.3);
  expect(share((call) => call.inputs.latents.shape[0] === 1)).toBeGreaterThan(0.02);
});

/**
 * Laws of the cut: right kernels keep them whichever of equal acts they take, and the cases they are tried on are cut
 * where it matters.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { float32 } from '../../conformance/error-model.ts';
import type { Call, Operator } from '../../conformance/kernel.ts';
import { batchTopk } from '../../conformance/kernels/select.ts';
import { countOf } from '../../conformance/kernels/select-calls.ts';
import { cutLaws } from '../../conformance/kernels/select-cut.ts';
import { tensor } from '../../conformance/tensors.ts';
import { brokenLaws, flush } from './broken-laws.ts';

/** The K largest of the batch, the last first among equals. */
const lastOfEqual =
  (read: (value: number) => number): Operator =>
  (call) => {
    const { shape, data } = call.inputs.acts;
    if (!data.every(Number.isFinite)) throw new RangeError('acts: expected finite values');
    const acts = data.map(read);
    const order = [...acts.keys()].sort((a, b) => acts[b] - acts[a] || b - a);
    const kept = new Set(order.slice(0, countOf(call)));
    return {
      latents: tensor(
        shape,
        acts.map((act, i) => (kept.has(i) ? act : 0)),
      ),
    };
  };

test('a kernel that keeps the last of equal acts keeps every law', async () => {
  expect(await brokenLaws(batchTopk, lastOfEqual(Math.fround), float32, 1000)).toEqual([]);
});

test('a kernel that flushes subnormals keeps every law once it declares so', async () => {
  const flushing = { ...float32, flushesSubnormals: true };
  expect(await brokenLaws(batchTopk, lastOfEqual(flush), flushing, 1000)).toEqual([]);
});

describe.each(cutLaws.map((law) => [law.name, law] as const))('%s', (_, { cases }) => {
  const calls = fc.sample(cases, 500).map(({ call }) => call);
  const share = (holds: (call: Call) => boolean): number =>
    calls.filter(holds).length / calls.length;
  const positive = ({ inputs: { acts } }: Call): number =>
    acts.data.filter((act) => act > 0).length;

  test('is tried where some positive acts stay and others go', () => {
    expect(share((call) => countOf(call) > 0)).toBeGreaterThan(0.9);
    expect(share((call) => countOf(call) > 0 && countOf(call) < positive(call))).toBeGreaterThan(
      0.4,
    );
  });

  test('is tried on one leading dimension and on two', () => {
    expect(share(({ inputs }) => inputs.acts.shape.length === 2)).toBeGreaterThan(0.3);
    expect(share(({ inputs }) => inputs.acts.shape.length === 3)).toBeGreaterThan(0.15);
  });
});

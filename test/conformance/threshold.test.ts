/**
 * update-threshold's laws: the reference keeps them, float32 keeps them.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { float32, float64 } from '../../conformance/error-model.ts';
import type { Call, Operator } from '../../conformance/kernel.ts';
import { thresholdCalls, updateThreshold } from '../../conformance/kernels/threshold.ts';
import { numberOf, scalar } from '../../conformance/tensors.ts';
import { brokenLaws, flush } from './broken-laws.ts';

type Round = (value: number) => number;

/** The published formula, or θ + (1 - decay)(τ - θ) with 1 - decay taken in float32; NaN where nothing is positive. */
function averaging(f: Round, moved: boolean): Operator {
  return (call) => {
    const values = [...call.inputs.latents.data];
    if (!values.every(Number.isFinite)) return { threshold: scalar(NaN) };
    const positive = values.filter((latent) => f(latent) > 0).reverse();
    const threshold = f(call.inputs.threshold.data[0]);
    const decay = f(numberOf(call, 'decay'));
    if (threshold < 0) {
      return { threshold: scalar(positive.length === 0 ? NaN : Math.min(...positive)) };
    }
    const found = positive.length === 0 ? 0 : Math.min(...positive);
    const rest = f(1 - decay);
    return {
      threshold: scalar(
        moved
          ? f(threshold + f(rest * f(found - threshold)))
          : f(f(decay * threshold) + f(f(1 - numberOf(call, 'decay')) * found)),
      ),
    };
  };
}

test('the reference keeps every law within float64 bounds', async () => {
  const { reference } = updateThreshold;
  expect(await brokenLaws(updateThreshold, reference, float64, 500)).toEqual([]);
});

test.each([false, true])('float32 keeps every law, as a difference: %s', async (moved) => {
  const operator = averaging(Math.fround, moved);
  expect(await brokenLaws(updateThreshold, operator, float32, 2000)).toEqual([]);
});

test('a kernel that flushes subnormals keeps every law once it declares so', async () => {
  const profile = { ...float32, flushesSubnormals: true };
  expect(await brokenLaws(updateThreshold, averaging(flush, false), profile, 1000)).toEqual([]);
});

test('generated calls reach every class', () => {
  const calls = fc.sample(thresholdCalls, 1000);
  const share = (holds: (call: Call, threshold: number, positive: number) => boolean): number =>
    calls.filter((call) => {
      const positive = call.inputs.latents.data.filter((latent) => latent > 0).length;
      return holds(call, call.inputs.threshold.data[0], positive);
    }).length / calls.length;
  expect(share((_, threshold, positive) => threshold < 0 && positive === 0)).toBeGreaterThan(0.02);
  expect(share((_, threshold, positive) => threshold < 0 && positive > 0)).toBeGreaterThan(0.05);
  expect(share((_, threshold, positive) => threshold >= 0 && positive === 0)).toBeGreaterThan(0.05);
  expect(share((_, threshold, positive) => threshold === 0 && positive > 0)).toBeGreaterThan(0.02);
  expect(share((_, threshold, positive) => threshold > 0 && positive > 1)).toBeGreaterThan(0.02);
  expect(share((call) => call.inputs.latents.shape[0] === 1)).toBeGreaterThan(0.02);
  expect(share((call) => call.inputs.latents.shape[1] === 1)).toBeGreaterThan(0.015);
});

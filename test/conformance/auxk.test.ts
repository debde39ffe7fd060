/**
 * auxk's laws: the reference keeps them, float32 in another order keeps them.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { float32, float64 } from '../../conformance/error-model.ts';
import type { Call, Operator } from '../../conformance/kernel.ts';
import { auxk, auxkCalls } from '../../conformance/kernels/auxk.ts';
import { numberOf, scalar, tensor, toMatrix } from '../../conformance/tensors.ts';
import { brokenLaws, flush } from './broken-laws.ts';

/**
 * Another order of everything, each operation rounded by f: of equal acts the higher latent is chosen, sums run from
 * the end, and the normaliser's reciprocal multiplies where the reference divides.
 */
function fromTheEnd(f: (value: number) => number, divideFirst: boolean): Operator {
  return (call) => {
    const residual = toMatrix(call.inputs.residual);
    const acts = toMatrix(call.inputs.acts);
    const { W_dec, dead } = call.inputs;
    const { rows, cols: d_in } = residual;
    const d_sae = acts.cols;
    const candidates = [...dead.data.keys()].filter((j) => dead.data[j] === 1).reverse();
    const latents = new Float64Array(rows * d_sae);
    const gradient = new Float64Array(rows * d_in);
    if (candidates.length === 0) {
      const none = tensor([rows, d_sae], latents);
      return { loss: scalar(0), latents: none, gradient: tensor([rows, d_in], gradient) };
    }

    const squared = (values: ArrayLike<number>): number => {
      let sum = 0;
      for (let i = values.length - 1; i >= 0; i--) sum = f(sum + f(values[i] * values[i]));
      return f(sum / rows);
    };
    const e = residual.data.map(f);
    const mean = Array.from({ length: d_in }, (_, i) => {
      let sum = 0;
      for (let b = rows - 1; b >= 0; b--) sum = f(sum + e[b * d_in + i]);
      return f(sum * f(1 / rows));
    });
    const variance = squared(e.map((value, i) => f(value - mean[i % d_in])));

    const miss = new Float64Array(rows * d_in);
    for (let b = 0; b < rows; b++) {
      const own = acts.data.subarray(b * d_sae, (b + 1) * d_sae);
      const chosen = candidates.toSorted((i, j) => own[j] - own[i]).slice(0, Math.floor(d_in / 2));
      // NaN compares with nothing: the law chooses all, so order does not matter where there is one.
      for (const j of chosen) latents[b * d_sae + j] = own[j];
      for (let i = 0; i < d_in; i++) {
        let sum = f(-e[b * d_in + i]);
        for (const j of chosen) sum = f(sum + f(f(own[j]) * f(W_dec.data[j * d_in + i])));
        miss[b * d_in + i] = sum;
      }
    }
    const alpha = f(numberOf(call, 'alpha'));
    const factor = f(f(f(2 / rows) * f(1 / variance)) * alpha);
    miss.forEach((value, i) => {
      gradient[i] = divideFirst
        ? f(value * factor)
        : f(f(f(f(2 * alpha) * value) / variance) / rows);
    });
    const loss = divideFirst ? f(squared(miss) * f(1 / variance)) : f(squared(miss) / variance);
    return {
      loss: scalar(loss),
      latents: tensor([rows, d_sae], latents),
      gradient: tensor([rows, d_in], gradient),
    };
  };
}

describe('auxk', () => {
  test('the reference keeps every law within float64 bounds', async () => {
    expect(await brokenLaws(auxk, auxk.reference, float64, 500)).toEqual([]);
  });

  test('float32 from the end, ties to the higher latent, keeps every law', async () => {
    expect(await brokenLaws(auxk, fromTheEnd(Math.fround, false), float32, 2000)).toEqual([]);
  });

  test('float32 that multiplies by reciprocals keeps every law', async () => {
    expect(await brokenLaws(auxk, fromTheEnd(Math.fround, true), float32, 500)).toEqual([]);
  });

  test('a kernel that flushes subnormals keeps every law once it declares so', async () => {
    const profile = { ...float32, flushesSubnormals: true };
    expect(await brokenLaws(auxk, fromTheEnd(flush, false), profile, 500)).toEqual([]);
    expect(await brokenLaws(auxk, fromTheEnd(flush, true), profile, 500)).toEqual([]);
  });

  test('generated calls reach every class', () => {
    const calls = fc.sample(auxkCalls, 1000);
    const share = (test: (call: Call) => boolean): number =>
      calls.filter(test).length / calls.length;
    const dead = ({ inputs }: Call): number => inputs.dead.data.filter((d) => d === 1).length;
    const half = ({ inputs }: Call): number => Math.floor(inputs.residual.shape[1] / 2);
    /** Positive acts of dead latents, row by row. */
    const positive = ({ inputs: { acts, dead: flags } }: Call): number[][] => {
      const d_sae = flags.data.length;
      return Array.from({ length: acts.shape[0] }, (_, b) =>
        [...acts.data.subarray(b * d_sae, (b + 1) * d_sae)].filter(
          (act, j) => act > 0 && flags.data[j] === 1,
        ),
      );
    };
    const tiesAtTheCut = (call: Call): boolean =>
      positive(call).some((row) => {
        const sorted = row.toSorted((a, b) => b - a);
        const k = half(call);
        return k > 0 && k < sorted.length && sorted[k - 1] === sorted[k];
      });
    expect(share((call) => dead(call) === 0)).toBeGreaterThan(0.1);
    expect(share((call) => dead(call) > 0 && dead(call) < half(call))).toBeGreaterThan(0.04);
    expect(share((call) => dead(call) > 0 && dead(call) === half(call))).toBeGreaterThan(0.05);
    expect(share((call) => dead(call) > half(call))).toBeGreaterThan(0.2);
    expect(share((call) => dead(call) === call.inputs.dead.data.length)).toBeGreaterThan(0.1);
    expect(share((call) => dead(call) > 0 && half(call) === 0)).toBeGreaterThan(0.05);
    expect(share(tiesAtTheCut)).toBeGreaterThan(0.05);
    expect(share((call) => positive(call).some((row) => row.length > half(call)))).toBeGreaterThan(
      0.1,
    );
    expect(
      share((call) => dead(call) > 0 && positive(call).every((row) => row.length === 0)),
    ).toBeGreaterThan(0.1);
    const sizes = (call: Call): number[] =>
      [...call.inputs.acts.data, ...call.inputs.W_dec.data].map(Math.abs);
    expect(share((call) => sizes(call).some((size) => size > 2 ** 18))).toBeGreaterThan(0.1);
    expect(
      share((call) => sizes(call).some((size) => size > 0 && size < 2 ** -126)),
    ).toBeGreaterThan(0.05);
  });
});

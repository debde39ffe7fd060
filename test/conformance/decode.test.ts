/**
 * decode's laws: the reference keeps them, float32 in another order keeps them.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { float32, float64 } from '../../conformance/error-model.ts';
import type { Operator } from '../../conformance/kernel.ts';
import { decode, decodeCalls } from '../../conformance/kernels/decode.ts';
import { prefixErrors } from '../../conformance/kernels/decode-bounds.ts';
import { numbersOf, tensor, toMatrix } from '../../conformance/tensors.ts';
import { brokenLaws, flush } from './broken-laws.ts';

/** Each prefix from scratch, latents last to first, b_dec added at the end; every operation rounded by f. */
function fromScratch(f: (value: number) => number): Operator {
  return (call) => {
    const { inputs } = call;
    const latents = toMatrix(inputs.latents);
    const prefixes = numbersOf(call, 'prefixes');
    const d_in = inputs.b_dec.data.length;
    const out = prefixes.flatMap((m) =>
      Array.from({ length: latents.rows * d_in }, (_, at) => {
        let sum = 0;
        for (let j = m - 1; j >= 0; j--) {
          const latent = f(latents.data[Math.floor(at / d_in) * latents.cols + j]);
          sum = f(sum + f(latent * f(inputs.W_dec.data[j * d_in + (at % d_in)])));
        }
        return f(sum + f(inputs.b_dec.data[at % d_in]));
      }),
    );
    const shape = [prefixes.length, ...inputs.latents.shape.slice(0, -1), d_in];
    return { reconstructions: tensor(shape, out) };
  };
}

/** One running sum over groups; in each, products in two blocks by parity. */
function running(f: (value: number) => number): Operator {
  return (call) => {
    const { inputs } = call;
    const latents = toMatrix(inputs.latents);
    const prefixes = numbersOf(call, 'prefixes');
    const d_in = inputs.b_dec.data.length;
    const sums = Array.from({ length: latents.rows * d_in }, (_, at) =>
      f(inputs.b_dec.data[at % d_in]),
    );
    const out = prefixes.flatMap((m, g) => {
      sums.forEach((before, at) => {
        const blocks = [0, 0];
        for (let j = g === 0 ? 0 : prefixes[g - 1]; j < m; j++) {
          const latent = f(latents.data[Math.floor(at / d_in) * latents.cols + j]);
          const product = f(latent * f(inputs.W_dec.data[j * d_in + (at % d_in)]));
          blocks[j % 2] = f(blocks[j % 2] + product);
        }
        sums[at] = f(before + f(blocks[0] + blocks[1]));
      });
      return [...sums];
    });
    const shape = [prefixes.length, ...inputs.latents.shape.slice(0, -1), d_in];
    return { reconstructions: tensor(shape, out) };
  };
}

describe('decode', () => {
  test('the reference keeps every law within float64 bounds', async () => {
    expect(await brokenLaws(decode, decode.reference, float64, 500)).toEqual([]);
  });

  test('prefixes from scratch in float32, last latent first, keep every law', async () => {
    expect(await brokenLaws(decode, fromScratch(Math.fround), float32, 2000)).toEqual([]);
  });

  test('a running sum in float32 keeps every law', async () => {
    expect(await brokenLaws(decode, running(Math.fround), float32, 500)).toEqual([]);
  });

  test('a kernel that flushes subnormals keeps every law once it declares so', async () => {
    const profile = { ...float32, flushesSubnormals: true };
    expect(await brokenLaws(decode, fromScratch(flush), profile, 500)).toEqual([]);
    expect(await brokenLaws(decode, fromScratch(flush), float32, 500)).not.toEqual([]);
  });

  test('bounds of float32 are at most 40 roundings of the magnitudes', () => {
    fc.assert(
      fc.property(decodeCalls, (call) => {
        const { latents, W_dec, b_dec } = call.inputs;
        const absolute = {
          latents: toMatrix(latents),
          W_dec: toMatrix(tensor(W_dec.shape, W_dec.data.map(Math.abs))),
          b_dec: b_dec.data.map(Math.abs),
        };
        const bounds = prefixErrors(absolute, numbersOf(call, 'prefixes'), float32);
        const { reconstructions } = decode.reference({
          ...call,
          inputs: {
            ...call.inputs,
            W_dec: tensor(W_dec.shape, absolute.W_dec.data),
            b_dec: tensor(b_dec.shape, absolute.b_dec),
          },
        });
        // 9 products, 11 additions and a store are 21; flushing counts operands and results of 20 operations.
        return bounds.every(
          (bound, i) => bound <= 40 * (2 ** -24 * reconstructions.data[i] + 2 ** -149),
        );
      }),
    );
  });

  test('generated calls reach every class', () => {
    const calls = fc.sample(decodeCalls, 1000);
    const share = (test: (call: (typeof calls)[number]) => boolean): number =>
      calls.filter(test).length / calls.length;
    const zeroRow = (call: (typeof calls)[number]): boolean => {
      const { rows, cols, data } = toMatrix(call.inputs.latents);
      return Array.from({ length: rows }, (_, b) => b).some((b) =>
        data.subarray(b * cols, (b + 1) * cols).every((latent) => latent === 0),
      );
    };
    const some = (call: (typeof calls)[number], test: (size: number) => boolean): boolean =>
      Object.values(call.inputs).some(({ data }) => data.some((value) => test(Math.abs(value))));
    expect(share(zeroRow)).toBeGreaterThan(0.1);
    expect(share((call) => call.inputs.latents.shape.length === 3)).toBeGreaterThan(0.1);
    expect(share((call) => toMatrix(call.inputs.latents).rows === 1)).toBeGreaterThan(0.05);
    expect(share((call) => call.inputs.W_dec.shape[0] === 1)).toBeGreaterThan(0.03);
    expect(share((call) => numbersOf(call, 'prefixes').length === 1)).toBeGreaterThan(0.05);
    expect(share((call) => numbersOf(call, 'prefixes').length > 2)).toBeGreaterThan(0.3);
    expect(share((call) => some(call, (size) => size > 0 && size < 2 ** -126))).toBeGreaterThan(
      0.05,
    );
    expect(share((call) => some(call, (size) => size > 2 ** 18))).toBeGreaterThan(0.1);
  });
});

/**
 * fold-input-scale and fold-decoder-norm: the reference keeps their laws, float32 in other ways keeps them.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { float32, float64 } from '../../conformance/error-model.ts';
import type { Call, Operator, Tensor } from '../../conformance/kernel.ts';
import { foldDecoderNorm, foldNormCalls } from '../../conformance/kernels/fold-decoder-norm.ts';
import { foldInputScale, inputScaleCalls } from '../../conformance/kernels/input-norm.ts';
import { numberOf, tensor } from '../../conformance/tensors.ts';
import { brokenLaws, flush } from './broken-laws.ts';

type Round = (value: number) => number;

const flushing = { ...float32, flushesSubnormals: true };

const each = ({ shape, data }: Tensor, of: (value: number, i: number) => number): Tensor =>
  tensor(shape, data.map(of));

/** Divided by the scale, or multiplied by its reciprocal. */
function scaling(f: Round, by: 'division' | 'reciprocal'): Operator {
  return (call) => {
    const { W_enc, b_enc, W_dec, b_dec, threshold } = call.inputs;
    const c = f(numberOf(call, 'scale'));
    const inverse = f(1 / c);
    const over = (t: Tensor): Tensor =>
      each(t, (value) => (by === 'division' ? f(f(value) / c) : f(f(value) * inverse)));
    const read = (t: Tensor): Tensor => each(t, f);
    const isSet = threshold.data[0] >= 0;
    if (call.config['folds'] === 'into-biases') {
      return {
        W_enc: read(W_enc),
        b_enc: over(b_enc),
        W_dec: read(W_dec),
        b_dec: over(b_dec),
        threshold: isSet ? over(threshold) : read(threshold),
      };
    }
    return {
      W_enc: each(W_enc, (value) => f(f(value) * c)),
      b_enc: read(b_enc),
      W_dec: over(W_dec),
      b_dec: over(b_dec),
      threshold: call.config['score'] === 'acts' ? read(threshold) : over(threshold),
    };
  };
}

/** Squares added last first; rows divided, or multiplied by the reciprocal of their norm. */
function folding(f: Round, by: 'division' | 'reciprocal'): Operator {
  return ({ inputs: { W_enc, b_enc, W_dec, b_dec, threshold } }) => {
    const [d_sae, d_in] = W_dec.shape;
    const norms = Array.from({ length: d_sae }, (_, j) => {
      let sum = 0;
      for (let i = d_in - 1; i >= 0; i--) {
        const w = f(W_dec.data[j * d_in + i]);
        sum = f(sum + f(w * w));
      }
      return Math.max(f(Math.sqrt(sum)), f(1e-8));
    });
    const byLatent = (t: Tensor): Tensor => each(t, (value, i) => f(f(value) * norms[i % d_sae]));
    return {
      W_enc: byLatent(W_enc),
      b_enc: byLatent(b_enc),
      W_dec: each(W_dec, (value, i) => {
        const n = norms[Math.floor(i / d_in)];
        return by === 'division' ? f(f(value) / n) : f(f(value) * f(1 / n));
      }),
      b_dec: each(b_dec, f),
      threshold: byLatent(threshold),
    };
  };
}

describe.each([
  ['fold-input-scale', foldInputScale, scaling],
  ['fold-decoder-norm', foldDecoderNorm, folding],
] as const)('%s', (_, spec, made) => {
  test('the reference keeps every law within float64 bounds', async () => {
    expect(await brokenLaws(spec, spec.reference, float64, 500)).toEqual([]);
  });

  test.each(['division', 'reciprocal'] as const)('float32 by %s keeps every law', async (by) => {
    expect(await brokenLaws(spec, made(Math.fround, by), float32, 1000)).toEqual([]);
  });

  test('a kernel that flushes subnormals keeps every law once it declares so', async () => {
    expect(await brokenLaws(spec, made(flush, 'reciprocal'), flushing, 1000)).toEqual([]);
    expect(await brokenLaws(spec, made(flush, 'reciprocal'), float32, 500)).not.toEqual([]);
  });

  test('float32 declared as float64 does not', async () => {
    const broken = await brokenLaws(spec, made(Math.fround, 'division'), float64, 200);
    expect(broken.length).toBeGreaterThan(1);
  });
});

const shareOf = (calls: readonly Call[], holds: (call: Call) => boolean): number =>
  calls.filter(holds).length / calls.length;

test('generated calls of fold-input-scale reach both rules, exact scales and others, thresholds never set', () => {
  const calls = fc.sample(inputScaleCalls, 1000);
  const share = (holds: (call: Call) => boolean): number => shareOf(calls, holds);
  expect(share(({ config }) => config['folds'] === 'into-biases')).toBeGreaterThan(0.2);
  expect(share(({ config }) => config['folds'] === 'into-weights')).toBeGreaterThan(0.4);
  expect(share(({ config }) => config['score'] !== 'acts')).toBeGreaterThan(0.2);
  const isExact = (call: Call): boolean => Number.isInteger(Math.log2(numberOf(call, 'scale')));
  expect(share(isExact)).toBeGreaterThan(0.3);
  expect(share((call) => !isExact(call))).toBeGreaterThan(0.2);
  expect(share(({ inputs }) => inputs.threshold.data[0] === -1)).toBeGreaterThan(0.05);
  expect(share(({ inputs }) => inputs.threshold.data[0] === 0)).toBeGreaterThan(0.1);
});

test('generated calls of fold-decoder-norm reach zero rows, and norms beside 1e-8 and far from 1', () => {
  const calls = fc.sample(foldNormCalls, 1000);
  const some = (holds: (norm: number) => boolean): number =>
    shareOf(calls, ({ inputs: { W_dec } }) => {
      const [d_sae, d_in] = W_dec.shape;
      return Array.from({ length: d_sae }, (_, j) =>
        Math.hypot(...W_dec.data.subarray(j * d_in, (j + 1) * d_in)),
      ).some(holds);
    });
  expect(some((norm) => norm === 0)).toBeGreaterThan(0.05);
  expect(some((norm) => norm > 0 && norm < 1e-8)).toBeGreaterThan(0.01);
  expect(some((norm) => norm > 1e-8 && norm < 1e-3)).toBeGreaterThan(0.01);
  expect(some((norm) => norm > 1e3)).toBeGreaterThan(0.05);
});

/**
 * loss's laws: the reference keeps them, float32 in another order keeps them.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { float32, float64 } from '../../conformance/error-model.ts';
import type { Operator } from '../../conformance/kernel.ts';
import { levelsOf, loss, lossCalls } from '../../conformance/kernels/loss.ts';
import { fromVector, numbersOf, scalar, toMatrix } from '../../conformance/tensors.ts';
import { brokenLaws, flush } from './broken-laws.ts';

/** Each row's squares from the last dimension down, row means by a rounded reciprocal, weights divided before use. */
function rowByRow(f: (value: number) => number): Operator {
  return (call) => {
    const x = toMatrix(call.inputs.x);
    const weights = numbersOf(call, 'level_weights');
    const share = f(1 / x.rows);
    const losses = levelsOf(call.inputs.reconstructions).map(({ data }) => {
      let mean = 0;
      for (let b = 0; b < x.rows; b++) {
        let squares = 0;
        for (let i = x.cols - 1; i >= 0; i--) {
          const error = f(f(x.data[b * x.cols + i]) - f(data[b * x.cols + i]));
          squares = f(squares + f(error * error));
        }
        mean = f(mean + f(squares * share));
      }
      return mean;
    });
    let total = 0;
    for (let g = losses.length - 1; g >= 0; g--) {
      total = f(total + f(f(f(weights[g]) / losses.length) * losses[g]));
    }
    return { level_losses: fromVector(losses), loss: scalar(total) };
  };
}

/** The total from all weighted squares at once, beside levels that are summed on their own. */
function fused(f: (value: number) => number): Operator {
  return (call) => {
    const x = toMatrix(call.inputs.x);
    const weights = numbersOf(call, 'level_weights');
    let total = 0;
    const losses = levelsOf(call.inputs.reconstructions).map(({ data }, g) => {
      let sum = 0;
      data.forEach((value, i) => {
        const error = f(f(value) - f(x.data[i]));
        sum = f(sum + f(error * error));
        total = f(total + f(f(weights[g]) * f(error * error)));
      });
      return f(sum / x.rows);
    });
    return {
      level_losses: fromVector(losses),
      loss: scalar(f(f(total / losses.length) / x.rows)),
    };
  };
}

describe('loss', () => {
  test('the reference keeps every law within float64 bounds', async () => {
    expect(await brokenLaws(loss, loss.reference, float64, 500)).toEqual([]);
  });

  test('rows one by one in float32, last dimension first, keep every law', async () => {
    expect(await brokenLaws(loss, rowByRow(Math.fround), float32, 2000)).toEqual([]);
  });

  test('a total summed apart from its levels in float32 keeps every law', async () => {
    expect(await brokenLaws(loss, fused(Math.fround), float32, 500)).toEqual([]);
  });

  test('a kernel that flushes subnormals keeps every law once it declares so', async () => {
    const profile = { ...float32, flushesSubnormals: true };
    expect(await brokenLaws(loss, rowByRow(flush), profile, 500)).toEqual([]);
    expect(await brokenLaws(loss, fused(flush), profile, 500)).toEqual([]);
  });

  test('generated calls reach every class', () => {
    const calls = fc.sample(lossCalls, 1000);
    type Generated = (typeof calls)[number];
    const share = (test: (call: Generated) => boolean): number =>
      calls.filter(test).length / calls.length;
    const weights = (call: Generated): readonly number[] => numbersOf(call, 'level_weights');
    const some = (call: Generated, test: (size: number) => boolean): boolean =>
      Object.values(call.inputs).some(({ data }) => data.some((value) => test(Math.abs(value))));
    const perfect = (call: Generated): boolean =>
      levelsOf(call.inputs.reconstructions).some(({ data }) =>
        data.every((value, i) => value === call.inputs.x.data[i]),
      );
    const close = (call: Generated): boolean =>
      levelsOf(call.inputs.reconstructions).some(({ data }) =>
        data.every((value, i) => {
          const x = call.inputs.x.data[i];
          return value !== 0 && value !== x && Math.abs(value - x) <= 2 ** -18 * Math.abs(x);
        }),
      );
    expect(share((call) => call.inputs.x.shape.length === 3)).toBeGreaterThan(0.1);
    expect(share((call) => toMatrix(call.inputs.x).rows === 1)).toBeGreaterThan(0.05);
    expect(share((call) => weights(call).length === 1)).toBeGreaterThan(0.1);
    expect(share((call) => weights(call).length > 3)).toBeGreaterThan(0.2);
    expect(share((call) => new Set(weights(call)).size > 1)).toBeGreaterThan(0.3);
    expect(share((call) => weights(call).includes(0))).toBeGreaterThan(0.2);
    expect(share(perfect)).toBeGreaterThan(0.2);
    expect(share(close)).toBeGreaterThan(0.04);
    expect(share((call) => some(call, (size) => size > 0 && size < 2 ** -126))).toBeGreaterThan(
      0.05,
    );
    expect(share((call) => some(call, (size) => size > 2 ** 18))).toBeGreaterThan(0.1);
  });
});

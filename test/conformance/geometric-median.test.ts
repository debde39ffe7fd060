/**
 * geometric-median's laws: the reference keeps them, float32 in another order keeps them.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { float32, float64 } from '../../conformance/error-model.ts';
import type { Call, Operator } from '../../conformance/kernel.ts';
import { geometricMedian, medianCalls } from '../../conformance/kernels/geometric-median.ts';
import { fromVector, toMatrix } from '../../conformance/tensors.ts';
import { weiszfeld } from '../../reference/geometric-median.ts';
import { columnMeans, norm } from '../../reference/matrix.ts';
import { brokenLaws, flush } from './broken-laws.ts';

type Round = (value: number) => number;

/** Last row and last coordinate first; `stops` or always 100 rounds; weighted sum divided at the end if `late`. */
function iterating(f: Round, stops: boolean, late: boolean): Operator {
  return (call) => {
    const { rows, cols, data } = toMatrix(call.inputs.x);
    const x = data.map(f);
    const share = f(1 / rows);
    let centre = Float64Array.from({ length: cols }, (_, t) => {
      let sum = 0;
      for (let i = rows - 1; i >= 0; i--) sum = f(sum + x[i * cols + t]);
      return f(sum * share);
    });
    for (let round = 0; round < 100; round++) {
      const weights = Float64Array.from({ length: rows }, (_, i) => {
        let squares = 0;
        for (let t = cols - 1; t >= 0; t--) {
          const difference = f(x[i * cols + t] - centre[t]);
          squares = f(squares + f(difference * difference));
        }
        return f(1 / f(Math.sqrt(squares)));
      });
      const total = weights.reduceRight((sum, weight) => f(sum + weight), 0);
      const next = centre.map((_, t) => {
        let sum = 0;
        for (let i = rows - 1; i >= 0; i--) {
          const weight = late ? weights[i] : f(weights[i] / total);
          sum = f(sum + f(weight * x[i * cols + t]));
        }
        return late ? f(sum / total) : sum;
      });
      const moved = norm(next.map((value, t) => value - centre[t]));
      centre = next;
      if (stops && moved < 1e-5) break;
    }
    return { median: fromVector(centre) };
  };
}

test('the reference keeps every law within float64 bounds', async () => {
  const { reference } = geometricMedian;
  expect(await brokenLaws(geometricMedian, reference, float64, 200)).toEqual([]);
});

test.each([
  ['that stops', true, false],
  ['of 100 rounds', false, false],
  ['that divides by the total weight at the end', true, true],
])('an iteration in float32 %s keeps every law', async (_, stops, late) => {
  const operator = iterating(Math.fround, stops, late);
  expect(await brokenLaws(geometricMedian, operator, float32, 300)).toEqual([]);
});

test('a kernel that flushes subnormals keeps every law', async () => {
  const profile = { ...float32, flushesSubnormals: true };
  const operator = iterating(flush, true, false);
  expect(await brokenLaws(geometricMedian, operator, profile, 100)).toEqual([]);
});

test('generated calls reach every class', () => {
  const calls = fc.sample(medianCalls, 500);
  const share = (holds: (call: Call) => boolean): number =>
    calls.filter(holds).length / calls.length;
  /** How far the last of 100 rounds moves. */
  const last = (call: Call, rounds: number): number => {
    const points = toMatrix(call.inputs.x);
    let before: Float64Array = new Float64Array(0);
    let centre: Float64Array = columnMeans(points);
    for (let round = 0; round < rounds; round++) {
      [before, centre] = [centre, weiszfeld(points, centre)];
    }
    return norm(centre.map((value, t) => value - before[t]));
  };
  expect(share((call) => last(call, 1) > 1e-2)).toBeGreaterThan(0.3);
  expect(share((call) => last(call, 10) >= 1e-5)).toBeGreaterThan(0.2);
  expect(share((call) => last(call, 100) >= 1e-5)).toBeGreaterThan(0.003);
  expect(share((call) => call.inputs.x.shape[1] === 1)).toBeGreaterThan(0.015);
  expect(share((call) => call.inputs.x.shape[0] === 2)).toBeGreaterThan(0.02);
  expect(
    share((call) => call.inputs.x.data.some((value) => Math.abs(value) > 2 ** 16)),
  ).toBeGreaterThan(0.05);
});

import { describe, expect, test } from 'vitest';
import { dictionaryLearning } from '../../reference/dialects.ts';
import { decode } from '../../reference/decode.ts';
import { encode } from '../../reference/encode.ts';
import { foldNormFactor, normFactor } from '../../reference/input-norm.ts';
import { fromRows, scale } from '../../reference/matrix.ts';
import { aboveThreshold } from '../../reference/select.ts';
import type { SaeParams } from '../../reference/params.ts';

test('the factor is the root of the mean squared length', () => {
  expect(normFactor(6.25)).toBe(2.5);
});

test.each([0, -1, NaN, Infinity])('a mean squared length of %s is refused', (value) => {
  expect(() => normFactor(value)).toThrow(
    new RangeError(`normFactor: expected a mean squared length above 0, got ${value}`),
  );
});

describe('a folded SAE', () => {
  const params: SaeParams = {
    W_enc: fromRows([
      [1, -2, 0.5],
      [0.5, 1, 1],
    ]),
    b_enc: Float64Array.of(0.25, 1, -0.5),
    W_dec: fromRows([
      [1, 0],
      [0, 1],
      [1, 1],
    ]),
    b_dec: Float64Array.of(0.5, -1),
  };
  const x = fromRows([
    [4, 2],
    [-6, 8],
  ]);
  const factor = 4;

  test('does on x what the given one does on x / f, times f', () => {
    const folded = foldNormFactor(params, 0.75, factor);
    const run = (p: SaeParams, threshold: number, input: typeof x): typeof x =>
      decode(aboveThreshold(encode(input, p, dictionaryLearning), threshold), p);
    const small = run(params, 0.75, scale(x, 1 / factor));
    expect(run(folded.params, folded.threshold, x)).toEqual(scale(small, factor));
  });

  test('keeps weights, and a threshold that was never set', () => {
    const folded = foldNormFactor(params, -1, factor);
    expect(folded.threshold).toBe(-1);
    expect(folded.params.W_enc).toBe(params.W_enc);
    expect(folded.params.W_dec).toBe(params.W_dec);
    expect(foldNormFactor(params, 0, factor).threshold).toBe(0);
  });
});

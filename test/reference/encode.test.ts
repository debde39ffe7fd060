import { describe, expect, test } from 'vitest';
import { dictionaryLearning } from '../../reference/dialects.ts';
import { encode, encoderInput, preActivations, relu } from '../../reference/encode.ts';
import { fromRows, matrix } from '../../reference/matrix.ts';
import { zeroParams, type SaeParams } from '../../reference/params.ts';

const params: SaeParams = {
  ...zeroParams(2, 3),
  W_enc: fromRows([
    [1, 0, -1],
    [2, 1, 0],
  ]),
  b_enc: Float64Array.of(0.5, -3, 0),
  b_dec: Float64Array.of(1, -1),
};
const x = fromRows([
  [3, 1],
  [1, -1],
]);
const dialectWith = (
  encoding: Partial<typeof dictionaryLearning.encode>,
): typeof dictionaryLearning => ({
  ...dictionaryLearning,
  encode: { ...dictionaryLearning.encode, ...encoding },
});

describe('pre-activations', () => {
  test('are (x - b_dec) W_enc + b_enc', () => {
    // x - b_dec = [2, 2] and [0, 0].
    expect(preActivations(x, params, dictionaryLearning)).toEqual(
      fromRows([
        [6.5, -1, -2],
        [0.5, -3, 0],
      ]),
    );
  });

  test('leave out b_dec or b_enc where the dialect does', () => {
    const uncentred = dialectWith({ subtractsDecoderBias: false });
    expect(encoderInput(x, params, uncentred)).toBe(x);
    expect([...preActivations(x, params, uncentred).data]).toEqual([5.5, -2, -3, -0.5, -4, -1]);
    const unbiased = dialectWith({ usesEncoderBias: false });
    expect([...preActivations(x, params, unbiased).data]).toEqual([6, 2, -2, 0, 0, 0]);
  });

  test('leave x as it was', () => {
    const copy = matrix(2, 2, x.data.slice());
    preActivations(copy, params, dictionaryLearning);
    expect(copy).toEqual(x);
  });
});

test('acts are pre-activations above 0, and +0 elsewhere', () => {
  expect([...encode(x, params, dictionaryLearning).data]).toEqual([6.5, 0, 0, 0.5, 0, 0]);
  expect(Object.is(relu(fromRows([[-0]])).data[0], 0)).toBe(true);
});

describe('encode refuses', () => {
  const run = (rows: ReturnType<typeof matrix>, p: SaeParams = params): (() => unknown) => {
    return () => encode(rows, p, dictionaryLearning);
  };

  test('an empty batch, and rows of another width', () => {
    expect(run(matrix(0, 2))).toThrow(new RangeError('x: expected at least one row, got 0'));
    expect(run(matrix(1, 3))).toThrow(new RangeError('x: expected d_in = 2 columns, got 3'));
  });

  test('values that are not finite, naming the place', () => {
    expect(
      run(
        fromRows([
          [0, 0],
          [NaN, 0],
        ]),
      ),
    ).toThrow('x: expected finite values, got NaN at [1, 0]');
    const b_enc = Float64Array.of(0, Infinity, 0);
    expect(run(x, { ...params, b_enc })).toThrow(
      'b_enc: expected finite values, got Infinity at [1]',
    );
  });

  test('parameters that do not fit each other', () => {
    expect(run(x, { ...params, b_dec: new Float64Array(3) })).toThrow('params: expected b_dec 2');
  });
});

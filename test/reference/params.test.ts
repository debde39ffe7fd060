import { describe, expect, test } from 'vitest';
import { dictionaryLearning } from '../../reference/dialects.ts';
import { matrix, norm, row, transpose } from '../../reference/matrix.ts';
import {
  drawInitial,
  initialiseParams,
  paramNames,
  requireParams,
  zeroParams,
  type SaeParams,
} from '../../reference/params.ts';

test('zero parameters have their shapes', () => {
  const { W_enc, b_enc, W_dec, b_dec } = zeroParams(3, 5);
  expect([W_enc.rows, W_enc.cols, b_enc.length]).toEqual([3, 5, 5]);
  expect([W_dec.rows, W_dec.cols, b_dec.length]).toEqual([5, 3, 3]);
  expect(() => requireParams(zeroParams(3, 5))).not.toThrow();
});

describe('initial parameters', () => {
  const draws = [0.9, 0.1, 0.5, 0.75, 0.25, 0.5];
  const start = (dialect = dictionaryLearning): SaeParams => {
    let at = 0;
    return initialiseParams(
      drawInitial(2, 3, () => draws[at++], dialect),
      dialect,
    );
  };

  test('are drawn row by row, one draw for each value', () => {
    let drawn = 0;
    drawInitial(4, 6, () => (drawn++, 0.75), dictionaryLearning);
    expect(drawn).toBe(24);
    // 2 u - 1 = [0.8, -0.8], [0, 0.5], [-0.5, 0], each row then at unit norm.
    const unit = [Math.SQRT1_2, -Math.SQRT1_2, 0, 1, -1, 0];
    start().W_dec.data.forEach((w, i) => expect(w).toBeCloseTo(unit[i], 6));
  });

  test('have decoder rows of the dialect norm, the encoder their transpose, zero biases', () => {
    const initialise = { ...dictionaryLearning.initialise, decoderNorm: 0.1 };
    for (const [dialect, length] of [
      [dictionaryLearning, 1],
      [{ ...dictionaryLearning, initialise }, 0.1],
    ] as const) {
      const { W_enc, b_enc, W_dec, b_dec } = start(dialect);
      for (let j = 0; j < 3; j++) expect(norm(row(W_dec, j))).toBeCloseTo(length, 6);
      expect(W_enc).toEqual(transpose(W_dec));
      expect([...b_enc, ...b_dec]).toEqual([0, 0, 0, 0, 0]);
    }
  });

  test('a row that is drawn as zero stays zero', () => {
    expect([...initialiseParams(matrix(1, 2), dictionaryLearning).W_dec.data]).toEqual([0, 0]);
  });
});

describe('parameters are refused', () => {
  const fitting = zeroParams(2, 3);

  test.each<[string, Partial<SaeParams>]>([
    ['b_enc 3 to fit W_enc (2, 3), got 2', { b_enc: new Float64Array(2) }],
    ['W_dec rows 3 to fit W_enc (2, 3), got 4', { W_dec: matrix(4, 2) }],
    ['W_dec columns 2 to fit W_enc (2, 3), got 3', { W_dec: matrix(3, 3) }],
    ['b_dec 2 to fit W_enc (2, 3), got 1', { b_dec: new Float64Array(1) }],
    [
      'W_dec rows 4 to fit W_enc (2, 4), got 3',
      { W_enc: matrix(2, 4), b_enc: new Float64Array(4) },
    ],
  ])('when shapes differ: %s', (message, wrong) => {
    expect(() => requireParams({ ...fitting, ...wrong })).toThrow(`params: expected ${message}`);
  });

  test.each(paramNames)('when %s holds NaN, by its name', (name) => {
    const params = zeroParams(2, 3);
    const values = params[name];
    (values instanceof Float64Array ? values : values.data)[1] = NaN;
    expect(() => requireParams(params)).toThrow(`${name}: expected finite values, got NaN at [`);
  });
});

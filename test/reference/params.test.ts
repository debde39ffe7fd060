import { describe, expect, test } from 'vitest';
import { createRng } from '../../synthetic/rng.ts';
import {
  bussmann,
  dictionaryLearning,
  nabeshima,
  saelens,
  withDecision,
} from '../../reference/dialects.ts';
import { fromRows, matrix, norm, row, transpose } from '../../reference/matrix.ts';
import {
  drawInitial,
  eachParam,
  initialiseParams,
  namesOf,
  paramNames,
  requireParams,
  zeroParams,
  valuesOf,
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

  test('a row that is drawn as zero stays zero, and is refused where no epsilon is added', () => {
    expect([...initialiseParams(matrix(1, 2), dictionaryLearning).W_dec.data]).toEqual([0, 0]);
    expect(() => initialiseParams(matrix(1, 2), saelens)).toThrow(
      new RangeError('W_dec: expected rows of a norm above 0 to rescale, got 0 in row 0'),
    );
  });

  test('keep the encoder as it was drawn, where the dialect does', () => {
    const drawn = fromRows([
      [3, 0],
      [4, 2],
    ]);
    // Drawn as W_enc, so that its columns are the decoder's rows.
    const { W_enc, W_dec } = initialiseParams(drawn, bussmann);
    expect(W_enc).toEqual(drawn);
    expect([...W_dec.data]).toEqual([3 / 5, 4 / 5, 0, 1]);
    const tied = withDecision(bussmann, 'initialise.encoder', 'decoder-transposed');
    expect(initialiseParams(drawn, tied).W_enc).toEqual(transpose(W_dec));
    // Drawn as W_dec, and the encoder the transpose of what was drawn.
    const untied = withDecision(saelens, 'initialise.encoder', 'as-drawn');
    expect(initialiseParams(drawn, untied).W_enc).toEqual(transpose(drawn));
    expect(norm(row(initialiseParams(drawn, untied).W_dec, 1))).toBeCloseTo(0.1, 15);
  });
});

describe('what is drawn', () => {
  const [d_in, d_sae] = [16, 512];

  test('is W_dec within √(6 / d_in), or W_enc within √(6 / d_sae), one draw for each value', () => {
    for (const [dialect, rows, cols] of [
      [dictionaryLearning, 3, 2],
      [bussmann, 2, 3],
    ] as const) {
      const limit = Math.sqrt(6 / cols);
      let draws = 0;
      const drawn = drawInitial(2, 3, () => [0, 0.5, 0.75][draws++ % 3], dialect);
      expect([drawn.rows, drawn.cols, draws]).toEqual([rows, cols, 6]);
      expect([...drawn.data]).toEqual([-limit, 0, limit / 2, -limit, 0, limit / 2]);
    }
  });

  test('or W_enc normal, two draws for each value, by Box and Muller', () => {
    let draws = 0;
    const drawn = drawInitial(
      4,
      1,
      () => [1 - Math.exp(-2), [0, 0.5][(draws >> 1) % 2]][draws++ % 2],
      nabeshima,
    );
    expect([drawn.rows, drawn.cols, draws]).toEqual([4, 1, 8]);
    // Radius √(2 · 2) over √d_in = 2, at angles 0 and π.
    [1, -1, 1, -1].forEach((value, i) => expect(drawn.data[i]).toBeCloseTo(value, 14));
  });

  test.each([dictionaryLearning, bussmann, nabeshima])(
    '$name draws values of mean 0, of the variance it means',
    (dialect) => {
      const { draw } = dialect.initialise;
      const variance = {
        'W_dec-uniform': 2 / d_in,
        'W_enc-uniform': 2 / d_sae,
        'W_enc-normal': 1 / d_in,
      };
      // Fourth moments of uniform and normal values over the square of their variance.
      const kurtosis = draw === 'W_enc-normal' ? 3 : 9 / 5;
      const { data } = drawInitial(d_in, d_sae, createRng(3).uniform, dialect);
      const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
      const square = data.reduce((sum, value) => sum + value * value, 0) / data.length;
      // Five standard deviations of each mean.
      expect(Math.abs(mean)).toBeLessThan(5 * Math.sqrt(variance[draw] / data.length));
      expect(Math.abs(square / variance[draw] - 1)).toBeLessThan(
        5 * Math.sqrt((kurtosis - 1) / data.length),
      );
    },
  );

  test('as normal has the tails of a normal', () => {
    const { data } = drawInitial(d_in, d_sae, createRng(4).uniform, nabeshima);
    for (const [beyond, share] of [
      [1, 0.3173],
      [2, 0.0455],
    ]) {
      const got = data.filter((value) => Math.abs(value) > beyond / Math.sqrt(d_in)).length;
      const bound = 5 * Math.sqrt((share * (1 - share)) / data.length);
      expect(Math.abs(got / data.length - share)).toBeLessThan(bound);
    }
  });
});

describe('parameters by name', () => {
  const plain = zeroParams(2, 3);
  const jump: SaeParams = { ...plain, threshold: Float64Array.of(1, 2, 3) };

  test('are four, and a fifth where latents have thresholds', () => {
    expect(namesOf(plain)).toEqual(['W_enc', 'b_enc', 'W_dec', 'b_dec']);
    expect(namesOf(jump)).toEqual(['W_enc', 'b_enc', 'W_dec', 'b_dec', 'threshold']);
  });

  test('are their numbers, and one that is missing is refused', () => {
    expect(valuesOf(jump, 'W_dec')).toBe(jump.W_dec.data);
    expect(valuesOf(jump, 'threshold')).toBe(jump.threshold);
    expect(() => valuesOf(plain, 'threshold')).toThrow(
      new RangeError('params: expected a threshold, got none'),
    );
  });

  test('are made anew in the shapes of others, a threshold only where there is one', () => {
    const ones = (like: SaeParams): SaeParams =>
      eachParam(like, (name) => valuesOf(like, name).map(() => 1));
    expect(ones(plain)).toEqual({
      W_enc: matrix(2, 3, new Float64Array(6).fill(1)),
      b_enc: Float64Array.of(1, 1, 1),
      W_dec: matrix(3, 2, new Float64Array(6).fill(1)),
      b_dec: Float64Array.of(1, 1),
    });
    expect(Object.keys(ones(plain))).not.toContain('threshold');
    expect(ones(jump).threshold).toEqual(Float64Array.of(1, 1, 1));
  });
});

describe('parameters are refused', () => {
  const fitting = zeroParams(2, 3);

  test.each<[string, Partial<SaeParams>]>([
    ['b_enc 3 to fit W_enc (2, 3), got 2', { b_enc: new Float64Array(2) }],
    ['W_dec rows 3 to fit W_enc (2, 3), got 4', { W_dec: matrix(4, 2) }],
    ['W_dec columns 2 to fit W_enc (2, 3), got 3', { W_dec: matrix(3, 3) }],
    ['b_dec 2 to fit W_enc (2, 3), got 1', { b_dec: new Float64Array(1) }],
    ['threshold 3 to fit W_enc (2, 3), got 2', { threshold: new Float64Array(2) }],
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

  test('when a threshold holds NaN, and not for one that fits', () => {
    const threshold = Float64Array.of(0, 1, NaN);
    expect(() => requireParams({ ...fitting, threshold })).toThrow(
      'threshold: expected finite values, got NaN at [2]',
    );
    expect(() => requireParams({ ...fitting, threshold: new Float64Array(3) })).not.toThrow();
  });
});

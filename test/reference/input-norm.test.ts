import { describe, expect, test } from 'vitest';
import {
  bussmann,
  dictionaryLearning,
  nabeshima,
  saelens,
  withDecision,
} from '../../reference/dialects.ts';
import { decode } from '../../reference/decode.ts';
import { encode } from '../../reference/encode.ts';
import {
  estimateInputScale,
  foldInputScale,
  foldNormFactor,
  normaliseInput,
  normFactor,
} from '../../reference/input-norm.ts';
import { fromRows, matrix, scale } from '../../reference/matrix.ts';
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

describe('the input scale', () => {
  /** Norms 5, 0 and 2, in batches of one and two rows. */
  const batches = [
    fromRows([[3, 4]]),
    fromRows([
      [0, 0],
      [0, -2],
    ]),
  ];

  test('of dictionary_learning is 1 / √(mean squared norm), where batches count alike', () => {
    expect(estimateInputScale(batches, dictionaryLearning)).toBe(1 / Math.sqrt((25 + 2) / 2));
    expect(estimateInputScale([fromRows([[3, 4]])], dictionaryLearning)).toBe(0.2);
  });

  test('of SAELens is √d_in / mean norm, where rows count alike', () => {
    expect(estimateInputScale(batches, saelens)).toBeCloseTo(Math.SQRT2 / (7 / 3), 15);
    expect(estimateInputScale([fromRows([[0, 8, 0, 0]])], saelens)).toBe(0.25);
  });

  test('is refused where the dialect estimates none, without batches, and of zeros', () => {
    expect(() => estimateInputScale(batches, nabeshima)).toThrow(
      new RangeError('input.estimate: dialect nabeshima scales inputs by no estimate'),
    );
    for (const dialect of [dictionaryLearning, saelens]) {
      expect(() => estimateInputScale([], dialect)).toThrow(
        new RangeError('inputScale: expected at least one batch, got 0'),
      );
    }
    expect(() => estimateInputScale([matrix(2, 2)], dictionaryLearning)).toThrow(
      new RangeError('normFactor: expected a mean squared length above 0, got 0'),
    );
    expect(() => estimateInputScale([matrix(2, 2)], saelens)).toThrow(
      new RangeError('inputScale: expected a mean norm above 0, got 0'),
    );
    expect(() => estimateInputScale([matrix(0, 2)], saelens)).toThrow('got NaN');
  });
});

describe('the scale folds', () => {
  const params: SaeParams = {
    W_enc: fromRows([[1, 2]]),
    b_enc: Float64Array.of(3, 4),
    W_dec: fromRows([[5], [6]]),
    b_dec: Float64Array.of(8),
    threshold: Float64Array.of(1, -2),
  };

  test('into both biases and every threshold that was set', () => {
    expect(foldInputScale(params, 12, 0.25, dictionaryLearning)).toEqual({
      params: {
        ...params,
        b_enc: Float64Array.of(12, 16),
        b_dec: Float64Array.of(32),
        threshold: Float64Array.of(4, -8),
      },
      threshold: 48,
    });
    expect(foldInputScale(params, -1, 0.25, dictionaryLearning).threshold).toBe(-1);
  });

  test('into weights, b_dec, and a threshold in units of rescaled acts', () => {
    const folded = {
      ...params,
      W_enc: fromRows([[0.5, 1]]),
      W_dec: fromRows([[10], [12]]),
      b_dec: Float64Array.of(16),
    };
    expect(foldInputScale(params, 12, 0.5, saelens)).toEqual({ params: folded, threshold: 24 });
    const raw = withDecision(saelens, 'select.score', 'acts');
    expect(foldInputScale(params, 12, 0.5, raw)).toEqual({ params: folded, threshold: 12 });
  });

  test('without thresholds of latents into parameters without', () => {
    const plain: SaeParams = {
      W_enc: params.W_enc,
      b_enc: params.b_enc,
      W_dec: params.W_dec,
      b_dec: params.b_dec,
    };
    for (const dialect of [dictionaryLearning, saelens]) {
      expect(Object.keys(foldInputScale(plain, 1, 2, dialect).params)).not.toContain('threshold');
    }
  });
});

describe('a step’s input', () => {
  const x = fromRows([
    [1, 2, 3],
    [4, 4, 10],
  ]);

  test('is x itself in dialects that do not normalise', () => {
    const { x: same, meanNorm, restore } = normaliseInput(x, 7, dictionaryLearning, true);
    expect(same).toBe(x);
    expect(meanNorm).toBe(7);
    expect(restore(x)).toBe(x);
  });

  test('is each row minus its mean over its unbiased deviation plus epsilon', () => {
    const dialect = withDecision(bussmann, 'input.epsilon', 1);
    const { x: rows, meanNorm, restore } = normaliseInput(x, 7, dialect, true);
    // Means 2 and 6; deviations 1 and √((4 + 4 + 16) / 2).
    const wide = Math.sqrt(12) + 1;
    expect([...rows.data.subarray(0, 3)]).toEqual([-0.5, 0, 0.5]);
    [-2, -2, 4].forEach((value, i) => expect(rows.data[3 + i]).toBeCloseTo(value / wide, 15));
    expect(meanNorm).toBe(7);
    // Each row by its own mean and deviation, without the epsilon.
    const restored = restore(
      fromRows([
        [0, 1, 2],
        [0, 1, -1],
      ]),
    );
    const expected = [2, 3, 4, 6, 6 + Math.sqrt(12), 6 - Math.sqrt(12)];
    restored.data.forEach((value, i) => expect(value).toBeCloseTo(expected[i], 14));
  });

  test('of one value in a row is 0 there, and refused without an epsilon', () => {
    const flat = fromRows([
      [1, 2],
      [5, 5],
    ]);
    expect([...normaliseInput(flat, 0, bussmann, true).x.data.subarray(2)]).toEqual([0, 0]);
    const exact = withDecision(bussmann, 'input.epsilon', 0);
    expect(() => normaliseInput(flat, 0, exact, true)).toThrow(
      new RangeError('input: row 1 has deviation 0, and nothing is added to divide by'),
    );
  });

  test('of one dimension has no deviation', () => {
    for (const cols of [0, 1]) {
      expect(() => normaliseInput(matrix(2, cols), 0, bussmann, true)).toThrow(
        new RangeError(`input: expected d_in >= 2 to divide rows by their deviation, got ${cols}`),
      );
    }
    expect(() => normaliseInput(fromRows([[1, 2]]), 0, bussmann, true)).not.toThrow();
  });

  test('is x · √d_in over a running mean of norms that starts at 0 without correction', () => {
    const dialect = withDecision(nabeshima, 'input.decay', 0.75);
    const batch = fromRows([
      [0, 3, 0, 4],
      [0, 0, 0, 3],
    ]);
    // Mean norm 4: q = 0.25 · 4, then 0.75 + 0.25 · 4.
    const first = normaliseInput(batch, 0, dialect, true);
    expect(first.meanNorm).toBe(1);
    expect(first.x).toEqual(scale(batch, 2));
    const second = normaliseInput(batch, first.meanNorm, dialect, true);
    expect(second.meanNorm).toBe(1.75);
    expect(second.x.data[1]).toBeCloseTo(6 / 1.75, 15);
    expect(second.restore(second.x).data[1]).toBeCloseTo(3, 14);
  });

  test('leaves the running mean where it was outside training', () => {
    const still = normaliseInput(x, 2, nabeshima, false);
    expect(still.meanNorm).toBe(2);
    expect(still.x.data[0]).toBeCloseTo(Math.sqrt(3) / 2, 15);
    // Back by q / √(columns), whatever number of them.
    expect([...still.restore(fromRows([[4, 2, 0, 6]])).data]).toEqual([4, 2, 0, 6]);
    expect([...still.restore(fromRows([[3]])).data]).toEqual([6]);
  });

  test('of zeros is refused while the running mean is 0, and passes later', () => {
    expect(() => normaliseInput(matrix(2, 3), 0, nabeshima, true)).toThrow(
      new RangeError(
        'input: expected a running mean norm above 0 to divide by, got 0; is the first batch all zeros?',
      ),
    );
    expect(normaliseInput(matrix(2, 3), 2, nabeshima, true)).toMatchObject({
      x: matrix(2, 3),
      meanNorm: 0.99 * 2,
    });
    expect(() => normaliseInput(x, NaN, nabeshima, false)).toThrow('got NaN');
  });
});

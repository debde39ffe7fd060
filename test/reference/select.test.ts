import { describe, expect, test } from 'vitest';
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { fromRows, matrix } from '../../reference/matrix.ts';
import {
  aboveThreshold,
  batchTopK,
  selectionCount,
  selectionScores,
  topK,
} from '../../reference/select.ts';

const acts = fromRows([
  [3, 2, 0],
  [1, 0, 0.5],
]);

describe('the number selected', () => {
  test('is k · rows in double, truncated', () => {
    expect(selectionCount(2, 3, 9)).toBe(6);
    expect(selectionCount(0.19, 5, 4)).toBe(0);
    expect(selectionCount(0.29, 100, 4)).toBe(28);
    expect(selectionCount(4, 3, 4)).toBe(12);
  });

  test.each([-1, NaN, Infinity, 4.5])('refuses k = %s for d_sae 4', (k) => {
    expect(() => selectionCount(k, 2, 4)).toThrow(
      new RangeError(`k: expected 0 <= k <= d_sae = 4, got ${k}`),
    );
  });
});

describe('BatchTopK', () => {
  test('keeps the largest of the whole batch, so rows keep unequal numbers', () => {
    expect([...batchTopK(acts, 1).data]).toEqual([3, 2, 0, 0, 0, 0]);
    expect([...batchTopK(acts, 1.5).data]).toEqual([3, 2, 0, 1, 0, 0]);
  });

  test('keeps nothing for k = 0', () => {
    expect([...batchTopK(acts, 0).data]).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test('keeps all positive acts, and no zero, where fewer than K are positive', () => {
    expect(batchTopK(acts, 2.5)).toEqual(acts);
    expect(batchTopK(acts, 3)).toEqual(acts);
  });

  test('keeps the lower row, then the lower latent, of equal acts', () => {
    const ties = fromRows([
      [1, 2, 1],
      [1, 2, 1],
    ]);
    expect([...batchTopK(ties, 0.5).data]).toEqual([0, 2, 0, 0, 0, 0]);
    expect([...batchTopK(ties, 1.5).data]).toEqual([1, 2, 0, 0, 2, 0]);
    expect([...batchTopK(ties, 2).data]).toEqual([1, 2, 1, 0, 2, 0]);
  });

  test('never keeps a negative value', () => {
    expect([...batchTopK(fromRows([[-1, -2, 3]]), 3).data]).toEqual([0, 0, 3]);
  });

  test('ranks by scores and keeps acts', () => {
    const scores = fromRows([
      [1, 9, 0],
      [8, 0, 2],
    ]);
    expect([...batchTopK(acts, 1, scores).data]).toEqual([0, 2, 0, 1, 0, 0]);
  });

  test('keeps no act whose score is 0, where fewer than K are positive', () => {
    const some = fromRows([[5, 1, 4, 2]]);
    const scores = fromRows([[0, 1, -1, 0]]);
    expect([...batchTopK(some, 3, scores).data]).toEqual([0, 1, 0, 0]);
    expect([...topK(some, 4, scores).data]).toEqual([0, 1, 0, 0]);
  });

  test('refuses scores of another shape, and scores that are not finite', () => {
    expect(() => batchTopK(acts, 1, fromRows([[1, 2, 3]]))).toThrow(
      'scores: expected (2, 3) like acts, got (1, 3)',
    );
    expect(() => batchTopK(acts, 1, matrix(2, 4))).toThrow(
      'scores: expected (2, 3) like acts, got (2, 4)',
    );
    expect(() => batchTopK(fromRows([[1, NaN]]), 1)).toThrow(
      'scores: expected finite values, got NaN at [0, 1]',
    );
  });
});

describe('TopK', () => {
  test('keeps k in each row', () => {
    expect([...topK(acts, 1).data]).toEqual([3, 0, 0, 1, 0, 0]);
    expect([...topK(acts, 2).data]).toEqual([3, 2, 0, 1, 0, 0.5]);
    expect([...topK(acts, 0).data]).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test('is BatchTopK for a single row', () => {
    const single = fromRows([[1, 4, 4, 2]]);
    for (const k of [0, 1, 2, 3, 4]) expect(topK(single, k)).toEqual(batchTopK(single, k));
  });

  test.each([1.5, -1, 4, NaN])('refuses k = %s for d_sae 3', (k) => {
    expect(() => topK(acts, k)).toThrow(RangeError);
  });

  test('says that a fractional k belongs to BatchTopK', () => {
    expect(() => topK(acts, 1.5)).toThrow('k: expected a whole number for TopK, got 1.5');
  });
});

describe('inference by threshold', () => {
  test('keeps acts strictly above it', () => {
    expect([...aboveThreshold(acts, 1).data]).toEqual([3, 2, 0, 0, 0, 0]);
    expect([...aboveThreshold(acts, Infinity).data]).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test('is a plain ReLU while the threshold is negative', () => {
    expect([...aboveThreshold(fromRows([[-3, 0, 2]]), -1).data]).toEqual([0, 0, 2]);
    expect([...aboveThreshold(fromRows([[-3, 0, 2]]), -5).data]).toEqual([0, 0, 2]);
  });

  test('compares scores where they are given', () => {
    expect([...aboveThreshold(fromRows([[1, 2]]), 4, fromRows([[5, 4]])).data]).toEqual([1, 0]);
  });

  test('refuses NaN', () => {
    expect(() => aboveThreshold(acts, NaN)).toThrow('threshold: expected a number, got NaN');
    expect(() => aboveThreshold(fromRows([[NaN]]), 0)).toThrow('scores: expected finite values');
  });
});

describe('scores', () => {
  const rescaled: Dialect = {
    ...dictionaryLearning,
    select: { score: 'acts-times-decoder-norm' },
  };
  const W_dec = fromRows([
    [3, 4],
    [0, 1],
    [0, 0.5],
  ]);

  test('are the acts, or acts times the norm of their decoder row', () => {
    expect(selectionScores(acts, W_dec, dictionaryLearning)).toBe(acts);
    expect([...selectionScores(acts, W_dec, rescaled).data]).toEqual([15, 2, 0, 5, 0, 0.25]);
  });

  test('refuse a zero decoder row only where its norm is used', () => {
    const zeroRow = fromRows([
      [1, 0],
      [0, 0],
      [0, 1],
    ]);
    expect(selectionScores(acts, zeroRow, dictionaryLearning)).toBe(acts);
    expect(() => selectionScores(acts, zeroRow, rescaled)).toThrow(
      'W_dec: expected non-zero rows to rescale acts by, got norm 0 in row 1',
    );
  });
});

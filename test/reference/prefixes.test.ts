import { describe, expect, test } from 'vitest';
import { groups, prefixesFromFractions, requirePrefixes } from '../../reference/prefixes.ts';

describe('prefixes', () => {
  test('are whole, strictly increasing, and end at d_sae', () => {
    for (const prefixes of [[5], [2, 5], [1, 2, 3, 4, 5]]) {
      expect(() => requirePrefixes(prefixes, 5)).not.toThrow();
    }
  });

  test.each<[number[], string]>([
    [[], 'prefixes: expected at least one, got none'],
    [[0, 5], 'each above the one before (0), got 0 in [0, 5]'],
    [[3, 3, 5], 'each above the one before (3), got 3 in [3, 3, 5]'],
    [[3, 2, 5], 'each above the one before (3), got 2 in [3, 2, 5]'],
    [[1.5, 5], 'got 1.5 in [1.5, 5]'],
    [[NaN, 5], 'got NaN in [NaN, 5]'],
    [[2, 4], 'expected the last to be d_sae = 5, got 4 in [2, 4]'],
    [[2, 6], 'expected the last to be d_sae = 5, got 6 in [2, 6]'],
  ])('%j are refused for d_sae 5', (prefixes, message) => {
    expect(() => requirePrefixes(prefixes, 5)).toThrow(RangeError);
    expect(() => requirePrefixes(prefixes, 5)).toThrow(message);
  });

  test('a group is what its prefix adds', () => {
    expect(groups([2, 5])).toEqual([
      { start: 0, end: 2 },
      { start: 2, end: 5 },
    ]);
    expect(groups([4])).toEqual([{ start: 0, end: 4 }]);
  });
});

describe('prefixes from fractions', () => {
  test('truncate each size in double and leave the rest to the last group', () => {
    expect(0.29 * 100).toBeLessThan(29);
    expect(prefixesFromFractions([0.29, 0.71], 100)).toEqual([28, 100]);
    // The paper's groups.
    expect(prefixesFromFractions([1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2 + 1 / 32], 65_536)).toEqual([
      2048, 6144, 14_336, 30_720, 65_536,
    ]);
    expect(prefixesFromFractions([1], 7)).toEqual([7]);
  });

  test('may miss a sum of 1 by rounding, not by more', () => {
    expect(prefixesFromFractions([0.1, 0.2, 0.7000005], 10)).toEqual([1, 3, 10]);
    for (const fractions of [[0.5, 0.49], [0.5, 0.6], [NaN], []]) {
      expect(() => prefixesFromFractions(fractions, 10)).toThrow(
        'group fractions: expected a sum of 1',
      );
    }
  });

  test('refuse a group that would be empty', () => {
    expect(() => prefixesFromFractions([0.01, 0.99], 10)).toThrow('prefixes: expected whole');
    expect(() => prefixesFromFractions([1, 0], 10)).toThrow('got 10 in [10, 10]');
  });
});

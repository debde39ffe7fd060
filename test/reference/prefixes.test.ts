import { describe, expect, test } from 'vitest';
import { createRng } from '../../synthetic/rng.ts';
import {
  groups,
  prefixesFromFractions,
  requirePrefixes,
  samplePrefixes,
} from '../../reference/prefixes.ts';

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

describe('drawn prefixes', () => {
  const never = (): number => {
    throw new Error('drew');
  };

  test('hold d_sae alone for a count of one, and nothing is drawn', () => {
    expect(samplePrefixes(7, 1, 1, 0.5, never)).toEqual([7]);
    expect(samplePrefixes(1, 1, 1, 0.5, never)).toEqual([1]);
    expect(samplePrefixes(3, 1, 5, 0.5, never)).toEqual([3]);
  });

  test('are sorted, distinct, from least to d_sae, after count - 1 draws', () => {
    const { uniform } = createRng(5);
    for (const [d_sae, count, least] of [
      [20, 6, 1],
      [20, 6, 9],
      [9, 9, 1],
      [9, 5, 5],
      [2, 2, 1],
    ]) {
      let draws = 0;
      const drawn = samplePrefixes(d_sae, count, least, 0.5, () => (draws++, uniform()));
      expect(drawn).toHaveLength(count);
      expect(draws).toBe(count - 1);
      expect(() => requirePrefixes(drawn, d_sae)).not.toThrow();
      expect(drawn[0]).toBeGreaterThanOrEqual(least);
    }
    expect(samplePrefixes(9, 5, 5, 0.5, uniform)).toEqual([5, 6, 7, 8, 9]);
  });

  test('take the length at which P(length <= v) = ((v - least + 1) / (d_sae - least))^p passes the draw', () => {
    const one = (u: number, least = 1, power = 0.5, d_sae = 5): number =>
      samplePrefixes(d_sae, 2, least, power, () => u)[0];
    // √(1/4), √(2/4), √(3/4), 1.
    expect([0, 0.49, 0.5, 0.7, 0.71, 0.86, 0.87, 0.99].map((u) => one(u))).toEqual([
      1, 1, 2, 2, 3, 3, 4, 4,
    ]);
    // Power 1: alike; power 2: (v / 4)².
    expect([0, 0.24, 0.25, 0.5, 0.75].map((u) => one(u, 1, 1))).toEqual([1, 1, 2, 3, 4]);
    expect([0.06, 0.0625, 0.24, 0.25, 0.5, 0.57].map((u) => one(u, 1, 2))).toEqual([
      1, 2, 2, 3, 3, 4,
    ]);
    // From least 3: √(1/2) for 3, the rest for 4.
    expect([0, 0.7, 0.71, 0.99].map((u) => one(u, 3))).toEqual([3, 3, 4, 4]);
  });

  test('never fall behind the last length, however the weights are rounded', () => {
    expect(samplePrefixes(5, 2, 1, 0.5, () => 1)).toEqual([4, 5]);
  });

  test('are drawn without replacement: each draw weighs those that are left', () => {
    // Power 1 of lengths 1, 2, 3: the second draw is one of two, alike.
    const of = (...draws: number[]): number[] => {
      let at = 0;
      return samplePrefixes(4, 3, 1, 1, () => draws[at++]);
    };
    expect(of(0, 0.49)).toEqual([1, 2, 4]);
    expect(of(0, 0.51)).toEqual([1, 3, 4]);
    expect(of(0.5, 0.49)).toEqual([1, 2, 4]);
    expect(of(0.5, 0.51)).toEqual([2, 3, 4]);
    expect(of(0.9, 0)).toEqual([1, 3, 4]);
  });

  test('have the probabilities of successive sampling', () => {
    const runs = 40_000;
    const { uniform } = createRng(11);
    const seen = new Map<string, number>();
    for (let i = 0; i < runs; i++) {
      const key = samplePrefixes(5, 3, 1, 0.5, uniform).join();
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
    const weight = (v: number): number => Math.sqrt(v / 4) - Math.sqrt((v - 1) / 4);
    let pairs = 0;
    for (let v = 1; v < 5; v++) {
      for (let w = v + 1; w < 5; w++) {
        const [p, q] = [weight(v), weight(w)];
        const expected = (p * q) / (1 - p) + (q * p) / (1 - q);
        const got = (seen.get(`${v},${w},5`) ?? 0) / runs;
        // Five standard deviations of a share of so many runs.
        const bound = 5 * Math.sqrt((expected * (1 - expected)) / runs);
        expect(Math.abs(got - expected), `${v}, ${w}`).toBeLessThan(bound);
        pairs++;
      }
    }
    expect(seen.size).toBe(pairs);
  });

  test.each<[number, number, number]>([
    [5, 6, 1],
    [5, 4, 3],
    [5, 2, 5],
    [5, 2, 6],
    [5, 0, 1],
    [5, 2, 0],
    [5.5, 2, 1],
    [5, 1.5, 1],
    [5, 2, 1.5],
    [NaN, 1, 1],
  ])('of d_sae %s: %s of them from %s on are refused', (d_sae, count, least) => {
    expect(() => samplePrefixes(d_sae, count, least, 0.5, () => 0)).toThrow(
      new RangeError(
        `prefixes: expected ${count} whole lengths, ${least} <= m_1 < ... <= d_sae = ${d_sae}, to be possible`,
      ),
    );
  });
});

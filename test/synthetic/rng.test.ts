import { describe, expect, test } from 'vitest';
import { createRng, xoshiro128 } from '../../synthetic/rng.ts';

const draw = (n: number, next: () => number): number[] => Array.from({ length: n }, next);

describe('rng', () => {
  test('the generator gives the published xoshiro128** 1.1 outputs for the state 1, 2, 3, 4', () => {
    // Vector of the rand_xoshiro crate, made with the authors' C code.
    expect(draw(10, xoshiro128(Uint32Array.of(1, 2, 3, 4)))).toEqual([
      11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597,
      4258142804,
    ]);
  });

  test('a seed names one stream for ever (frozen values)', () => {
    const rng = createRng(42);
    expect(draw(3, rng.uniform)).toEqual([
      0.8664170525889743, 0.6818392230827742, 0.8130633803407765,
    ]);
    expect(draw(3, rng.normal)).toEqual([
      -0.4318213497054781, 1.2542475208902488, -0.8599649169568077,
    ]);
    expect(draw(5, () => rng.below(10))).toEqual([4, 7, 3, 9, 1]);
    expect(rng.split('data').uniform()).toBe(0.8750216354883177);
  });

  test('seeds 0..999 and their sub-streams all start differently', () => {
    const firsts = Array.from({ length: 1000 }, (_, seed) => [
      createRng(seed).uniform(),
      createRng(seed).split('a').uniform(),
      createRng(seed).split('b').uniform(),
      createRng(seed * 2 ** 32 + 1)
        .split('a')
        .split('b')
        .uniform(),
    ]).flat();
    expect(new Set(firsts).size).toBe(4000);
  });

  test('a sub-stream depends on labels and not on what was drawn', () => {
    const rng = createRng(5);
    const before = rng.split('data').uniform();
    draw(100, rng.uniform);
    expect(rng.split('data').uniform()).toBe(before);
    expect(rng.split('ab').split('c').uniform()).not.toBe(rng.split('a').split('bc').uniform());
  });

  test('uniform values lie in [0, 1), on the 2^-53 grid, with mean 1/2 and variance 1/12', () => {
    const n = 100_000;
    const values = draw(n, createRng(1).uniform);
    expect(values.every((u) => u >= 0 && u < 1 && Number.isInteger(u * 2 ** 53))).toBe(true);
    // Low bits are used too: not all values are multiples of 2^-32.
    expect(values.some((u) => !Number.isInteger(u * 2 ** 32))).toBe(true);
    const mean = values.reduce((sum, u) => sum + u, 0) / n;
    const variance = values.reduce((sum, u) => sum + (u - mean) ** 2, 0) / n;
    expect(Math.abs(mean - 0.5)).toBeLessThan(5 * Math.sqrt(1 / 12 / n));
    expect(Math.abs(variance - 1 / 12)).toBeLessThan(5 * Math.sqrt(1 / 180 / n));
  });

  test('normal values have the first four moments of N(0, 1), and neighbours do not correlate', () => {
    const n = 100_000;
    const values = draw(n, createRng(2).normal);
    const moment = (p: number): number => values.reduce((sum, v) => sum + v ** p, 0) / n;
    // Var(X^p) = E X^2p - (E X^p)²: 1, 2, 15, 96.
    for (const [p, expected, variance] of [
      [1, 0, 1],
      [2, 1, 2],
      [3, 0, 15],
      [4, 3, 96],
    ]) {
      expect(Math.abs(moment(p) - expected)).toBeLessThan(5 * Math.sqrt(variance / n));
    }
    const lagged = values.slice(1).reduce((sum, v, i) => sum + v * values[i], 0) / n;
    expect(Math.abs(lagged)).toBeLessThan(5 / Math.sqrt(n));
  });

  test('below(n) gives every value equally often, by chi-square', () => {
    const n = 70_000;
    const counts = new Array<number>(7).fill(0);
    const rng = createRng(3);
    for (let i = 0; i < n; i++) counts[rng.below(7)]++;
    const chi = counts.reduce((sum, c) => sum + (c - n / 7) ** 2 / (n / 7), 0);
    expect(chi).toBeLessThan(35); // P < 5e-6 with 6 degrees of freedom
    expect(createRng(0).below(1)).toBe(0);
  });

  test('a seed or bound outside the range is refused by value', () => {
    for (const seed of [-1, 0.5, NaN, 2 ** 53]) {
      expect(() => createRng(seed)).toThrow(`got ${seed}`);
    }
    for (const n of [0, 1.5, -2, 2 ** 32 + 1]) {
      expect(() => createRng(0).below(n)).toThrow(`got ${n}`);
    }
  });
});

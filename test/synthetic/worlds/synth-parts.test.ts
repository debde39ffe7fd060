import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { matrix, norm, row, type Matrix } from '../../../reference/matrix.ts';
import { createRng } from '../../../synthetic/rng.ts';
import { meanMaxCosine, welchBound } from '../../../synthetic/worlds/coherence.ts';
import { compensate, firingRates } from '../../../synthetic/worlds/compensation.ts';
import { unitRows } from '../../../synthetic/worlds/directions.ts';
import { buildForest, type Forest } from '../../../synthetic/worlds/forest.ts';
import { lowRankCorrelation } from '../../../synthetic/worlds/low-rank-correlation.ts';
import type { ForestParams } from '../../../synthetic/worlds/params.ts';
import { pushApart } from '../../../synthetic/worlds/push-apart.ts';
import { zipfProbabilities } from '../../../synthetic/worlds/zipf.ts';

const forestParams: ForestParams = {
  roots: 2,
  branching: 3,
  depth: 2,
  exclusive: { portion: 1, minDepth: 0, maxDepth: null },
  compensate: 'refuse',
  scaleChildren: false,
};

describe('Zipf probabilities', () => {
  test('fall strictly from p_max to p_min, and once unshifted have a log-log slope of minus the exponent', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 400 }),
        fc.double({ min: 0.2, max: 2, noNaN: true }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        (features, exponent, p_max) => {
          const p_min = p_max / 50;
          const p = zipfProbabilities(features, { exponent, p_max, p_min });
          expect(p[0]).toBe(p_max);
          expect(p[features - 1]).toBeCloseTo(p_min, 12);
          const last = features ** -exponent;
          const shift = ((p_max - p_min) * last) / (1 - last) - p_min;
          const slope = (i: number): number =>
            Math.log((p[i] + shift) / (p[0] + shift)) / Math.log(i + 1);
          for (let i = 1; i < features; i++) {
            expect(p[i]).toBeLessThan(p[i - 1]);
            expect(slope(i)).toBeCloseTo(-exponent, 8);
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  test('of synth16k sum to 59.14, of mini1k to 11.45, of mini256 to 5.6245; one feature has p_max', () => {
    const sum = (features: number, p_max: number, p_min: number): number =>
      zipfProbabilities(features, { exponent: 0.5, p_max, p_min }).reduce((a, b) => a + b);
    expect(sum(16_384, 0.4, 5e-4)).toBeCloseTo(59.14, 2);
    expect(sum(1024, 0.3, 0.002)).toBeCloseTo(11.45, 2);
    expect(sum(256, 0.3, 0.004)).toBeCloseTo(5.6245, 4);
    expect(sum(1, 0.3, 0.1)).toBe(0.3);
  });
});

describe('a forest', () => {
  test('gives roots the first numbers, then children level by level', () => {
    const forest = buildForest(30, forestParams, createRng(0));
    expect(forest.size).toBe(2 * (1 + 3 + 9));
    expect([...forest.parent.slice(0, 9)]).toEqual([-1, -1, 0, 0, 0, 1, 1, 1, 2]);
    expect([...forest.depth.slice(0, 9)]).toEqual([0, 0, 1, 1, 1, 1, 1, 1, 2]);
    expect([...forest.exclusive].reduce((a, b) => a + b)).toBe(2 + 6);
  });

  test('stops in the middle of a family when features run out, and at single nodes when roots are as many as features', () => {
    const cut = buildForest(10, forestParams, createRng(0));
    expect(cut.size).toBe(10);
    expect([cut.childCount[2], cut.exclusive[2], cut.childCount[3]]).toEqual([2, 1, 0]);
    const oneChild = buildForest(9, forestParams, createRng(0));
    expect([oneChild.childCount[2], oneChild.exclusive[2]]).toEqual([1, 0]);
    expect(buildForest(3, { ...forestParams, roots: 5 }, createRng(0)).size).toBe(3);
  });

  test('makes a share of the parents of two or more exclusive, at the depths asked for', () => {
    const count = (exclusive: ForestParams['exclusive']): number[] => {
      const forest = buildForest(200, { ...forestParams, roots: 5, exclusive }, createRng(3));
      return [0, 1, 2].map(
        (d) => [...forest.exclusive].filter((e, n) => e === 1 && forest.depth[n] === d).length,
      );
    };
    expect(count({ portion: 1, minDepth: 1, maxDepth: null })).toEqual([0, 15, 0]);
    expect(count({ portion: 1, minDepth: 0, maxDepth: 0 })).toEqual([5, 0, 0]);
    expect(count({ portion: 0.5, minDepth: 0, maxDepth: null }).reduce((a, b) => a + b)).toBe(10);
    expect(count({ portion: 0, minDepth: 0, maxDepth: null })).toEqual([0, 0, 0]);
  });

  test('with a range of branching has families of each size in it and of no other', () => {
    const forest = buildForest(
      2000,
      { ...forestParams, roots: 60, branching: { min: 2, max: 4 } },
      createRng(1),
    );
    const sizes = [...forest.childCount].filter((count) => count > 0);
    expect([...new Set(sizes)].sort()).toEqual([2, 3, 4]);
  });
});

/** One parent, number 0, with all others as its children. */
function family(children: number, exclusive: boolean): Forest {
  const params = { ...forestParams, roots: 1, branching: Math.max(2, children), depth: 1 };
  const portion = exclusive ? 1 : 0;
  return buildForest(
    1 + children,
    { ...params, exclusive: { ...params.exclusive, portion } },
    createRng(0),
  );
}

describe('firing rates', () => {
  test('of exclusive children are those of an enumeration of all patterns', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 2, maxLength: 6 }),
        (q) => {
          const expected = new Float64Array(q.length);
          for (let pattern = 1; pattern < 2 ** q.length; pattern++) {
            const on = q.map((_, i) => (pattern >> i) % 2 === 1);
            const p = q.reduce((all, qi, i) => all * (on[i] ? qi : 1 - qi), 1);
            const count = on.filter(Boolean).length;
            on.forEach((isOn, i) => (expected[i] += isOn ? p / count : 0));
          }
          const rates = firingRates(Float64Array.of(0.5, ...q), family(q.length, true));
          expected.forEach((p, i) => expect(rates[i + 1]).toBeCloseTo(0.5 * p, 12));
        },
      ),
    );
  });

  test('of n equal exclusive children are p (1 - (1 - q)^n) / n, and p q of others', () => {
    const q = Float64Array.of(0.4, 0.3, 0.3, 0.3);
    expect(firingRates(q, family(3, true))[2]).toBeCloseTo((0.4 * (1 - 0.7 ** 3)) / 3, 14);
    expect(firingRates(q, family(3, false))[2]).toBeCloseTo(0.12, 14);
  });
});

describe('compensation', () => {
  const base = Float64Array.of(0.4, 0.1, 0.08, 0.06);

  test('is p / p_parent, times 1 + the siblings’ share where they exclude each other; roots keep p', () => {
    const apart = compensate(base, family(3, false), 'refuse').drawn;
    [0.4, 0.25, 0.2, 0.15].forEach((q, f) => expect(apart[f]).toBeCloseTo(q, 14));
    const { drawn } = compensate(base, family(3, true), 'refuse');
    [0.4, 0.25 * 1.35, 0.2 * 1.4, 0.15 * 1.45].forEach((q, f) =>
      expect(drawn[f]).toBeCloseTo(q, 14),
    );
    expect(compensate(base, family(3, true), 'no').drawn).toEqual(base);
  });

  test('that would reach 1 is refused by name, or clamped with a warning of how many and how far', () => {
    const high = Float64Array.of(0.2, 0.19, 0.18);
    expect(() => compensate(high, family(2, true), 'refuse')).toThrow(
      /forest\.compensate.*feature 1.*1\.805/,
    );
    const { drawn, warnings } = compensate(high, family(2, true), 'clamp');
    expect([...drawn]).toEqual([0.2, 1, 1]);
    expect(warnings).toEqual([expect.stringMatching(/2 probabilities clamped.*1\.805/)]);
  });
});

describe('low-rank correlation', () => {
  test('has unit variances and an rms correlation of scale² √rank = 0.05', () => {
    const features = 1024;
    const { factor, own, warnings } = lowRankCorrelation(
      features,
      { rank: 25, scale: 0.1 },
      createRng(8),
    );
    let squares = 0;
    for (let i = 0; i < features; i++) {
      const u = factor.subarray(25 * i, 25 * (i + 1));
      expect(norm(u) ** 2 + own[i] ** 2).toBeCloseTo(1, 12);
      for (let j = 0; j < i; j++) {
        let c = 0;
        for (let r = 0; r < 25; r++) c += u[r] * factor[25 * j + r];
        squares += c * c;
      }
    }
    const rms = Math.sqrt(squares / ((features * (features - 1)) / 2));
    // |U|² has relative sd √(2/25), and rms averages 1,024 of them.
    expect(Math.abs(rms / 0.05 - 1)).toBeLessThan((5 * Math.sqrt(2 / 25)) / Math.sqrt(features));
    expect(warnings).toEqual([]);
  });

  test('scales rows back that leave no variance of their own, and says how many', () => {
    const { factor, own, warnings } = lowRankCorrelation(20, { rank: 25, scale: 1 }, createRng(8));
    expect(norm(factor.subarray(0, 25)) ** 2).toBeCloseTo(0.99, 12);
    expect(own[0]).toBeCloseTo(0.1, 12);
    expect(warnings).toEqual([expect.stringContaining('20 of 20 features')]);
  });
});

/** The penalty of SAELens, over all pairs. */
function penalty({ rows, cols, data }: Matrix): number {
  let sum = 0;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < rows; j++) {
      let c = 0;
      for (let k = 0; k < cols; k++) c += data[i * cols + k] * data[j * cols + k];
      sum += i === j ? rows * (c - 1) ** 2 : c * c;
    }
  }
  return sum;
}

describe('pushing apart', () => {
  test.each([
    [7, 3],
    [8, 4],
    [300, 5],
  ])('%i rows in %i dimensions is Adam on the gradient of the penalty', (rows, cols) => {
    const start = unitRows(rows, cols, createRng(2));
    const fast = matrix(rows, cols, start.data.slice());
    const slow = matrix(rows, cols, start.data.slice());
    const [steps, learningRate, h] = [2, 1e-3, 1e-5];
    pushApart(fast, steps, learningRate);
    // A few coordinates by central differences would do for the gradient; for small worlds all of them.
    const coordinates = rows * cols > 100 ? 0 : rows * cols;
    const [m, v] = [new Float64Array(rows * cols), new Float64Array(rows * cols)];
    for (let step = 1; step <= steps && coordinates > 0; step++) {
      const gradient = slow.data.map((_, at) => {
        const moved = (by: number): number => {
          const g = matrix(rows, cols, slow.data.slice());
          g.data[at] += by;
          return penalty(g);
        };
        return (moved(h) - moved(-h)) / (2 * h);
      });
      gradient.forEach((g, at) => {
        m[at] = 0.9 * m[at] + 0.1 * g;
        v[at] = 0.999 * v[at] + 0.001 * g * g;
        const [mHat, vHat] = [m[at] / (1 - 0.9 ** step), v[at] / (1 - 0.999 ** step)];
        slow.data[at] -= (learningRate * mHat) / (Math.sqrt(vHat) + 1e-8);
      });
    }
    for (let f = 0; f < rows; f++) {
      const length = norm(row(slow, f));
      expect(norm(row(fast, f))).toBeCloseTo(1, 12);
      if (coordinates === 0) continue;
      row(slow, f).forEach((value, i) => expect(row(fast, f)[i]).toBeCloseTo(value / length, 6));
    }
    if (coordinates === 0) expect(penalty(fast)).toBeLessThan(penalty(start));
  });

  test.each([
    [300, 10],
    [256, 8],
    [1030, 33],
    [3, 2],
  ])('gives the same bits on all processors as on one: %s rows of %s', (rows, cols) => {
    const [one, all] = [0, 1].map(() => unitRows(rows, cols, createRng(9)));
    pushApart(one, 4, 1e-3, Infinity);
    pushApart(all, 4, 1e-3, 0);
    expect(all.data).toEqual(one.data);
  });

  test('brings 256 directions in 64 dimensions from a mean max |cos| of 0.376 to 0.343, above Welch’s bound', () => {
    const g = unitRows(256, 64, createRng(5));
    // Published of one draw to three digits; other draws differ by about 0.003.
    expect(Math.abs(meanMaxCosine(g) - 0.376)).toBeLessThan(0.01);
    pushApart(g, 100, 3e-4);
    expect(Math.abs(meanMaxCosine(g) - 0.343)).toBeLessThan(0.01);
    expect(meanMaxCosine(g)).toBeGreaterThan(welchBound(256, 64));
  });

  test('leaves Welch’s bound: √((F - d) / (d (F - 1))), 0 where directions fit', () => {
    expect(welchBound(256, 64)).toBeCloseTo(Math.sqrt(192 / (64 * 255)), 14);
    expect([welchBound(5, 5), welchBound(1, 3)]).toEqual([0, 0]);
  });
});

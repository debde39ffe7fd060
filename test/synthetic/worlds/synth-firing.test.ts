import { describe, expect, test } from 'vitest';
import { createRng, type Rng } from '../../../synthetic/rng.ts';
import { candidatePicker } from '../../../synthetic/worlds/candidates.ts';
import { lowRankCorrelation } from '../../../synthetic/worlds/low-rank-correlation.ts';
import { upperQuantile, upperTail } from '../../../synthetic/worlds/normal.ts';
import type { SynthParams } from '../../../synthetic/worlds/params.ts';
import { createWorld, worldNamed } from '../../../synthetic/worlds/presets.ts';
import { synthRows } from '../../../synthetic/worlds/synth-firing.ts';
import { noForest } from '../../../synthetic/worlds/forest.ts';
import { brokenLaws, draw, z, zBound } from './world-laws.ts';

const mini = worldNamed('mini256') as SynthParams;
const still = { first: 5, last: 4, spread: { mean: 0, sd: 0 } };

describe('candidates', () => {
  const features = 200;
  const correlation = lowRankCorrelation(features, { rank: 6, scale: 0.3 }, createRng(1));
  const thresholds = Float64Array.from({ length: features }, (_, f) =>
    upperQuantile(0.3 / (1 + f)),
  );
  const all = [...thresholds.keys()];

  test('leave out no feature more often than it does not fire, whatever ε', () => {
    const pick = candidatePicker(all, thresholds, correlation);
    const draws = createRng(4);
    for (let trial = 0; trial < 50; trial++) {
      const shared = Float64Array.from({ length: 6 }, () => 1.5 * draws.normal());
      const known = (f: number): number =>
        shared.reduce((sum, e, r) => sum + e * correlation.factor[6 * f + r], 0);
      // With every draw at the top of its range, v is the largest a feature is tried with.
      const rates = new Map<number, number>();
      const rng: Rng = { ...createRng(0), uniform: () => 1 - 2 ** -53 };
      const bottom: Rng = { ...createRng(0), uniform: () => 0 };
      pick(Math.hypot(...shared), bottom, (f) => rates.set(f, 0));
      expect(rates.size).toBe(features); // all draws at 0: nothing is skipped
      let at = 0;
      const probe: Rng = { ...rng, uniform: () => (at++ % 2 === 0 ? 0 : 1 - 2 ** -53) };
      pick(Math.hypot(...shared), probe, (f, v) => rates.set(f, Math.max(rates.get(f) ?? 0, v)));
      for (const [f, rate] of rates) {
        const p = upperTail((thresholds[f] - known(f)) / correlation.own[f]);
        if (rate > 0) expect(rate).toBeGreaterThan(p * (1 - 1e-9));
      }
    }
  });

  test('fire as often as two normals with a shared part do, alone and in pairs', () => {
    // Rank 1: P(both) is an integral over ε alone.
    const count = 6;
    const factor = Float64Array.of(0.8, -0.6, 0.5, 0.9, -0.3, 0);
    const own = factor.map((u) => Math.sqrt(1 - u * u));
    const p = [0.3, 0.2, 0.05, 0.4, 0.02, 0.1];
    const t = Float64Array.from(p, upperQuantile);
    const fireRow = synthRows(
      {
        thresholds: t,
        correlation: { rank: 1, factor, own, warnings: [] },
        forest: noForest,
        mean: new Float64Array(count).fill(1),
        sd: new Float64Array(count),
        scaleChildren: false,
      },
      createRng(11),
    );
    const n = 100_000;
    const both = new Float64Array(count * count);
    for (let i = 0; i < n; i++) {
      const on: number[] = [];
      fireRow((f) => on.push(f));
      for (const f of on) for (const g of on) both[f * count + g]++;
    }
    const expected = (f: number, g: number): number => {
      if (f === g) return p[f];
      let sum = 0;
      const step = 0.01;
      for (let e = -9; e <= 9; e += step) {
        const density = Math.exp((-e * e) / 2) / Math.sqrt(2 * Math.PI);
        sum +=
          step *
          density *
          upperTail((t[f] - factor[f] * e) / own[f]) *
          upperTail((t[g] - factor[g] * e) / own[g]);
      }
      return sum;
    };
    for (let f = 0; f < count; f++) {
      for (let g = 0; g <= f; g++) {
        expect(z(both[f * count + g], expected(f, g), n)).toBeLessThan(5);
        // The law can fail: as if apart, the strongest pair is far off.
        if (f === 3 && g === 0) expect(z(both[f * count + g], p[f] * p[g], n)).toBeGreaterThan(20);
      }
    }
  });
});

describe('rows', () => {
  test('without parents and correlation are independent: pairs fire as the product of their rates', () => {
    const world = createWorld(
      {
        ...mini,
        features: 12,
        forest: null,
        correlation: null,
        magnitudes: still,
        orthogonalisation: { steps: 0, learningRate: 1 },
      },
      1,
    );
    const n = 40_000;
    const { rows } = draw(world, n);
    const { marginals } = world.statistics;
    for (let f = 0; f < 12; f++) {
      for (let g = 0; g < f; g++) {
        const both = rows.filter((row) => row.has(f) && row.has(g)).length;
        expect(z(both, marginals[f] * marginals[g], n)).toBeLessThan(zBound(66));
      }
    }
    expect(brokenLaws(world, n)).toEqual([]);
  });

  test('scale a child by its parent’s activation over the parent’s mean, all the way down', () => {
    const world = createWorld(
      {
        ...mini,
        correlation: null,
        magnitudes: { ...still, spread: { mean: 1, sd: 0 } },
        orthogonalisation: { steps: 0, learningRate: 1 },
      },
      1,
    );
    const { rows } = draw(world, 30_000);
    const mean = (f: number): number => 5 - f / 255;
    // E[child | parent = a] is about mean_child a / mean_parent: the regression of their product has that slope.
    const { parent, children } = world.statistics.parents[0];
    let [n, sum, squares] = [0, 0, 0];
    for (const row of rows) {
      for (const child of children) {
        if (!row.has(child)) continue;
        const ratio = (row.get(child) ?? 0) / mean(child) / ((row.get(parent) ?? 0) / mean(parent));
        n++;
        sum += ratio;
        squares += ratio * ratio;
      }
    }
    const average = sum / n;
    expect(Math.abs(average - 1)).toBeLessThan(5 * Math.sqrt((squares / n - average ** 2) / n));
    // The ratio is one plus N(0, (1 / mean)²), and nothing of the parent: sd 0.2, not 0.2 √2.
    expect(Math.sqrt(squares / n - average ** 2)).toBeCloseTo(0.2, 1);
  });

  test.each([
    ['one feature', { features: 1, forest: null }],
    ['as many roots as features', { features: 5 }],
    ['a family cut short', { features: 43 }],
    [
      'a feature that is always on',
      { features: 20, forest: null, firing: { exponent: 1, p_max: 1, p_min: 0.1 } },
    ],
    [
      'a forest without exclusion',
      { forest: { ...mini.forest!, exclusive: { portion: 0, minDepth: 0, maxDepth: null } } },
    ],
    ['a forest without compensation', { forest: { ...mini.forest!, compensate: 'no' } }],
  ] as [string, Partial<SynthParams>][])('with %s obey the laws', (_, change) => {
    const world = createWorld(
      {
        ...mini,
        correlation: null,
        magnitudes: still,
        orthogonalisation: { steps: 0, learningRate: 1 },
        ...change,
      },
      6,
    );
    expect(world.statistics.exact).toBe(true);
    expect(brokenLaws(world, 5000)).toEqual([]);
  });
});

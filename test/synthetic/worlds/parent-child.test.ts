import { describe, expect, test } from 'vitest';
import { dot, multiply, norm, row, transpose } from '../../../reference/matrix.ts';
import { createRng } from '../../../synthetic/rng.ts';
import { cholesky, randomCorrelation } from '../../../synthetic/worlds/dense-correlation.ts';
import type { ParentChildParams } from '../../../synthetic/worlds/params.ts';
import { createWorld, worldNamed } from '../../../synthetic/worlds/presets.ts';
import { brokenLaws, draw, z, zBound } from './world-laws.ts';

const N = 60_000;
const absorb4 = worldNamed('absorb4') as ParentChildParams;

describe('a copula', () => {
  const pair = (p: number, rho: number): ParentChildParams => ({
    ...absorb4,
    features: [p, p].map((probability) => ({ probability, parent: null, withoutParent: 0 })),
    correlation: { kind: 'pairs', pairs: [{ first: 0, second: 1, rho }] },
  });

  test.each([
    [0.4, 0.4, 0.2221],
    [0.4, -0.4, 0.0997],
    [0.25, 0.5, 0.1203],
  ])('of p %f and rho %f has P(both) %f and exact marginals', (p, rho, both) => {
    const { rows, counts } = draw(createWorld(pair(p, rho), 1), N);
    for (const count of counts) expect(z(count, p, N)).toBeLessThan(5);
    const together = rows.filter((r) => r.size === 2).length;
    expect(z(together, both, N)).toBeLessThan(5);
    // The law can fail: independence is far off.
    expect(z(together, p * p, N)).toBeGreaterThan(20);
  });

  test('drawn at random is a correlation matrix once repaired, and says what changed', () => {
    const { matrix, warnings } = randomCorrelation(
      50,
      { kind: 'random', min: 0.3, max: 0.9, correlated: 0.7, positive: 0.5 },
      createRng(1),
    );
    const l = cholesky(matrix);
    const back = multiply(l, transpose(l));
    for (let i = 0; i < 50; i++) {
      expect(matrix.data[i * 51]).toBe(1);
      for (let j = 0; j < 50; j++) {
        expect(back.data[i * 50 + j]).toBeCloseTo(matrix.data[i * 50 + j], 10);
        expect(matrix.data[i * 50 + j]).toBeCloseTo(matrix.data[j * 50 + i], 12);
      }
    }
    expect(warnings).toEqual([expect.stringMatching(/least eigenvalue -.*clipped/)]);
  });

  test('that needs no repair is left as drawn', () => {
    const { matrix, warnings } = randomCorrelation(
      4,
      { kind: 'random', min: 0.1, max: 0.2, correlated: 1, positive: 1 },
      createRng(1),
    );
    expect(warnings).toEqual([]);
    matrix.data.forEach((c, at) =>
      expect(at % 5 === 0 ? c === 1 : c >= 0.1 && c <= 0.2).toBe(true),
    );
  });
});

describe('a child', () => {
  test('without its parent fires as often as asked, and then is no edge', () => {
    const world = createWorld(worldNamed('hedge1-anti'), 1);
    const { rows } = draw(world, N);
    const on = rows.filter((r) => r.has(0));
    const off = rows.filter((r) => !r.has(0));
    expect(z(on.filter((r) => r.has(1)).length, 0.1, on.length)).toBeLessThan(5);
    expect(z(off.filter((r) => r.has(1)).length, 0.2, off.length)).toBeLessThan(5);
    expect(world.edges).toEqual([]);
    expect(world.statistics.silent).toBeCloseTo(0.75 * 0.8, 14);
  });

  test('may be listed before its parent, and have children of its own', () => {
    const chain: ParentChildParams = {
      ...absorb4,
      features: [
        { probability: 0.5, parent: 1, withoutParent: 0 },
        { probability: 0.6, parent: 2, withoutParent: 0 },
        { probability: 0.7, parent: null, withoutParent: 0 },
      ],
    };
    const world = createWorld(chain, 1);
    expect(world.statistics.marginals[0]).toBeCloseTo(0.5 * 0.6 * 0.7, 14);
    expect(world.statistics.silent).toBeCloseTo(0.3, 14);
    expect(brokenLaws(world, N)).toEqual([]);
  });

  test('absorbed leaves absorb4 an L0 of 0.35', () => {
    expect(createWorld(absorb4, 1).statistics.absorbedL0).toBeCloseTo(0.35, 14);
  });
});

test('directions are orthonormal, and activations N(1, 0.15²) where said', () => {
  const world = createWorld(worldNamed('correlated50'), 2);
  for (let f = 0; f < 50; f++) {
    expect(norm(row(world.directions, f))).toBeCloseTo(1, 12);
    for (let g = 0; g < f; g++)
      expect(Math.abs(dot(row(world.directions, f), row(world.directions, g)))).toBeLessThan(1e-13);
  }
  const { rows, counts } = draw(world, 10_000);
  const values = rows.flatMap((r) => [...r.values()]);
  const mean = values.reduce((a, b) => a + b) / values.length;
  const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
  expect(Math.abs(mean - 1)).toBeLessThan((5 * 0.15) / Math.sqrt(values.length));
  expect(Math.abs(variance / 0.0225 - 1)).toBeLessThan(5 * Math.sqrt(2 / values.length));
  counts.forEach((count, f) =>
    expect(z(count, (0.345 * (49 - f)) / 50 + 0.05, 10_000)).toBeLessThan(zBound(50)),
  );
});

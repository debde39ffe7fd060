import { describe, expect, test } from 'vitest';
import { columnSums, dot, multiply, norm, row } from '../../../reference/matrix.ts';
import { treeWorld } from '../../../synthetic/worlds/tree-world.ts';
import { createSampler } from '../../../synthetic/worlds/world.ts';
import {
  featureTree,
  nabeshimaTree,
  treeStatistics,
  type TreeNode,
} from '../../../synthetic/worlds/feature-tree.ts';
import { createRng } from '../../../synthetic/rng.ts';
import { denseRows } from '../../../synthetic/sparse-rows.ts';

const SAMPLES = 100_000;
const world = treeWorld(nabeshimaTree, 7);
const sample = createSampler(world, createRng(7).split('test')).next(SAMPLES);
const { x } = sample;
const features = denseRows(sample.features);
const on = (n: number, f: number): boolean => features.data[n * features.cols + f] === 1;

/** Equal bit for bit; vitest's own comparison takes seconds for millions of values. */
function same(a: Float64Array, b: Float64Array): boolean {
  return a.length === b.length && a.every((value, i) => Object.is(value, b[i]));
}

/** |frequency - p| in standard errors. */
function z(count: number, p: number, n: number): number {
  return Math.abs(count / n - p) / Math.sqrt((p * (1 - p)) / n);
}

describe('directions', () => {
  test('are orthogonal, with norms of mean 1 and standard deviation 0.05', () => {
    const norms: number[] = [];
    for (let seed = 0; seed < 50; seed++) {
      const { directions } = treeWorld(nabeshimaTree, seed);
      for (let f = 0; f < 20; f++) {
        norms.push(norm(row(directions, f)));
        for (let g = 0; g < f; g++) {
          expect(Math.abs(dot(row(directions, f), row(directions, g)))).toBeLessThan(1e-14);
        }
      }
    }
    const mean = norms.reduce((sum, v) => sum + v, 0) / norms.length;
    const variance = norms.reduce((sum, v) => sum + (v - mean) ** 2, 0) / norms.length;
    expect(Math.abs(mean - 1)).toBeLessThan((5 * 0.05) / Math.sqrt(norms.length));
    expect(Math.abs(variance - 0.0025)).toBeLessThan(5 * 0.0025 * Math.sqrt(2 / norms.length));
  });

  test('point nowhere in particular: over worlds the mean of a coordinate is 0, its square 1/d', () => {
    const first = Array.from({ length: 400 }, (_, seed) => {
      const g = row(treeWorld(nabeshimaTree, seed).directions, 3);
      return g[5] / norm(g);
    });
    const moment = (p: number): number => first.reduce((sum, v) => sum + v ** p, 0) / first.length;
    expect(Math.abs(moment(1))).toBeLessThan(5 * Math.sqrt(1 / 20 / 400));
    // On the sphere E v⁴ = 3 / (d (d + 2)).
    expect(Math.abs(moment(2) - 1 / 20)).toBeLessThan(5 * Math.sqrt((3 / 440 - 1 / 400) / 400));
  });

  test('depend on the world seed alone', () => {
    expect(treeWorld(nabeshimaTree, 7).directions).toEqual(world.directions);
    expect(treeWorld(nabeshimaTree, 8).directions).not.toEqual(world.directions);
  });

  test('fewer features than dimensions are legal', () => {
    const tree = featureTree('one', { ...nabeshimaTree.root.children[10], probability: 1 }, 5);
    const small = treeWorld(tree, 0);
    const batch = createSampler(small, createRng(0)).next(3);
    expect([batch.x.rows, batch.x.cols]).toEqual([3, 5]);
    expect(row(batch.x, 2)).toEqual(row(small.directions, 0)); // p = 1: always on
  });
});

describe('a sample of the tree', () => {
  const statistics = treeStatistics(nabeshimaTree);

  test('fires every feature as often as the tree says', () => {
    // All 20 at once at alpha = 1e-6: z < sqrt(2 ln(2 F / alpha)).
    const bound = Math.sqrt(2 * Math.log((2 * 20) / 1e-6));
    columnSums(features).forEach((count, f) =>
      expect(z(count, statistics.marginals[f], SAMPLES)).toBeLessThan(bound),
    );
  });

  test('fires children, and none of them, as often given their parent as the tree says', () => {
    for (const { parent, children, givenParent, noChild } of statistics.parents) {
      const rows = [...Array(SAMPLES).keys()].filter((n) => on(n, parent));
      children.forEach((child, c) =>
        expect(
          z(rows.filter((n) => on(n, child)).length, givenParent[c], rows.length),
        ).toBeLessThan(5),
      );
      const alone = rows.filter((n) => !children.some((child) => on(n, child))).length;
      expect(z(alone, noChild, rows.length)).toBeLessThan(5);
    }
  });

  test('has at most one child of a family on, and never a child without its parent', () => {
    for (const { parent, children } of statistics.parents) {
      for (let n = 0; n < SAMPLES; n++) {
        const count = children.filter((child) => on(n, child)).length;
        if (count > (on(n, parent) ? 1 : 0)) expect.fail(`row ${n}, parent ${parent}: ${count} on`);
      }
    }
  });

  test('has mean L0 1.12 and is silent in 0.4074 of rows', () => {
    // Var L0 = 3 Var(parent (1 + child)) + 8 Var(leaf), a family being 1 w.p. .06, 2 w.p. .09.
    const variance = 3 * (0.06 + 4 * 0.09 - 0.24 ** 2) + 8 * 0.05 * 0.95;
    const total = columnSums(features).reduce((sum, v) => sum + v, 0);
    expect(Math.abs(total / SAMPLES - 1.12)).toBeLessThan(5 * Math.sqrt(variance / SAMPLES));
    let silent = 0;
    for (let n = 0; n < SAMPLES; n++) if (row(x, n).every((v) => v === 0)) silent++;
    expect(z(silent, statistics.silent ?? NaN, SAMPLES)).toBeLessThan(5);
  });

  test('is x = features · directions, bit for bit', () => {
    expect(same(x.data, multiply(features, world.directions).data)).toBe(true);
  });

  test('repeats for the same seed, and the path without features gives the same x', () => {
    const again = createSampler(world, createRng(7).split('test'));
    const first = again.nextX(1000);
    const second = again.next(500);
    expect(same(first.data, x.data.subarray(0, 20_000))).toBe(true);
    expect(same(denseRows(second.features).data, features.data.subarray(20_000, 30_000))).toBe(
      true,
    );
    const other = createSampler(world, createRng(8).split('test')).nextX(1000);
    expect(same(other.data, first.data)).toBe(false);
  });
});

test('a child with probability 0 among exclusive siblings never fires, even where rounding ends the draw', () => {
  const child = (name: string, probability: number): TreeNode => ({
    name,
    probability,
    readout: true,
    exclusive: false,
    children: [],
  });
  const tree = featureTree(
    'zero',
    {
      ...child('root', 1),
      readout: false,
      exclusive: true,
      children: [child('never', 0), child('a', 1 / 3), child('b', 2 / 3), child('also never', 0)],
    },
    4,
  );
  const extremes = [0, 0.5, 1 - 2 ** -53];
  for (const u of extremes) {
    const rng = { ...createRng(0), uniform: () => u };
    const drawn = denseRows(createSampler(treeWorld(tree, 0), rng).next(1).features);
    expect([drawn.data[0], drawn.data[3]]).toEqual([0, 0]);
    expect(drawn.data[1] + drawn.data[2]).toBe(1);
  }
});

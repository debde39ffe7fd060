import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromRows, matrix, type Matrix } from '../../../reference/matrix.ts';
import {
  absorptionSplits,
  F1_RISE,
  mainLatents,
  meanSize,
  MOST_MAIN_LATENTS,
} from '../../../synthetic/metrics/main-latents.ts';
import { oracle, plantAbsorption } from '../../../synthetic/planted-codes.ts';
import { createRng } from '../../../synthetic/rng.ts';
import { sparseRows } from '../../../synthetic/sparse-rows.ts';
import { nabeshimaTree } from '../../../synthetic/worlds/feature-tree.ts';
import { treeWorld } from '../../../synthetic/worlds/tree-world.ts';
import { createSampler } from '../../../synthetic/worlds/world.ts';

const world = treeWorld(nabeshimaTree, 2);
const { features } = createSampler(world, createRng(4)).next(6000);

/** One feature, on in the first `on` of each 100 rows; latents by their rows. */
function chosen(on: number, ...latents: ((place: number) => boolean)[]): number[] {
  const rows = [...Array(200).keys()].map((n) => n % 100);
  return mainLatents(
    sparseRows(fromRows(rows.map((place) => latents.map((active) => (active(place) ? 1 : 0))))),
    sparseRows(fromRows(rows.map((place) => [place < on ? 1 : 0]))),
    [0],
  )[0];
}

describe('main latents', () => {
  test('of the truth are each parent’s own', () => {
    const { latents } = oracle(features, world.directions);
    expect(mainLatents(latents, features, world.parents)).toEqual([[0], [4], [8]]);
    expect(absorptionSplits(latents, features, world.edges)).toBe(1);
  });

  test('of an absorbed parent are its own and its three children’s', () => {
    const { latents } = plantAbsorption(features, world.directions, world.edges);
    const sets = mainLatents(latents, features, world.parents);
    expect(sets.map((set) => [...set].sort((a, b) => a - b))).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9, 10, 11],
    ]);
    expect(sets.map(([first]) => first)).toEqual([0, 4, 8]);
    expect(absorptionSplits(latents, features, world.edges)).toBe(4);
  });

  test('are the best first, equals by their number, and at most ten', () => {
    const tenth = (i: number) => (place: number) => place < 60 && place % 12 === i;
    const parts = [...Array(12).keys()].map(tenth);
    expect(chosen(60, ...parts)).toEqual([...Array(MOST_MAIN_LATENTS).keys()]);
    expect(
      chosen(
        60,
        (place) => place < 20,
        (place) => place >= 20 && place < 60,
      ),
    ).toEqual([1, 0]);
  });

  test('grow only while F1 rises by more than 0.03', () => {
    const first = (place: number): boolean => place < 46;
    // 2 · 46 / 96 = 0.958; with two more rows 0.98, with four more 1.
    expect(chosen(50, first, (place) => place >= 46 && place < 48)).toEqual([0]);
    expect(chosen(50, first, (place) => place >= 46 && place < 50)).toEqual([0, 1]);
    // Rows without the feature spoil what rows with it win.
    expect(chosen(50, first, (place) => place >= 46 && place < 60)).toEqual([0]);
  });

  test('are chosen on the first half of the rows alone', () => {
    const half = Math.floor(features.rows / 2);
    const { latents } = oracle(features, world.directions);
    const swapped = {
      ...latents,
      index: latents.index.map((l, e) => (e < latents.start[half] ? l : (l + 5) % 20)),
    };
    expect(mainLatents(swapped, features, world.parents)).toEqual([[0], [4], [8]]);
  });

  test('begin with the best single one, and each that joins raises F1 by more than 0.03', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), {
          minLength: 40,
          maxLength: 80,
        }),
        (drawn) => {
          // The training half repeats in the second, which must not matter.
          const rows = [...drawn, ...drawn];
          const matrixOf = (columns: readonly number[]): Matrix =>
            fromRows(rows.map((row) => columns.map((c) => (row[c] ? 1 : 0))));
          const [set] = mainLatents(
            sparseRows(matrixOf([1, 2, 3])),
            sparseRows(matrixOf([0])),
            [0],
          );
          const f1 = (latents: readonly number[]): number => {
            const active = drawn.map((row) => latents.some((l) => row[l + 1]));
            const both = drawn.filter((row, n) => row[0] && active[n]).length;
            const all = drawn.filter((row) => row[0]).length + active.filter(Boolean).length;
            return all === 0 ? 0 : (2 * both) / all;
          };
          for (let k = 1; k < set.length; k++) {
            expect(f1(set.slice(0, k + 1))).toBeGreaterThan(f1(set.slice(0, k)) + F1_RISE);
          }
          if (set.length > 0) {
            expect(f1(set.slice(0, 1))).toBe(Math.max(...[0, 1, 2].map((l) => f1([l]))));
          }
        },
      ),
    );
  });
});

describe('no set', () => {
  test('has a parent without 20 training rows, or without an active latent', () => {
    expect(chosen(20, (place) => place < 20)).toEqual([0]);
    expect(chosen(19, (place) => place < 19)).toEqual([]);
    expect(chosen(50, (place) => place >= 50)).toEqual([]);
  });

  test('and then no number of splits: null for dead codes, no edges, no rows', () => {
    const dead = sparseRows(matrix(6000, 20));
    expect(absorptionSplits(dead, features, world.edges)).toBeNull();
    const { latents } = oracle(features, world.directions);
    expect(absorptionSplits(latents, features, [])).toBeNull();
    expect(
      absorptionSplits(sparseRows(matrix(0, 3)), sparseRows(matrix(0, 20)), world.edges),
    ).toBeNull();
    expect(meanSize([[], [3, 1], [2]])).toBe(1.5);
  });
});

test('latents and features of different samples are refused', () => {
  expect(() => mainLatents(sparseRows(matrix(3, 2)), sparseRows(matrix(4, 2)), [0])).toThrow(
    'got 4 and 3',
  );
});

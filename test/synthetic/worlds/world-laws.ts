/**
 * What every world must obey, checked on a sample against its own derived statistics. Bounds come from the sample size.
 * @module
 */
import { createRng } from '../../../synthetic/rng.ts';
import { excludeEachOther } from '../../../synthetic/worlds/forest-lines.ts';
import type { World } from '../../../synthetic/worlds/world.ts';

/** |frequency - p| in standard errors; Infinity where p is 0 or 1 and the frequency is not. */
export function z(count: number, p: number, n: number): number {
  if (p <= 0 || p >= 1) return Math.abs(count / n - p) < 1e-12 ? 0 : Infinity;
  return Math.abs(count / n - p) / Math.sqrt((p * (1 - p)) / n);
}

/** A bound on the largest z of several frequencies, exceeded with probability below 1e-6. */
export function zBound(frequencies: number): number {
  return Math.sqrt(2 * Math.log((2 * frequencies) / 1e-6));
}

/** Rows as features that are on and their activations. */
export interface Sample {
  readonly rows: readonly ReadonlyMap<number, number>[];
  /** Rows in which each feature is on. */
  readonly counts: Float64Array;
}

export function draw(world: World, rows: number, seed = 1): Sample {
  const fireRow = world.firing(createRng(seed).split('laws'));
  const counts = new Float64Array(world.features.length);
  return {
    rows: Array.from({ length: rows }, () => {
      const row = new Map<number, number>();
      fireRow((feature, activation) => {
        row.set(feature, activation);
        counts[feature]++;
      });
      return row;
    }),
    counts,
  };
}

/** Mean number of features on and its standard error, over the features given. */
export function l0Of(
  { rows }: Sample,
  among: (feature: number) => boolean = () => true,
): [number, number] {
  let sum = 0;
  let squares = 0;
  for (const row of rows) {
    let on = 0;
    for (const feature of row.keys()) if (among(feature)) on++;
    sum += on;
    squares += on * on;
  }
  const mean = sum / rows.length;
  return [mean, Math.sqrt(Math.max(0, squares / rows.length - mean * mean) / rows.length)];
}

/** The laws that a sample of the world breaks, by name. */
export function brokenLaws(world: World, rows: number, seed = 1): string[] {
  const { edges, statistics, features } = world;
  const sample = draw(world, rows, seed);
  const n = sample.rows.length;
  const broken: string[] = [];
  const law = (name: string, holds: boolean): void => void (holds || broken.push(name));
  const every = (holds: (row: ReadonlyMap<number, number>) => boolean): boolean =>
    sample.rows.every(holds);
  const on = (f: number): ReadonlyMap<number, number>[] => sample.rows.filter((row) => row.has(f));

  law(
    'activations are finite and above 0',
    every((row) => [...row.values()].every((a) => a > 0 && a < Infinity)),
  );
  law(
    'a child is on only with its parent',
    every((row) => edges.every(({ parent, child }) => !row.has(child) || row.has(parent))),
  );
  const exclusive = statistics.parents.filter(excludeEachOther);
  law(
    'siblings that exclude each other are never on together',
    every((row) =>
      exclusive.every(({ children }) => children.filter((c) => row.has(c)).length <= 1),
    ),
  );
  const [l0, error] = l0Of(sample);
  // Where correlations are left out, the derived L0 is published to hold within 1 %.
  const slack = statistics.exact ? 0 : 0.01 * statistics.expectedL0;
  law('L0 is as derived', Math.abs(l0 - statistics.expectedL0) <= 5 * error + slack + 1e-12);
  if (!statistics.exact) return broken;

  const bound = zBound(features.length);
  law(
    'features fire as often as derived',
    statistics.marginals.every((p, f) => z(sample.counts[f], p, n) < bound),
  );
  law(
    'children fire given their parent as often as derived',
    statistics.parents.every(({ parent, children, givenParent }) => {
      const given = on(parent);
      return children.every(
        (child, c) =>
          z(given.filter((row) => row.has(child)).length, givenParent[c], given.length) < bound,
      );
    }),
  );
  law(
    'parents are without a child as often as derived',
    statistics.parents.every(({ parent, children, noChild }) => {
      const given = on(parent);
      return (
        z(given.filter((row) => !children.some((c) => row.has(c))).length, noChild, given.length) <
        bound
      );
    }),
  );
  if (statistics.silent !== null) {
    law(
      'nothing is on as often as derived',
      z(sample.rows.filter((row) => row.size === 0).length, statistics.silent, n) < 5,
    );
  }
  return broken;
}

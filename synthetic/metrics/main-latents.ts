/**
 * Which latents tell a parent together: its best detector, and others as long as each makes the whole a clearly better
 * one. More than one is a split feature, or an absorbed one: a parent whose latent is silent beside its children is
 * told best by its latent and theirs.
 *
 * SAEBench's rule (0.6.0, absorption/k_sparse_probing.py::add_feature_splits_to_metrics_df) with latents ranked by
 * their own F1 instead of the weights of a sparse probe, and "any of them is active" instead of a probe on k latents.
 * SAEBench counts one fewer, the latents beside the first.
 * @module
 */
import { columnCounts, columnsOf, type SparseRows } from '../sparse-rows.ts';
import type { Edge } from '../worlds/world.ts';
import { mean } from './mean.ts';

/** A set grows only while its F1 rises by more than this. */
export const F1_RISE = 0.03;
/** Latents of a set, at most. */
export const MOST_MAIN_LATENTS = 10;
/** A parent on in fewer training rows has no set. */
export const FEWEST_TRAINING_ROWS = 20;

/** Rows that choose latents: the first half of a sample, rounded down. The others are there to judge them. */
export function trainingRows(samples: number): number {
  return Math.floor(samples / 2);
}

/**
 * @param latents - (samples, d_sae), active where not 0.
 * @param features - (samples, features), on where not 0.
 * @returns for each parent the latents that tell it, the best first, 1 to {@link MOST_MAIN_LATENTS}; none where the
 *   parent is on in too few training rows, or no latent is active in any of those.
 * @throws {@link RangeError} if the numbers of samples differ.
 */
export function mainLatents(
  latents: SparseRows,
  features: SparseRows,
  parents: readonly number[],
): number[][] {
  if (latents.rows !== features.rows) {
    throw new RangeError(
      `mainLatents: expected as many rows of features as of latents, got ${features.rows} and ${latents.rows}`,
    );
  }
  const rows = trainingRows(latents.rows);
  const trained = firstRows(latents, rows);
  const byFeature = columnsOf(firstRows(features, rows));
  const training: Training = {
    latents: trained,
    byLatent: columnsOf(trained),
    active: columnCounts(trained),
  };
  return parents.map((parent) => {
    const on = byFeature.index.subarray(byFeature.start[parent], byFeature.start[parent + 1]);
    return on.length < FEWEST_TRAINING_ROWS ? [] : grown(on, training);
  });
}

/**
 * Mean number of main latents of a parent.
 * @returns in [1, {@link MOST_MAIN_LATENTS}], 1 where one latent tells a parent; null if no parent has a set.
 * @throws {@link RangeError} as {@link mainLatents} does.
 */
export function absorptionSplits(
  latents: SparseRows,
  features: SparseRows,
  edges: readonly Edge[],
): number | null {
  const parents = [...new Set(edges.map(({ parent }) => parent))];
  return meanSize(mainLatents(latents, features, parents));
}

/** Over the sets that are not empty; null if all are. */
export function meanSize(sets: readonly (readonly number[])[]): number | null {
  return mean(sets.map(({ length }) => length).filter((length) => length > 0));
}

interface Training {
  readonly latents: SparseRows;
  readonly byLatent: SparseRows;
  /** Rows in which each latent is active. */
  readonly active: Int32Array;
}

/** @param on - rows with the parent on. */
function grown(on: Int32Array, { latents, byLatent, active }: Training): number[] {
  const both = new Map<number, number>();
  for (const n of on) {
    for (let e = latents.start[n]; e < latents.start[n + 1]; e++) {
      both.set(latents.index[e], (both.get(latents.index[e]) ?? 0) + 1);
    }
  }
  const f1 = (together: number, some: number): number => (2 * together) / (some + on.length);
  const ranked = [...both]
    .map(([latent, together]) => ({ latent, own: f1(together, active[latent]) }))
    .sort((a, b) => b.own - a.own || a.latent - b.latent)
    .slice(0, MOST_MAIN_LATENTS);

  const isOn = new Uint8Array(latents.rows);
  for (const n of on) isOn[n] = 1;
  const covered = new Uint8Array(latents.rows);
  const chosen: number[] = [];
  let [best, together, some] = [-Infinity, 0, 0];
  for (const { latent } of ranked) {
    for (let i = byLatent.start[latent]; i < byLatent.start[latent + 1]; i++) {
      const n = byLatent.index[i];
      if (covered[n] === 1) continue;
      covered[n] = 1;
      some++;
      together += isOn[n];
    }
    const next = f1(together, some);
    if (!(next > best + F1_RISE)) break;
    best = next;
    chosen.push(latent);
  }
  return chosen;
}

/** Views of the first rows. */
function firstRows({ cols, start, index, value }: SparseRows, rows: number): SparseRows {
  const end = start[rows];
  return {
    rows,
    cols,
    start: start.subarray(0, rows + 1),
    index: index.subarray(0, end),
    value: value.subarray(0, end),
  };
}

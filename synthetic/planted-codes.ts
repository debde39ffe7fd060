/**
 * Codes that need no training: the truth, the truth spoilt in known ways, and chance.
 * @module
 */
import type { Matrix } from '../reference/matrix.ts';
import { addScaled, dot, matrix, norm, row } from '../reference/matrix.ts';
import type { Rng } from './rng.ts';
import { sparseRowsBuilder, valueAt, type SparseRows } from './sparse-rows.ts';
import type { Edge } from './worlds/world.ts';

/** Latents and decoder without decoder bias. */
export interface PlantedCode {
  readonly latents: SparseRows;
  readonly W_dec: Matrix;
}

/**
 * The truth as a code: latents are features, decoder rows their directions.
 * @param known - the first of them that have a latent; all if left out.
 */
export function oracle(
  features: SparseRows,
  directions: Matrix,
  known: number = directions.rows,
): PlantedCode {
  return {
    latents: kept(features, known, () => true),
    W_dec: matrix(known, directions.cols, directions.data.slice(0, known * directions.cols)),
  };
}

/**
 * Total absorption: a parent's latent is silent whenever a child is on, and the child's row is parent + child. The
 * reconstruction stays exact as long as at most one child of a parent is on at a time, with its parent's activation.
 * @param edges - among known features, parents before their children's children.
 */
export function plantAbsorption(
  features: SparseRows,
  directions: Matrix,
  edges: readonly Edge[],
  known: number = directions.rows,
): PlantedCode {
  const silenced = new Set(childOnRows(features, edges).map(({ n, parent }) => n * known + parent));
  const { W_dec } = oracle(features, directions, known);
  // Edges come in the order of the child: a parent's row is complete before its children take it.
  for (const { parent, child } of edges) addScaled(row(W_dec, child), row(W_dec, parent), 1);
  return { latents: kept(features, known, (n, f) => !silenced.has(n * known + f)), W_dec };
}

/** Every row and parent with a child on, and how many are. */
export function childOnRows(
  features: SparseRows,
  edges: readonly Edge[],
): { n: number; parent: number; children: number }[] {
  const parentOf = new Map<number, number[]>();
  for (const { parent, child } of edges) {
    parentOf.set(child, [...(parentOf.get(child) ?? []), parent]);
  }
  const out: { n: number; parent: number; children: number }[] = [];
  for (let n = 0; n < features.rows; n++) {
    const children = new Map<number, number>();
    for (let e = features.start[n]; e < features.start[n + 1]; e++) {
      for (const parent of parentOf.get(features.index[e]) ?? []) {
        children.set(parent, (children.get(parent) ?? 0) + 1);
      }
    }
    for (const [parent, count] of children) {
      if (valueAt(features, n, parent) !== 0) out.push({ n, parent, children: count });
    }
  }
  return out;
}

/**
 * The same latents with the decoder's rows moved on by half their number, so that each latent writes another family's
 * feature. (Moved on by one, siblings would still write their parent for one another.)
 */
export function permuteRows({ latents, W_dec }: PlantedCode): PlantedCode {
  const moved = matrix(W_dec.rows, W_dec.cols);
  for (let l = 0; l < W_dec.rows; l++) row(moved, l).set(row(W_dec, rowMovedTo(l, W_dec.rows)));
  return { latents, W_dec: moved };
}

/** The row that a latent writes once rows are permuted. */
export function rowMovedTo(latent: number, latents: number): number {
  return (latent + Math.floor(latents / 2)) % latents;
}

/**
 * Chance: random unit rows read and write, and a latent is active above the threshold that gives `targetL0`, the
 * 1 - L0 / L quantile of what they read.
 * @param x - (samples, d_in).
 */
export function randomCode(x: Matrix, d_sae: number, targetL0: number, rng: Rng): PlantedCode {
  const W_dec = matrix(d_sae, x.cols);
  for (let i = 0; i < W_dec.data.length; i++) W_dec.data[i] = rng.normal();
  for (let l = 0; l < d_sae; l++) {
    const w = row(W_dec, l);
    const length = norm(w);
    w.forEach((value, i) => (w[i] = value / length));
  }
  const read = new Float64Array(x.rows * d_sae);
  for (let n = 0; n < x.rows; n++) {
    for (let l = 0; l < d_sae; l++) read[n * d_sae + l] = dot(row(x, n), row(W_dec, l));
  }
  const active = Math.round(targetL0 * x.rows);
  const threshold = read.slice().sort()[read.length - active - 1] ?? -Infinity;
  const latents = sparseRowsBuilder(d_sae);
  for (let n = 0; n < x.rows; n++) {
    for (let l = 0; l < d_sae; l++) {
      const value = read[n * d_sae + l];
      if (value > threshold) latents.add(l, value);
    }
    latents.endRow();
  }
  return { latents: latents.finish(), W_dec };
}

/** Entries of the first `cols` columns that are to stay. */
function kept(
  features: SparseRows,
  cols: number,
  stays: (n: number, f: number) => boolean,
): SparseRows {
  const out = sparseRowsBuilder(cols);
  for (let n = 0; n < features.rows; n++) {
    for (let e = features.start[n]; e < features.start[n + 1]; e++) {
      const f = features.index[e];
      if (f < cols && stays(n, f)) out.add(f, features.value[e]);
    }
    out.endRow();
  }
  return out.finish();
}

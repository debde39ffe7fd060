/**
 * Where parent and child leak into each other's decoder rows.
 * Child leak, cos(row of the child's latent, parent's direction): 0 is ideal, √½ full absorption at equal norms,
 * below 0 the outer latents correcting the inner. Hedge component, cos(row of the parent's latent, child's
 * direction): above 0 hedging, below 0 the absorbing side's correction.
 * @module
 */
import type { Matrix } from '../../reference/matrix.ts';
import type { Edge } from '../worlds/world.ts';
import { mean } from './mean.ts';
import type { Matching } from './mcc.ts';

export interface Leak {
  /** Mean over edges, in [-1, 1]; null if no edge counts. */
  readonly childLeak: number | null;
  readonly hedge: number | null;
}

/**
 * An edge whose latent is dead, or that has none, does not count: its row is whatever training left there.
 * @param cosine - (d_sae, features).
 * @param alive - latents active in some sample.
 */
export function leak(
  cosine: Matrix,
  edges: readonly Edge[],
  matching: Matching,
  alive: readonly number[],
): Leak {
  const isAlive = new Set(alive);
  const entry = (rowOf: number, feature: number): number[] => {
    const latent = matching.latentOf[rowOf];
    return isAlive.has(latent) ? [cosine.data[latent * cosine.cols + feature]] : [];
  };
  return {
    childLeak: mean(edges.flatMap(({ parent, child }) => entry(child, parent))),
    hedge: mean(edges.flatMap(({ parent, child }) => entry(parent, child))),
  };
}

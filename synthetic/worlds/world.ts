/**
 * What an experiment knows of a world: features with directions, who is whose parent, what its parameters imply, and a
 * stream of rows x = b + Σ a_f g_f. Worlds are made from plain parameters and a seed; equal ones are equal to the bit.
 * @module
 */
import { matrix, row, type Matrix } from '../../reference/matrix.ts';
import type { Rng } from '../rng.ts';
import { sparseRowsBuilder, type SparseRows } from '../sparse-rows.ts';

/** A feature that is on only if its parent is. */
export interface Edge {
  readonly parent: number;
  readonly child: number;
}

export interface World {
  readonly name: string;
  /** Of the directions and of whatever else is drawn once. */
  readonly seed: number;
  readonly d_in: number;
  /** What reports call each feature. */
  readonly features: readonly string[];
  /** In order of the child. */
  readonly edges: readonly Edge[];
  /** Features that are the parent of an edge, ascending. */
  readonly parents: readonly number[];
  /** G, (features, d_in). */
  readonly directions: Matrix;
  /** b, (d_in); zeros where the world has none. */
  readonly bias: Float64Array;
  readonly statistics: WorldStatistics;
  /** What had to be changed to make the parameters possible, one line each. */
  readonly warnings?: readonly string[];
  /** A stream of rows' activations, from its own source of random numbers. */
  readonly firing: (rng: Rng) => FireRow;
}

/** Draws the next row: calls `fire` with each feature that is on and its activation, above 0. */
export type FireRow = (fire: (feature: number, activation: number) => void) => void;

/** What a world's parameters imply, without sampling. */
export interface WorldStatistics {
  /** P(feature on), by feature. */
  readonly marginals: readonly number[];
  /** Mean number of features on. */
  readonly expectedL0: number;
  /** The same for a code in which a parent is silent whenever one of its children is on. Null where not derived. */
  readonly absorbedL0: number | null;
  /** P(no feature on), that is P(x = b). Null where not derived. */
  readonly silent: number | null;
  readonly parents: readonly ParentStatistics[];
  /** False where the figures leave something out, such as correlations between features. */
  readonly exact: boolean;
}

export interface ParentStatistics {
  readonly parent: number;
  readonly children: readonly number[];
  /** P(child on | parent on), in the order of `children`. */
  readonly givenParent: readonly number[];
  /** P(no child on | parent on). */
  readonly noChild: number;
}

/** A batch with its ground truth. */
export interface LabelledBatch {
  /** A, (batch, features): activations, above 0 where a feature is on. */
  readonly features: SparseRows;
  /** x, (batch, d_in): bias + features · directions. */
  readonly x: Matrix;
}

/** An endless stream of rows. Both methods advance it alike and give the same x, bit for bit. */
export interface Sampler {
  next(batch: number): LabelledBatch;
  /** Only x: what training needs. */
  nextX(batch: number): Matrix;
}

/** @param rng - the stream's own source; give every purpose a sub-stream of its own. */
export function createSampler(world: World, rng: Rng): Sampler {
  const { d_in, directions, bias } = world;
  const fireRow = world.firing(rng);
  const rows = Array.from({ length: directions.rows }, (_, f) => row(directions, f));
  const biased = bias.some((value) => value !== 0);
  const startRows = (batch: number): Matrix => {
    const x = matrix(batch, d_in);
    if (biased) for (let b = 0; b < batch; b++) x.data.set(bias, b * d_in);
    return x;
  };
  return {
    next(batch) {
      const features = sparseRowsBuilder(directions.rows);
      const x = startRows(batch);
      for (let b = 0; b < batch; b++) {
        fireRow((f, activation) => {
          features.add(f, activation);
          addAt(x.data, b * d_in, rows[f], activation);
        });
        features.endRow();
      }
      return { features: features.finish(), x };
    },
    nextX(batch) {
      const x = startRows(batch);
      for (let b = 0; b < batch; b++) {
        fireRow((f, activation) => addAt(x.data, b * d_in, rows[f], activation));
      }
      return x;
    },
  };
}

/** target[start..] += activation · direction. Called for every feature that fires: no views are made. */
function addAt(
  target: Float64Array,
  start: number,
  direction: Float64Array,
  activation: number,
): void {
  for (let i = 0; i < direction.length; i++) target[start + i] += activation * direction[i];
}

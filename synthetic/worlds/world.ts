/**
 * What an experiment knows of a world: features with directions, who is whose parent, what its parameters imply, and a
 * stream of rows x = b + Σ a_f g_f. Worlds are made from plain parameters and a seed; equal ones are equal to the bit.
 * @module
 */
import { matrix, type Matrix } from '../../reference/matrix.ts';
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
  /** Rows after which a stream goes on from a source of random numbers of its own; 0 or left out: never. */
  readonly rowsPerBlock?: number;
  /** A stream of rows' activations, from its own source of random numbers. */
  readonly firing: (rng: Rng) => FireRow;
  /** The same stream as rows of x, where that is faster; null for a place or a source of numbers it cannot use. */
  readonly rows?: (rng: Rng, place: Place) => DrawRows | null;
}

/** What rows of x are made of. */
export type Place = Pick<World, 'd_in' | 'directions' | 'bias'>;

/** Draws the next row: calls `fire` with each feature that is on and its activation, above 0. */
export type FireRow = (fire: (feature: number, activation: number) => void) => void;

/** Writes the next rows over all of x. */
export type DrawRows = (x: Matrix) => void;

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
  /**
   * Only x: what training needs.
   * @param over - a matrix that is not needed any more, to be written over where it fits.
   */
  nextX(batch: number, over?: Matrix): Matrix;
}

/**
 * @param rng - the stream's own source; give every purpose a sub-stream of its own.
 * @param from - the row to begin with, where rows come in blocks: those before it need not be drawn.
 */
export function createSampler(world: World, rng: Rng, from = 0): Sampler {
  const { d_in, directions, bias, rowsPerBlock = 0 } = world;
  let fireRow: FireRow;
  let drawRows: DrawRows | null;
  let block = 0;
  /** Rows to come from the source of now. */
  let left = Infinity;
  const beginAt = (source: Rng): void => {
    fireRow = world.firing(source);
    drawRows = world.rows?.(source, world) ?? null;
  };
  const beginBlock = (): void => {
    beginAt(rng.split(`${block++}`));
    left = rowsPerBlock;
  };
  const biased = bias.some((value) => value !== 0);
  // The row that was drawn last.
  const fired: number[] = [];
  const activations: number[] = [];
  let count = 0;
  const note = (feature: number, activation: number): void => {
    fired[count] = feature;
    activations[count++] = activation;
  };
  const startRows = (x: Matrix): void => {
    if (!biased) x.data.fill(0);
    else for (let b = 0; b < x.rows; b++) x.data.set(bias, b * d_in);
  };
  const drawTo = (x: Matrix, b: number): void => {
    if (left === 0) beginBlock();
    left--;
    count = 0;
    fireRow(note);
    let at = 0;
    for (; at + 4 <= count; at += 4) addFour(x, b, directions, fired, activations, at);
    for (; at < count; at++) addOne(x, b, directions, fired[at], activations[at]);
  };
  const drawX = (x: Matrix): Matrix => {
    if (drawRows === null) {
      startRows(x);
      for (let b = 0; b < x.rows; b++) drawTo(x, b);
      return x;
    }
    for (let b = 0; b < x.rows;) {
      if (left === 0) beginBlock();
      const rows = Math.min(left, x.rows - b);
      drawRows({ rows, cols: d_in, data: x.data.subarray(b * d_in, (b + rows) * d_in) });
      left -= rows;
      b += rows;
    }
    return x;
  };
  if (rowsPerBlock === 0) {
    if (from !== 0) throw new RangeError(`from: expected 0 in world ${world.name}, got ${from}`);
    beginAt(rng);
  } else {
    block = Math.floor(from / rowsPerBlock);
    beginBlock();
    drawX(matrix(from % rowsPerBlock, d_in));
  }
  return {
    next(batch) {
      const features = sparseRowsBuilder(directions.rows);
      const x = matrix(batch, d_in);
      startRows(x);
      for (let b = 0; b < batch; b++) {
        drawTo(x, b);
        for (let i = 0; i < count; i++) features.add(fired[i], activations[i]);
        features.endRow();
      }
      return { features: features.finish(), x };
    },
    nextX: (batch, over) =>
      drawX(over?.rows === batch && over.cols === d_in ? over : matrix(batch, d_in)),
  };
}

/** x_b += activation · g_f. */
function addOne(x: Matrix, b: number, { data: g }: Matrix, f: number, activation: number): void {
  const d = x.cols;
  for (let i = 0, to = b * d, from = f * d; i < d; i++) x.data[to + i] += activation * g[from + i];
}

/** Four of them one after another, with the same roundings: x_b is read and written once. */
function addFour(
  x: Matrix,
  b: number,
  { data: g }: Matrix,
  fired: readonly number[],
  activations: readonly number[],
  at: number,
): void {
  const d = x.cols;
  const out = x.data;
  const start = b * d;
  const [f0, f1, f2, f3] = [fired[at] * d, fired[at + 1] * d, fired[at + 2] * d, fired[at + 3] * d];
  const a0 = activations[at];
  const a1 = activations[at + 1];
  const a2 = activations[at + 2];
  const a3 = activations[at + 3];
  for (let i = 0; i < d; i++) {
    out[start + i] =
      out[start + i] + a0 * g[f0 + i] + a1 * g[f1 + i] + a2 * g[f2 + i] + a3 * g[f3 + i];
  }
}

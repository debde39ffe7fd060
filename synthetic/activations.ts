/**
 * Activations of a synthetic world: which features fire in each row, and x, the sum of their directions.
 * Values are 0 or 1 and x has no bias, as in github.com/noanabeshima/matryoshka-saes @7b80f5f (`is_binary`; its
 * jitter of single samples is commented out, so direction norms vary by feature and not by row).
 * @module
 */
import type { Matrix } from '../reference/matrix.ts';
import { addScaled, dot, matrix, norm, row } from '../reference/matrix.ts';
import type { FeatureTree, TreeNode } from './feature-tree.ts';
import type { Rng } from './rng.ts';
import { createRng } from './rng.ts';

/** Standard deviation of the direction norms about 1. */
export const NORM_SPREAD = 0.05;

/** A tree together with one draw of its directions. */
export interface World {
  readonly tree: FeatureTree;
  readonly seed: number;
  /** (features, d_in): mutually orthogonal rows with norms 1 + 0.05 N(0, 1). */
  readonly directions: Matrix;
}

/** A batch with its ground truth. */
export interface LabelledBatch {
  /** (batch, features), 0 or 1. */
  readonly features: Matrix;
  /** x, (batch, d_in): features · directions. */
  readonly x: Matrix;
}

/** An endless stream of rows. Both methods advance it alike and give the same x, bit for bit. */
export interface Sampler {
  next(batch: number): LabelledBatch;
  /** Only x, without building the feature matrix: what training needs. */
  nextX(batch: number): Matrix;
}

/** @throws {@link RangeError} if the seed is not a whole number in 0..2^53-1. */
export function createWorld(tree: FeatureTree, seed: number): World {
  const rng = createRng(seed).split('directions');
  const directions = orthonormalRows(tree.features.length, tree.d_in, rng);
  for (let f = 0; f < directions.rows; f++) {
    const length = 1 + NORM_SPREAD * rng.normal();
    const g = row(directions, f);
    for (let i = 0; i < g.length; i++) g[i] *= length;
  }
  return { tree, seed, directions };
}

/**
 * Rows of a random orthonormal frame, (rows, cols) with rows <= cols: the Q of the QR of a Gaussian matrix, by
 * Gram–Schmidt done twice per row, which holds orthogonality to rounding (Giraud et al. 2005, "twice is enough").
 */
function orthonormalRows(rows: number, cols: number, rng: Rng): Matrix {
  const q = matrix(rows, cols);
  for (let f = 0; f < rows; f++) {
    const v = row(q, f);
    for (let i = 0; i < cols; i++) v[i] = rng.normal();
    for (let pass = 0; pass < 2; pass++) {
      for (let g = 0; g < f; g++) addScaled(v, row(q, g), -dot(v, row(q, g)));
      const length = norm(v);
      for (let i = 0; i < cols; i++) v[i] /= length;
    }
  }
  return q;
}

/** @param rng - the stream's own source; give every purpose a sub-stream of its own. */
export function createSampler(world: World, rng: Rng): Sampler {
  const { tree, directions } = world;
  const fireRow = firing(tree, rng);
  const rows = Array.from({ length: directions.rows }, (_, f) => row(directions, f));
  return {
    next(batch) {
      const features = matrix(batch, tree.features.length);
      const x = matrix(batch, tree.d_in);
      for (let b = 0; b < batch; b++) {
        fireRow((f) => {
          features.data[b * features.cols + f] = 1;
          addAt(x.data, b * x.cols, rows[f]);
        });
      }
      return { features, x };
    },
    nextX(batch) {
      const x = matrix(batch, tree.d_in);
      for (let b = 0; b < batch; b++) fireRow((f) => addAt(x.data, b * x.cols, rows[f]));
      return x;
    },
  };
}

/** target[start..] += source. The training loop calls this for every feature that fires: no views are made. */
function addAt(target: Float64Array, start: number, source: Float64Array): void {
  for (let i = 0; i < source.length; i++) target[start + i] += source[i];
}

/**
 * Draws one row: calls `fire` with each feature that is on, ascending. A node draws only if its parent is on, and
 * the child chosen by an exclusive node is on without a second draw (toy_model.py::Tree.sample).
 */
function firing(tree: FeatureTree, rng: Rng): (fire: (feature: number) => void) => void {
  const index = new Map(tree.features.map((node, feature) => [node, feature]));

  function turnOn(node: TreeNode, fire: (feature: number) => void): void {
    const feature = index.get(node);
    if (feature !== undefined) fire(feature);
    if (node.exclusive) {
      turnOn(drawOne(node.children, rng), fire);
      return;
    }
    for (const child of node.children) {
      if (rng.uniform() < child.probability) turnOn(child, fire);
    }
  }

  return (fire) => {
    if (rng.uniform() < tree.root.probability) turnOn(tree.root, fire);
  };
}

/** One child of an exclusive node. Probabilities sum to 1 within 1e-6: the draw is scaled to their exact sum. */
function drawOne(children: readonly TreeNode[], rng: Rng): TreeNode {
  let total = 0;
  for (const child of children) total += child.probability;
  let left = rng.uniform() * total;
  for (const child of children) {
    left -= child.probability;
    if (left < 0) return child;
  }
  // Reached only when rounding eats the last step: the draw belongs to the last child that can be drawn.
  return children.findLast((child) => child.probability > 0) ?? children[children.length - 1];
}

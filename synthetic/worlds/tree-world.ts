/**
 * The world of a feature tree: which features fire in each row, in directions that are orthogonal.
 * Values are 0 or 1 and x has no bias, as in github.com/noanabeshima/matryoshka-saes @7b80f5f (`is_binary`; its
 * jitter of single samples is commented out, so direction norms vary by feature and not by row).
 * @module
 */
import { row } from '../../reference/matrix.ts';
import { createRng, type Rng } from '../rng.ts';
import { orthonormalRows } from './directions.ts';
import { treeStatistics, type FeatureTree, type TreeNode } from './feature-tree.ts';
import type { FireRow, World } from './world.ts';

/** @throws {@link RangeError} if the seed is not a whole number in 0..2^53-1. */
export function treeWorld(tree: FeatureTree, seed: number): World {
  const rng = createRng(seed).split('directions');
  const directions = orthonormalRows(tree.features.length, tree.d_in, rng);
  for (let f = 0; f < directions.rows; f++) {
    const length = (tree.features[f].norm ?? 1) * (1 + tree.normSpread * rng.normal());
    const g = row(directions, f);
    for (let i = 0; i < g.length; i++) g[i] *= length;
  }
  return {
    name: tree.name,
    seed,
    d_in: tree.d_in,
    features: tree.features.map((node) => node.name),
    edges: tree.edges,
    parents: tree.parents,
    directions,
    bias: new Float64Array(tree.d_in),
    statistics: treeStatistics(tree),
    firing: (rows) => firing(tree, rows),
  };
}

/**
 * Draws one row: calls `fire` with each feature that is on, ascending. A node draws only if its parent is on, and
 * the child chosen by an exclusive node is on without a second draw (toy_model.py::Tree.sample).
 */
function firing(tree: FeatureTree, rng: Rng): FireRow {
  const index = new Map(tree.features.map((node, feature) => [node, feature]));

  function turnOn(node: TreeNode, fire: (feature: number, activation: number) => void): void {
    const feature = index.get(node);
    if (feature !== undefined) fire(feature, 1);
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

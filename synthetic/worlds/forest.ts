/**
 * Forests over feature numbers: roots first, then level by level, each node with the next free numbers as children, so
 * that a parent's number is always below its children's.
 * Source: SAELens 6.54.12, synthetic/hierarchy/hierarchy.py::generate_hierarchy and config.py.
 * @module
 */
import type { Rng } from '../rng.ts';
import type { ForestParams } from './params.ts';

/** Nodes are features 0 to `size - 1`; features from there on are free. */
export interface Forest {
  readonly size: number;
  readonly roots: number;
  /** Parent of each node; -1 for roots. */
  readonly parent: Int32Array;
  /** Children of node n are `firstChild[n]` to `firstChild[n] + childCount[n] - 1`. */
  readonly firstChild: Int32Array;
  readonly childCount: Int32Array;
  /** Levels below the root, 0 for roots. */
  readonly depth: Int32Array;
  /** 1 where a node's children exclude each other. */
  readonly exclusive: Uint8Array;
}

/** No tree at all. */
export const noForest: Forest = {
  size: 0,
  roots: 0,
  parent: new Int32Array(0),
  firstChild: new Int32Array(0),
  childCount: new Int32Array(0),
  depth: new Int32Array(0),
  exclusive: new Uint8Array(0),
};

/**
 * Stops when features run out; the last parent may then get fewer children.
 * @throws {@link RangeError} naming the parameter: roots < 1, branching below 2 or its range reversed, depth < 1, an exclusive
 *   portion outside [0, 1] or reversed depths.
 */
export function buildForest(features: number, params: ForestParams, rng: Rng): Forest {
  checkForest(params);
  const roots = Math.min(params.roots, features);
  const parent = new Int32Array(features).fill(-1);
  const firstChild = new Int32Array(features);
  const childCount = new Int32Array(features);
  const depth = new Int32Array(features);
  let size = roots;
  for (let node = 0; node < size && depth[node] < params.depth; node++) {
    const count = Math.min(branchingOf(params.branching, rng), features - size);
    firstChild[node] = size;
    childCount[node] = count;
    for (let child = size; child < size + count; child++) {
      parent[child] = node;
      depth[child] = depth[node] + 1;
    }
    size += count;
  }
  const { portion, minDepth, maxDepth } = params.exclusive;
  const eligible = [...childCount.keys()].filter(
    (node) =>
      childCount[node] >= 2 && depth[node] >= minDepth && depth[node] <= (maxDepth ?? Infinity),
  );
  const exclusive = new Uint8Array(features);
  for (const node of chosen(eligible, Math.floor(portion * eligible.length), rng)) {
    exclusive[node] = 1;
  }
  return {
    size,
    roots,
    parent: parent.slice(0, size),
    firstChild: firstChild.slice(0, size),
    childCount: childCount.slice(0, size),
    depth: depth.slice(0, size),
    exclusive: exclusive.slice(0, size),
  };
}

function branchingOf(branching: ForestParams['branching'], rng: Rng): number {
  if (typeof branching === 'number') return branching;
  return branching.min + rng.below(branching.max - branching.min + 1);
}

/** `count` of them without replacement: the front of a shuffle (Fisher and Yates). */
function chosen(from: readonly number[], count: number, rng: Rng): number[] {
  if (count === from.length) return [...from];
  const order = [...from];
  for (let i = 0; i < count; i++) {
    const j = i + rng.below(order.length - i);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order.slice(0, count);
}

function checkForest({ roots, branching, depth, exclusive }: ForestParams): void {
  atLeast('forest.roots', roots, 1);
  if (typeof branching === 'number') {
    atLeast('forest.branching', branching, 2);
  } else {
    atLeast('forest.branching.min', branching.min, 2);
    atLeast('forest.branching.max', branching.max, branching.min);
  }
  atLeast('forest.depth', depth, 1);
  if (!(exclusive.portion >= 0 && exclusive.portion <= 1)) {
    throw new RangeError(
      `forest.exclusive.portion: expected a share in [0, 1], got ${exclusive.portion}`,
    );
  }
  atLeast('forest.exclusive.minDepth', exclusive.minDepth, 0);
  if (exclusive.maxDepth !== null) {
    atLeast('forest.exclusive.maxDepth', exclusive.maxDepth, exclusive.minDepth);
  }
}

function atLeast(what: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least) {
    throw new RangeError(`${what}: expected a whole number >= ${least}, got ${value}`);
  }
}

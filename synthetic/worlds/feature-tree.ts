/**
 * Feature hierarchies as trees of probabilities: a node can be on only if its parent is, and the children of an
 * exclusive node are the outcomes of one categorical draw. Nabeshima's tree is the preset.
 * Holds the tree, checks it and derives its statistics; draws nothing (see tree-world.ts).
 * Source: github.com/noanabeshima/matryoshka-saes @7b80f5f, tree.json and toy_model.py::Tree; toy of
 * Bussmann et al. 2025, arXiv:2503.17547, section 4.1.
 * @module
 */
import type { Edge, ParentStatistics, WorldStatistics } from './world.ts';

/** One node. */
export interface TreeNode {
  /** What error messages and plots call it; no two nodes of a tree share one. */
  readonly name: string;
  /** P(on | parent on); under an exclusive parent, its share of the one draw among siblings. */
  readonly probability: number;
  /** Whether the node is one of the world's features. A node that is not leaves no trace in x. */
  readonly readout: boolean;
  /** Whether exactly one child is on whenever this node is. */
  readonly exclusive: boolean;
  readonly children: readonly TreeNode[];
  /** Mean length of its direction; 1 if left out. */
  readonly norm?: number;
}

/** A checked tree. Features are its read-out nodes, numbered depth-first. */
export interface FeatureTree {
  readonly name: string;
  readonly root: TreeNode;
  /** Width of x. */
  readonly d_in: number;
  /** Standard deviation of the directions' lengths, relative to their nodes' norms. */
  readonly normSpread: number;
  readonly features: readonly TreeNode[];
  /** In order of the child. */
  readonly edges: readonly Edge[];
  /** Features that are the parent of an edge, ascending. */
  readonly parents: readonly number[];
}

/** Of Nabeshima's tree. */
export const NORM_SPREAD = 0.05;

/** How far the probabilities of an exclusive node's children may be from summing to 1. */
export const EXCLUSIVE_SUM_TOLERANCE = 1e-6;

/**
 * @param d_in - width of x; directions are exactly orthogonal, so at least the number of features.
 * @throws {@link RangeError} naming the node: a probability outside [0, 1]; an exclusive node with fewer than two
 *   children, or whose children's probabilities do not sum to 1; a norm that is not above 0; a name met twice (a cycle
 *   among them); more features than d_in; no feature at all; a normSpread below 0.
 */
export function featureTree(
  name: string,
  root: TreeNode,
  d_in: number,
  normSpread: number = NORM_SPREAD,
): FeatureTree {
  if (!(normSpread >= 0 && normSpread < Infinity)) {
    throw new RangeError(`feature tree ${name}: expected normSpread >= 0, got ${normSpread}`);
  }
  const features: TreeNode[] = [];
  const edges: Edge[] = [];
  const names = new Set<string>();

  function visit(node: TreeNode, parent: number | undefined): void {
    checkNode(name, node);
    if (names.has(node.name)) {
      throw new RangeError(`feature tree ${name}: two nodes are called ${node.name}`);
    }
    names.add(node.name);
    let nearest = parent;
    if (node.readout) {
      nearest = features.push(node) - 1;
      if (parent !== undefined) edges.push({ parent, child: nearest });
    }
    for (const child of node.children) visit(child, nearest);
  }

  visit(root, undefined);
  if (features.length === 0) throw new RangeError(`feature tree ${name}: no node is read out`);
  if (!Number.isInteger(d_in) || features.length > d_in) {
    throw new RangeError(
      `feature tree ${name}: expected d_in >= ${features.length} for orthogonal directions, got ${d_in}`,
    );
  }
  const parents = [...new Set(edges.map((edge) => edge.parent))].sort((a, b) => a - b);
  return { name, root, d_in, normSpread, features, edges, parents };
}

function checkNode(tree: string, node: TreeNode): void {
  const where = `feature tree ${tree}, node ${node.name}`;
  if (!(node.probability >= 0 && node.probability <= 1)) {
    throw new RangeError(`${where}: expected probability in [0, 1], got ${node.probability}`);
  }
  if (node.norm !== undefined && !(node.norm > 0 && node.norm < Infinity)) {
    throw new RangeError(`${where}: expected norm > 0, got ${node.norm}`);
  }
  if (!node.exclusive) return;
  if (node.children.length < 2) {
    throw new RangeError(
      `${where}: expected at least 2 exclusive children, got ${node.children.length}`,
    );
  }
  // In float64, with room for decimal fractions and thirds. The original's float32 list meets numpy's tolerance
  // of about 1.5e-8 and is refused for [.4, .6].
  const total = node.children.reduce((sum, child) => sum + child.probability, 0);
  if (!(Math.abs(total - 1) <= EXCLUSIVE_SUM_TOLERANCE)) {
    throw new RangeError(
      `${where}: expected exclusive children's probabilities to sum to 1, got ${total}`,
    );
  }
}

/** Exact consequences of the tree's probabilities. */
export function treeStatistics(tree: FeatureTree): WorldStatistics {
  const marginals: number[] = [];
  const parents: ParentStatistics[] = [];
  let feature = -1;

  // Depth-first, so that the n-th read-out node met is feature n.
  function visit(node: TreeNode, parentOn: number): void {
    const on = parentOn * node.probability;
    if (node.readout) {
      feature++;
      marginals.push(on);
      const children = tree.edges.filter((e) => e.parent === feature).map((e) => e.child);
      if (children.length > 0) {
        const givenParent = givenAncestor(node);
        parents.push({ parent: feature, children, givenParent, noChild: noReadoutBelow(node) });
      }
    }
    for (const child of node.children) visit(child, on);
  }

  visit(tree.root, 1);
  const expectedL0 = marginals.reduce((sum, p) => sum + p, 0);
  const absorbed = parents.reduce((sum, p) => sum + marginals[p.parent] * (1 - p.noChild), 0);
  return {
    marginals,
    expectedL0,
    absorbedL0: expectedL0 - absorbed,
    silent: noReadoutAt(tree.root),
    parents,
    exact: true,
  };
}

/** P(on | ancestor on) of the nearest read-out nodes below it, depth-first. */
function givenAncestor(ancestor: TreeNode): number[] {
  return ancestor.children.flatMap((child) =>
    child.readout
      ? [child.probability]
      : givenAncestor(child).map((given) => given * child.probability),
  );
}

/** P(no read-out node on, this one included | parent on), the draw among siblings aside. */
function noReadoutAt(node: TreeNode): number {
  return 1 - node.probability + node.probability * (node.readout ? 0 : noReadoutBelow(node));
}

/** P(no read-out node on below this one | this one on). */
function noReadoutBelow(node: TreeNode): number {
  if (!node.exclusive) return node.children.reduce((p, child) => p * noReadoutAt(child), 1);
  return node.children.reduce(
    (p, child) => p + child.probability * (child.readout ? 0 : noReadoutBelow(child)),
    0,
  );
}

function leaf(name: string, probability: number, readout = true): TreeNode {
  return { name, probability, readout, exclusive: false, children: [] };
}

/** A parent with three read-out children and the fourth, unread, that stands for "no child". */
function family(name: string): TreeNode {
  const children = ['a', 'b', 'c'].map((letter) => leaf(`${name}${letter}`, 0.2));
  return {
    name,
    probability: 0.15,
    readout: true,
    exclusive: true,
    children: [...children, leaf(`${name} alone`, 0.4, false)],
  };
}

/**
 * 20 features in 20 dimensions: parents 0, 4, 8 with three exclusive children each, leaves 12-19 on their own.
 * Its expected L0 is 1.12. The paper and its notebook state 1.2338, which no committed version of the tree gives.
 */
export const nabeshimaTree: FeatureTree = featureTree(
  'nabeshima',
  {
    name: 'root',
    probability: 1,
    readout: false,
    exclusive: false,
    children: [
      ...['A', 'B', 'C'].map(family),
      ...Array.from({ length: 8 }, (_, i) => leaf(`leaf ${i + 1}`, 0.05)),
    ],
  },
  20,
);

/**
 * Worlds of the sample results, as records: nothing is sampled from them.
 * @module
 */
import type { WorldRecord } from '../../../synthetic/experiments/results.ts';
import { nabeshimaTree, treeStatistics } from '../../../synthetic/worlds/feature-tree.ts';
import type { ParentStatistics } from '../../../synthetic/worlds/world.ts';

/** Nabeshima's. */
export const tree: WorldRecord = {
  name: 'tree',
  parameters: { kind: 'tree', d_in: 20 },
  d_in: 20,
  features: nabeshimaTree.features.map(({ name }) => name),
  edges: nabeshimaTree.edges,
  statistics: treeStatistics(nabeshimaTree),
  maxCosineFloor: [0],
  warnings: [],
};

/** 30 trees of three features (the first ten exclusive) and 30 free features, p falling. */
export function forest(): WorldRecord {
  const trees = 30;
  const features = 4 * trees;
  const root = (t: number): number => 0.4 / (t + 1) ** 0.5;
  const parents = Array.from({ length: trees }, (_, t): ParentStatistics => {
    const givenParent = [0.3, 0.2];
    return {
      parent: t,
      children: [trees + 2 * t, trees + 2 * t + 1],
      givenParent,
      noChild: t < 10 ? 0.5 : 0.7 * 0.8,
    };
  });
  const marginals = Array.from({ length: features }, (_, f) => {
    if (f < trees) return root(f);
    const child = f - trees;
    return child < 2 * trees ? root(child >> 1) * (child % 2 === 0 ? 0.3 : 0.2) : 0.01;
  });
  const expectedL0 = marginals.reduce((sum, p) => sum + p, 0);
  return {
    name: 'forest',
    parameters: { kind: 'synth', features },
    d_in: 64,
    features: marginals.map((_, f) => `feature ${f}`),
    edges: parents.flatMap(({ parent, children }) => children.map((child) => ({ parent, child }))),
    statistics: { marginals, expectedL0, absorbedL0: null, silent: null, parents, exact: false },
    maxCosineFloor: [0.21, 0.22],
    warnings: ['2 compensated probabilities reached 1 and were clamped'],
  };
}

import { describe, expect, test } from 'vitest';
import {
  featureTree,
  nabeshimaTree,
  treeStatistics,
  type TreeNode,
} from '../../../synthetic/worlds/feature-tree.ts';

function node(name: string, probability: number, options: Partial<TreeNode> = {}): TreeNode {
  return { name, probability, readout: true, exclusive: false, children: [], ...options };
}

function root(children: readonly TreeNode[], exclusive = false): TreeNode {
  return node('root', 1, { readout: false, exclusive, children });
}

describe("Nabeshima's tree", () => {
  test('has 20 features depth-first: parents 0, 4, 8, each before its three children, then 8 leaves', () => {
    expect(nabeshimaTree.features).toHaveLength(20);
    expect(nabeshimaTree.d_in).toBe(20);
    expect(nabeshimaTree.parents).toEqual([0, 4, 8]);
    expect(nabeshimaTree.edges).toEqual(
      [0, 4, 8].flatMap((parent) => [1, 2, 3].map((i) => ({ parent, child: parent + i }))),
    );
  });

  test('has the published marginals, expected L0 1.12, absorbed L0 0.85 and P(x = 0) 0.4074', () => {
    const statistics = treeStatistics(nabeshimaTree);
    const expected = [0.15, 0.03, 0.03, 0.03, 0.15, 0.03, 0.03, 0.03, 0.15, 0.03, 0.03, 0.03];
    statistics.marginals.forEach((p, f) => expect(p).toBeCloseTo(expected[f] ?? 0.05, 14));
    expect(statistics.expectedL0).toBeCloseTo(1.12, 14);
    expect(statistics.absorbedL0).toBeCloseTo(0.85, 14);
    expect(statistics.silent).toBeCloseTo(0.85 ** 3 * 0.95 ** 8, 14);
    expect(statistics.silent).toBeCloseTo(0.4074, 4);
    for (const { children, givenParent, noChild } of statistics.parents) {
      expect(children).toHaveLength(3);
      expect(givenParent).toEqual([0.2, 0.2, 0.2]);
      expect(noChild).toBeCloseTo(0.4, 14);
    }
  });
});

describe('tree statistics', () => {
  test('unread nodes pass their probability on: an edge joins the nearest read-out ancestor', () => {
    // p -> (unread u 0.5 -> c 0.4), d 0.1; independent, so P(neither | p) = (1 - 0.2)(1 - 0.1).
    const tree = featureTree(
      'skip',
      root([
        node('p', 0.5, {
          children: [
            node('u', 0.5, { readout: false, children: [node('c', 0.4)] }),
            node('d', 0.1),
          ],
        }),
      ]),
      3,
    );
    const { marginals, parents, silent } = treeStatistics(tree);
    expect(tree.edges).toEqual([
      { parent: 0, child: 1 },
      { parent: 0, child: 2 },
    ]);
    [0.5, 0.1, 0.05].forEach((p, f) => expect(marginals[f]).toBeCloseTo(p, 14));
    expect(parents[0].givenParent[0]).toBeCloseTo(0.2, 14);
    expect(parents[0].noChild).toBeCloseTo(0.72, 14);
    expect(silent).toBeCloseTo(0.5, 14);
  });

  test('grandchildren hang on children, and a feature that is both is counted once', () => {
    const tree = featureTree(
      'deep',
      root([node('a', 0.5, { children: [node('b', 0.5, { children: [node('c', 0.5)] })] })]),
      3,
    );
    const { parents, absorbedL0, expectedL0 } = treeStatistics(tree);
    expect(parents.map((p) => [p.parent, ...p.children])).toEqual([
      [0, 1],
      [1, 2],
    ]);
    expect(expectedL0).toBeCloseTo(0.875, 14);
    expect(absorbedL0).toBeCloseTo(0.5, 14);
  });
});

describe('a tree is refused by name', () => {
  const build = (children: TreeNode[], d_in = 9, exclusive = false) =>
    featureTree('t', root(children, exclusive), d_in);

  test.each([-0.1, 1.5, NaN])('when a probability is %s', (p) => {
    expect(() => build([node('bad', p)])).toThrow(
      `feature tree t, node bad: expected probability in [0, 1], got ${p}`,
    );
  });

  test('when an exclusive node has fewer than two children', () => {
    expect(() => build([node('one', 1)], 9, true)).toThrow(
      'node root: expected at least 2 exclusive children, got 1',
    );
  });

  test('when exclusive probabilities do not sum to 1 within 1e-6, on either side', () => {
    for (const last of [0.4 - 2e-6, 0.4 + 2e-6]) {
      expect(() => build([node('a', 0.6), node('b', last)], 9, true)).toThrow(
        "node root: expected exclusive children's probabilities to sum to 1",
      );
    }
    expect(() => build([node('a', 0.6), node('b', 0.4 + 5e-7)], 9, true)).not.toThrow();
    expect(() =>
      build(
        [1, 2, 3].map((i) => node(`${i}`, Math.fround(1 / 3))),
        9,
        true,
      ),
    ).not.toThrow();
  });

  test('when it has more features than d_in, or none', () => {
    expect(() => build([node('a', 1), node('b', 1)], 1)).toThrow(
      'expected d_in >= 2 for orthogonal directions, got 1',
    );
    expect(() => build([node('a', 1), node('b', 1)], 2)).not.toThrow();
    expect(() => build([])).toThrow('no node is read out');
  });

  test('when two nodes share a name, which a cycle would', () => {
    const loop = { ...node('a', 1), children: [] as TreeNode[] };
    loop.children.push(loop);
    expect(() => build([loop])).toThrow('two nodes are called a');
  });
});

import { describe, expect, test } from 'vitest';
import { siblingTasks, siblingTpp } from '../../../synthetic/metrics/sibling-tpp.ts';
import { oracle, permuteRows } from '../../../synthetic/planted-codes.ts';
import { createRng } from '../../../synthetic/rng.ts';
import { valueAt } from '../../../synthetic/sparse-rows.ts';
import { nabeshimaTree } from '../../../synthetic/worlds/feature-tree.ts';
import { treeWorld } from '../../../synthetic/worlds/tree-world.ts';
import { createSampler } from '../../../synthetic/worlds/world.ts';

const world = treeWorld(nabeshimaTree, 2);
const { x, features } = createSampler(world, createRng(9)).next(3000);

describe('sibling TPP', () => {
  const judge = (code: ReturnType<typeof oracle>, edges = world.edges): number | null =>
    siblingTpp(
      { latents: code.latents, decoder: code.W_dec },
      x,
      features,
      { parents: world.parents, edges },
      1,
      createRng(1),
    );
  const truth = oracle(features, world.directions);

  test('asks which child it is, among samples with one of them on', () => {
    const tasks = siblingTasks(features, [1, 2, 3], createRng(1));
    expect(tasks.map(({ feature }) => feature)).toEqual([1, 2, 3]);
    for (const { feature, train, test: held } of tasks) {
      for (const rows of [train, held]) {
        rows.forEach((n, i) => {
          expect(valueAt(features, n, feature) === 1).toBe(i < rows.length / 2);
          expect([1, 2, 3].filter((child) => valueAt(features, n, child) === 1)).toHaveLength(1);
        });
      }
    }
  });

  test('of the truth is far above that of permuted rows', () => {
    expect(judge(truth) ?? NaN).toBeGreaterThan((judge(permuteRows(truth)) ?? NaN) + 0.1);
  });

  test('has no value where no parent has two children', () => {
    expect(judge(truth, [{ parent: 0, child: 1 }])).toBeNull();
    expect(judge(truth, [])).toBeNull();
  });
});

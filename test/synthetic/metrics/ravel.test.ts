import { describe, expect, test } from 'vitest';
import { fromRows, map, matrix, type Matrix } from '../../../reference/matrix.ts';
import { judgedCode } from '../../../synthetic/controls.ts';
import { foldDecoderNorms, rowNorms } from '../../../synthetic/metrics/code.ts';
import { conceptProbe, readOfLatents } from '../../../synthetic/metrics/concept-probe.ts';
import { featureTasks } from '../../../synthetic/metrics/probe-task.ts';
import { ravel } from '../../../synthetic/metrics/ravel.ts';
import {
  oracle,
  permuteRows,
  plantAbsorption,
  type PlantedCode,
} from '../../../synthetic/planted-codes.ts';
import { createRng } from '../../../synthetic/rng.ts';
import { sparseRows, sparseRowsBuilder, type SparseRows } from '../../../synthetic/sparse-rows.ts';
import { nabeshimaTree } from '../../../synthetic/worlds/feature-tree.ts';
import { treeWorld } from '../../../synthetic/worlds/tree-world.ts';
import { createSampler, type Edge, type World } from '../../../synthetic/worlds/world.ts';

const spread = treeWorld(nabeshimaTree, 2);
const norms = rowNorms(spread.directions);
const world: World = {
  ...spread,
  directions: map(spread.directions, (value, i) => value / norms[Math.floor(i / 20)]),
};
const batch = createSampler(world, createRng(9)).next(20_000);

/** RAVEL of a code, its reconstruction exact or as the code has it, with probes for these features. */
function judge(
  code: PlantedCode,
  { edges = world.edges, probed = [...Array(20).keys()], sample = batch } = {},
): number | null {
  const { x, features } = sample;
  const folded = foldDecoderNorms(code.latents, code.W_dec);
  const probes = featureTasks(features, probed, createRng(1)).map((task) => conceptProbe(x, task));
  const { reconstruction } = judgedCode(code, sample, new Float64Array(x.cols));
  return ravel(folded, reconstruction, features, edges, {
    probes,
    reads: probes.map((probe) => readOfLatents(folded.decoder, probe)),
  });
}

const truth = oracle(batch.features, world.directions);

/** A code whose latents are made row by row from the features that are on. */
function encoded(W_dec: Matrix, latentsOf: (on: ReadonlySet<number>) => readonly number[]) {
  const { rows, start, index } = batch.features;
  const latents = sparseRowsBuilder(W_dec.rows);
  for (let n = 0; n < rows; n++) {
    const on = new Set(index.subarray(start[n], start[n + 1]));
    for (const latent of latentsOf(on)) latents.add(latent, 1);
    latents.endRow();
  }
  return { latents: latents.finish(), W_dec };
}

describe('RAVEL', () => {
  test('of the truth is 1: one latent for each value is enough', () => {
    expect(judge(truth)).toBe(1);
  });

  test('does not see absorption: children’s latents take their parent along to where it is anyway', () => {
    expect(judge(plantAbsorption(batch.features, world.directions, world.edges))).toBe(1);
  });

  test('of permuted rows is far below: what is moved is another feature', () => {
    expect(judge(permuteRows(truth)) ?? NaN).toBeLessThan(0.6);
  });

  test('is 0.5 where a value’s own latent is silent beside the other attribute: nothing moves, all stays', () => {
    // Latent 20 + 20 c + d tells children c and d of two trees together, and stands in for both.
    const children = world.edges.map(({ child }) => child);
    const W_dec = matrix(420, 20);
    W_dec.data.set(world.directions.data);
    for (let c = 0; c < 20; c++) {
      for (let d = 0; d < 20; d++) {
        for (let i = 0; i < 20; i++) {
          W_dec.data[(20 + 20 * c + d) * 20 + i] =
            world.directions.data[c * 20 + i] + world.directions.data[d * 20 + i];
        }
      }
    }
    const joint = encoded(W_dec, (on) => {
      const own = children.filter((child) => on.has(child));
      if (own.length !== 2) return [...on];
      return [...[...on].filter((f) => !own.includes(f)), 20 + 20 * own[0] + own[1]];
    });
    // Three children on, one of each tree, are rare: there latents of their own are moved.
    expect(Math.abs((judge(joint) ?? NaN) - 0.5)).toBeLessThan(0.03);
  });

  test('of a dead code is ½ between attributes of two values: a constant answer suits every other exchange', () => {
    const edges: Edge[] = world.edges.filter(({ child }) => [1, 2, 5, 6].includes(child));
    const dead = { latents: sparseRows(matrix(20_000, 20)), W_dec: world.directions };
    expect(judge(dead, { edges })).toBe(0.5);
  });

  test('does not depend on the order of latents or the length of rows', () => {
    const code = plantAbsorption(batch.features, world.directions, world.edges);
    const order = [...Array(20).keys()].map((l) => (7 * l + 3) % 20);
    const shuffled = sparseRowsBuilder(20);
    const { start, index, value, rows } = code.latents;
    for (let n = 0; n < rows; n++) {
      for (let e = start[n]; e < start[n + 1]; e++) {
        shuffled.add(order[index[e]], value[e] / (1 + index[e]));
      }
      shuffled.endRow();
    }
    const W_dec = matrix(20, 20);
    order.forEach((to, from) => {
      for (let i = 0; i < 20; i++) {
        W_dec.data[to * 20 + i] = (1 + from) * code.W_dec.data[from * 20 + i];
      }
    });
    expect(judge({ latents: shuffled.finish(), W_dec })).toBe(judge(code));
  });
});

describe('RAVEL has no value', () => {
  test('without two groups of two probed siblings', () => {
    expect(judge(truth, { edges: [] })).toBeNull();
    expect(judge(truth, { edges: world.edges.filter(({ parent }) => parent === 0) })).toBeNull();
    expect(judge(truth, { probed: [0, 1, 2, 3, 4, 5, 8, 9] })).toBeNull();
    expect(judge(truth, { probed: [] })).toBeNull();
    expect(judge(truth, { probed: [1, 2, 5, 6] })).toBe(1);
  });

  test('for groups of one tree: the value of one decides whether the other has any', () => {
    const chained: Edge[] = [...world.edges, { parent: 19, child: 0 }, { parent: 19, child: 4 }];
    const two = chained.filter(({ child }) => child < 8);
    expect(judge(truth, { edges: two })).toBeNull();
  });

  test('for siblings that are on together', () => {
    const one = world.edges.filter(({ parent }) => parent === 8);
    const besides5 = (sibling: number): Edge[] => [
      ...one,
      { parent: 19, child: 5 },
      { parent: 19, child: sibling },
    ];
    expect(judge(truth, { edges: besides5(6) })).toBe(1);
    expect(judge(truth, { edges: besides5(0) })).toBeNull();
  });

  test('where two groups are together in too few rows, or do not vary there', () => {
    const few = createSampler(world, createRng(9)).next(1200);
    expect(judge(oracle(few.features, world.directions), { sample: few })).toBeNull();

    // Values 0 and 1 of one attribute, 2 and 3 of the other; together only 0 with 2.
    const kinds = [[0], [1], [2], [3], [0, 2], []];
    const features: SparseRows = sparseRows(
      fromRows(
        Array.from({ length: 1200 }, (_, n) =>
          [0, 1, 2, 3, 4, 5].map((f) => (kinds[n % 6].includes(f) ? 1 : 0)),
        ),
      ),
    );
    const axes = fromRows([0, 1, 2, 3, 4, 5].map((i) => [0, 1, 2, 3, 4, 5].map((j) => +(i === j))));
    const code = oracle(features, axes);
    const { reconstruction } = judgedCode(
      code,
      { x: matrix(1200, 6), features },
      new Float64Array(6),
    );
    const edges = [0, 1].map((child) => ({ parent: 4, child }));
    edges.push(...[2, 3].map((child) => ({ parent: 5, child })));
    expect(
      judge(code, { edges, probed: [0, 1, 2, 3], sample: { x: reconstruction, features } }),
    ).toBeNull();
  });
});

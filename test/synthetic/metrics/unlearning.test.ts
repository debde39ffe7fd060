import { describe, expect, test } from 'vitest';
import { dot, map, matrix, row, type Matrix } from '../../../reference/matrix.ts';
import { foldDecoderNorms, rowNorms } from '../../../synthetic/metrics/code.ts';
import { conceptProbe, readOfLatents } from '../../../synthetic/metrics/concept-probe.ts';
import { featureTasks } from '../../../synthetic/metrics/probe-task.ts';
import { CLAMP_FACTORS, unlearning } from '../../../synthetic/metrics/unlearning.ts';
import {
  oracle,
  permuteRows,
  plantAbsorption,
  type PlantedCode,
} from '../../../synthetic/planted-codes.ts';
import { createRng } from '../../../synthetic/rng.ts';
import { sparseRows, sparseRowsBuilder, valueAt } from '../../../synthetic/sparse-rows.ts';
import { nabeshimaTree } from '../../../synthetic/worlds/feature-tree.ts';
import { treeWorld } from '../../../synthetic/worlds/tree-world.ts';
import { createSampler, type World } from '../../../synthetic/worlds/world.ts';

const spread = treeWorld(nabeshimaTree, 2);
const norms = rowNorms(spread.directions);
const world: World = {
  ...spread,
  directions: map(spread.directions, (value, i) => value / norms[Math.floor(i / 20)]),
};
const { x, features } = createSampler(world, createRng(9)).next(8000);
const truth = oracle(features, world.directions);

const probesFor = (probed: readonly number[]) =>
  featureTasks(features, probed, createRng(1)).map((task) => conceptProbe(x, task));
const all = probesFor([...Array(20).keys()]);

function judge({ latents, W_dec }: PlantedCode, probes = all): number | null {
  const code = foldDecoderNorms(latents, W_dec);
  return unlearning(code, features, {
    probes,
    reads: probes.map((probe) => readOfLatents(code.decoder, probe)),
  });
}

/** The truth with further latents: `extra(n)` gives those of a row. */
function withExtra(rows: Matrix, extra: (n: number) => readonly (readonly [number, number])[]) {
  const latents = sparseRowsBuilder(20 + rows.rows);
  for (let n = 0; n < features.rows; n++) {
    for (let e = features.start[n]; e < features.start[n + 1]; e++) {
      latents.add(features.index[e], features.value[e]);
    }
    for (const [latent, value] of extra(n)) latents.add(20 + latent, value);
    latents.endRow();
  }
  return {
    latents: latents.finish(),
    W_dec: matrix(20 + rows.rows, 20, Float64Array.of(...world.directions.data, ...rows.data)),
  };
}

describe('unlearning', () => {
  test('of the truth is 0.5: probes that are right are left nothing, and rows without the feature do not change', () => {
    for (const { accuracy } of all) expect(accuracy).toBe(1);
    expect(judge(truth)).toBe(0.5);
  });

  test('does not see absorption: ten latents are enough for a parent’s and its children’s', () => {
    expect(judge(plantAbsorption(features, world.directions, world.edges))).toBe(0.5);
  });

  test('of permuted rows is far below: what is clamped writes another feature', () => {
    expect(judge(permuteRows(truth)) ?? NaN).toBeLessThan(0.3);
  });

  test('of a dead code is 0', () => {
    expect(judge({ latents: sparseRows(matrix(8000, 20)), W_dec: world.directions })).toBe(0);
  });

  test('is 0 where the only latents are active in more of the other rows than 1 %', () => {
    // Every latent is active in every 50th row besides its feature's.
    const { latents, W_dec } = truth;
    const always = sparseRowsBuilder(20);
    for (let n = 0; n < 8000; n++) {
      for (let l = 0; l < 20; l++) {
        always.add(l, n % 50 === 0 ? 1 : valueAt(latents, n, l));
      }
      always.endRow();
    }
    expect(judge({ latents: always.finish(), W_dec })).toBe(0);
  });

  test('gains nothing where what goes with the feature ruins the others, unless it is rare enough', () => {
    // Ten latents go with feature 12, each also in its own share of the other rows, and all write every feature.
    const everything = matrix(30, 20);
    everything.data.set(world.directions.data);
    for (let l = 20; l < 30; l++) {
      for (let i = 0; i < 400; i++) everything.data[l * 20 + (i % 20)] += world.directions.data[i];
    }
    const of = (every: number): number | null => {
      const latents = sparseRowsBuilder(30);
      for (let n = 0; n < 8000; n++) {
        for (let f = 0; f < 20; f++) if (f !== 12) latents.add(f, valueAt(features, n, f));
        for (let l = 20; l < 30; l++) {
          if (valueAt(features, n, 12) > 0 || n % every === l) latents.add(l, 1);
        }
        latents.endRow();
      }
      return judge({ latents: latents.finish(), W_dec: everything }, probesFor([12, 13]));
    };
    // 0.9 % of the rows for each, 9 % together: feature 13, unlearnt as before, is half of the mean.
    expect(of(110)).toBe(0.25);
    expect(of(2000)).toBe(0.5);
  });

  test('takes no latent on the word of the rows that test it', () => {
    // Latent 20 is feature 12's second, but only in test rows.
    const [target] = probesFor([12]);
    const tested = new Set(target.task.test);
    const silent = sparseRowsBuilder(21);
    for (let n = 0; n < 8000; n++) {
      for (let e = features.start[n]; e < features.start[n + 1]; e++) {
        const f = features.index[e];
        if (f === 12 && tested.has(n)) silent.add(20, 1);
        if (f !== 12) silent.add(f, 1);
      }
      silent.endRow();
    }
    const W_dec = matrix(21, 20);
    W_dec.data.set(world.directions.data);
    W_dec.data.set(row(world.directions, 12), 400);
    const pair = probesFor([12, 13]);
    const code = { latents: silent.finish(), W_dec };
    // Feature 13 is unlearnt as before, feature 12 not at all.
    expect(judge(code, pair)).toBeCloseTo(0.25, 1);
  });

  test('clamps to minus the factor times the mean activation: the drop is what that leaves of x', () => {
    // Latent 20 writes a little of feature 12, always with it, with activations 1 and 3.
    const weak = matrix(1, 20, row(world.directions, 12).slice());
    const code = withExtra(weak, (n) =>
      valueAt(features, n, 12) > 0 ? [[0, 1 + (n % 2) * 2]] : [],
    );
    const pair = probesFor([12, 13]);
    const [{ weights, intercept, task, accuracy }] = pair;
    const read = dot(weights, row(world.directions, 12));
    // Latents 12 (mean 1) and 20 (mean near 2) are clamped together.
    const half = task.test.length / 2;
    let right = 0;
    task.test.forEach((n, i) => {
      let score = intercept + dot(weights, row(x, n));
      if (i < half) score -= read * (1 + 1 + (n % 2) * 2 + CLAMP_FACTORS[0] * 3);
      if (score > 0 === i < half) right++;
    });
    expect(judge(code, pair)).toBeCloseTo((accuracy - right / task.test.length + 0.5) / 2, 12);
  });
});

test('unlearning has no value for fewer than two probes', () => {
  expect(judge(truth, all.slice(0, 1))).toBeNull();
  expect(judge(truth, [])).toBeNull();
});

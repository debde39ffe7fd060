import { describe, expect, test } from 'vitest';
import {
  addToRows,
  dot,
  fromRows,
  matrix,
  multiply,
  row,
  subtract,
} from '../../../reference/matrix.ts';
import type { Code } from '../../../synthetic/metrics/code.ts';
import {
  ablatedScores,
  conceptProbe,
  latentEffects,
  readOfLatents,
  strongestLatents,
} from '../../../synthetic/metrics/concept-probe.ts';
import { erasureCurve, n95 } from '../../../synthetic/metrics/erasure.ts';
import { featureTasks, type ProbeTask } from '../../../synthetic/metrics/probe-task.ts';
import { tpp } from '../../../synthetic/metrics/tpp.ts';
import { createRng } from '../../../synthetic/rng.ts';
import { denseRows, sparseRows } from '../../../synthetic/sparse-rows.ts';

const rng = createRng(12);
/** 600 rows; features 0-3 on at random, along axes, with some noise. */
const features = fromRows(
  Array.from({ length: 600 }, () => [0, 1, 2, 3].map(() => (rng.uniform() < 0.3 ? 1 : 0))),
);
const noise = matrix(600, 4);
for (let i = 0; i < noise.data.length; i++) noise.data[i] = 0.05 * rng.normal();
const x = addToRows(subtract(features, noise), Float64Array.of(1, 0, 0, -1));
const identity = fromRows([0, 1, 2, 3].map((i) => [0, 1, 2, 3].map((j) => (i === j ? 1 : 0))));
const oracle: Code = { latents: sparseRows(features), decoder: identity };
const tasks = featureTasks(oracle.latents, [0, 1, 2, 3], createRng(1));
const probes = tasks.map((task) => conceptProbe(x, task));

describe('ablation', () => {
  test('x - Σ z w is decode(z without S) + (x - decode(z)): the probe reads the same of both', () => {
    const z = matrix(600, 5);
    const W = matrix(5, 4);
    for (let i = 0; i < z.data.length; i++) z.data[i] = rng.uniform() < 0.4 ? rng.normal() : 0;
    for (let i = 0; i < W.data.length; i++) W.data[i] = rng.normal();
    const b_dec = Float64Array.of(0.3, -1, 2, 0);
    const without = matrix(
      600,
      5,
      z.data.map((value, i) => (i % 5 === 1 || i % 5 === 4 ? 0 : value)),
    );
    const decode = (latents: typeof z): typeof z => addToRows(multiply(latents, W), b_dec);
    const error = subtract(x, decode(z));
    const patched = decode(without);
    const code: Code = { latents: sparseRows(z), decoder: W };
    const [probe] = probes;
    const scores = ablatedScores(code, probe, readOfLatents(W, probe), [1, 4]);
    probe.task.test.forEach((n, i) => {
      const ablated = row(patched, n).map((value, j) => value + row(error, n)[j]);
      expect(scores[i]).toBeCloseTo(probe.intercept + dot(probe.weights, ablated), 10);
    });
  });

  test('of no latent changes nothing', () => {
    const [probe] = probes;
    const reads = readOfLatents(identity, probe);
    expect(ablatedScores(oracle, probe, reads, [])).toEqual(probe.scores);
  });
});

test('a latent’s effect is its difference of means times what the probe reads of its row', () => {
  const [probe] = probes;
  const effects = latentEffects(oracle, probe, readOfLatents(identity, probe));
  // Latent 0 is the feature: on in all positives, in no negative.
  expect(effects[0]).toBeCloseTo(probe.weights[0], 12);
  expect(strongestLatents(effects, 1)).toEqual([0]);
});

test('effects of 0 and below are never ablated, however many are asked for', () => {
  expect(strongestLatents(Float64Array.of(-3, 0, 2, 1, 2), 9)).toEqual([2, 4, 3]);
});

describe('an erasure curve', () => {
  test('of a feature with a latent of its own falls to ½ at once', () => {
    const curve = erasureCurve(oracle, probes[1]);
    expect(curve).toMatchObject({ parent: 1, n: [1, 2, 4, 8] });
    expect(probes[1].accuracy).toBe(1);
    expect(curve.drop[0]).toBe(0.5);
    expect(n95(curve)).toBe(1);
  });

  test('of a feature that two latents share takes both', () => {
    // Latents 0 and 4 each carry feature 0 in half of the rows.
    const dense = denseRows(oracle.latents);
    const z = matrix(600, 5);
    for (let n = 0; n < 600; n++) {
      for (let l = 0; l < 4; l++) z.data[n * 5 + l] = dense.data[n * 4 + l];
      if (n % 2 === 0) [z.data[n * 5], z.data[n * 5 + 4]] = [0, z.data[n * 5]];
    }
    const decoder = matrix(5, 4, Float64Array.of(...identity.data, 1, 0, 0, 0));
    const curve = erasureCurve({ latents: sparseRows(z), decoder }, probes[0]);
    expect(curve.drop[0]).toBeGreaterThan(0.15);
    expect(curve.drop[0]).toBeLessThan(0.35);
    expect(curve.drop[1]).toBe(0.5);
    expect(n95(curve)).toBe(2);
  });

  test('of a dead code is flat, and 95 % of nothing has no number of latents', () => {
    const dead: Code = { latents: sparseRows(matrix(600, 4)), decoder: identity };
    const curve = erasureCurve(dead, probes[0]);
    expect(curve.drop).toEqual([0, 0, 0, 0]);
    expect(n95(curve)).toBeNull();
  });

  test('n95 is the first at 95 % of the last drop', () => {
    const of = (...drop: number[]): number | null => n95({ parent: 0, n: [1, 2, 4, 8], drop });
    expect(of(0.2, 0.3, 0.5, 0.5)).toBe(4);
    expect(of(0.475, 0.48, 0.5, 0.5)).toBe(1);
    expect(of(0.47, 0.48, 0.5, 0.5)).toBe(2);
    expect(of(-0.1, 0, 0, -0.1)).toBeNull();
  });
});

describe('TPP', () => {
  test('of the truth is what a probe has to lose, its accuracy above ½', () => {
    for (const { accuracy } of probes) expect(accuracy).toBe(1);
    expect(tpp(oracle, probes, 1)).toBeCloseTo(0.5, 12);
  });

  test('of one latent that holds every feature is 0: it blinds all probes alike', () => {
    const all = matrix(
      600,
      1,
      Float64Array.from({ length: 600 }, () => 100),
    );
    const varied = matrix(
      600,
      1,
      all.data.map((v, n) => v + features.data[n * 4] + features.data[n * 4 + 1]),
    );
    const decoder = fromRows([[1, 1, 0, 0]]);
    const pair = [probes[0], probes[1]];
    const score = tpp({ latents: sparseRows(varied), decoder }, pair, 1);
    expect(Math.abs(score ?? NaN)).toBeLessThan(1e-12);
  });

  test('has no value for fewer than two probes', () => {
    expect(tpp(oracle, probes.slice(0, 1), 1)).toBeNull();
    expect(tpp(oracle, [], 1)).toBeNull();
  });
});

test('a probe is trained on its training rows and judged on its test rows', () => {
  const swapped: ProbeTask = { ...tasks[0], train: tasks[0].test, test: tasks[0].train };
  const again = conceptProbe(x, swapped);
  expect(again.scores).toHaveLength(tasks[0].train.length);
  expect(again.weights).not.toEqual(probes[0].weights);
});

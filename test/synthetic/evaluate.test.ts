import { describe, expect, test } from 'vitest';
import { addToRows, matrix, multiply } from '../../reference/matrix.ts';
import { evaluatePrefixes, firstLatents } from '../../synthetic/evaluate-prefixes.ts';
import { evaluate, metricList, type Judged } from '../../synthetic/evaluate.ts';
import { metricNames } from '../../synthetic/metric-list.ts';
import { createRng } from '../../synthetic/rng.ts';
import { denseRows, sparseRows } from '../../synthetic/sparse-rows.ts';
import { nabeshimaTree } from '../../synthetic/worlds/feature-tree.ts';
import { treeWorld } from '../../synthetic/worlds/tree-world.ts';
import { createSampler } from '../../synthetic/worlds/world.ts';

const world = treeWorld(nabeshimaTree, 5);
const { x, features } = createSampler(world, createRng(1)).next(6000);
const rng = createRng(2);

/** Any code: 30 random rows, a latent active in a tenth of the samples, b_dec not 0. */
const b_dec = Float64Array.from({ length: 20 }, () => rng.normal());
const W_dec = matrix(
  30,
  20,
  Float64Array.from({ length: 600 }, () => rng.normal()),
);
const dense = matrix(
  6000,
  30,
  Float64Array.from({ length: 180_000 }, () => (rng.uniform() < 0.1 ? rng.uniform() : 0)),
);
const judged: Judged = {
  latents: sparseRows(dense),
  W_dec,
  reconstruction: addToRows(multiply(dense, W_dec), b_dec),
  x,
  features,
  thresholdL0: 2.5,
};

describe('evaluate', () => {
  const all = evaluate(judged, world, { rng: createRng(7) });

  test('gives every metric of the list by its name, in its order, within its range', () => {
    expect(Object.keys(all.metrics)).toEqual([...metricNames]);
    for (const { name, range } of metricList) {
      const value = all.metrics[name];
      expect(value, name).not.toBeNull();
      expect(value ?? NaN, name).toBeGreaterThanOrEqual(range[0] ?? -Infinity);
      expect(value ?? NaN, name).toBeLessThanOrEqual(range[1] ?? Infinity);
    }
  });

  test('is plain JSON: nothing is lost on the way', () => {
    expect(JSON.parse(JSON.stringify(all))).toEqual(all);
  });

  test('without random numbers leaves out what needs splits, and nothing else', () => {
    const { metrics, erasure } = evaluate(judged, world);
    const missing = metricNames.filter((name) => metrics[name] === null);
    expect(missing.every((name) => /^(probe|erasure|tpp|scr|ravel|unlearning)/.test(name))).toBe(
      true,
    );
    expect(missing).toHaveLength(11);
    expect(erasure).toEqual([]);
    for (const name of metricNames) {
      if (!missing.includes(name)) expect(metrics[name]).toBe(all.metrics[name]);
    }
  });

  test('asks the same questions of the same source of random numbers, whatever was drawn from it', () => {
    const source = createRng(7);
    source.uniform();
    expect(evaluate(judged, world, { rng: source })).toEqual(all);
  });

  test('tells every latent’s precision, recall and rate, and an erasure curve for each parent', () => {
    expect(all.classification.detectors.map(({ latent }) => latent)).toEqual([...Array(30).keys()]);
    expect(all.erasure.map(({ parent }) => parent)).toEqual([0, 4, 8]);
    expect(all.absorption.parents.map(({ parent }) => parent)).toEqual([0, 4, 8]);
  });

  test('shows cosines in the world’s order, latents without a feature last', () => {
    expect(all.cosines?.features).toEqual([...Array(20).keys(), ...Array<number>(10).fill(-1)]);
    expect(new Set(all.cosines?.latents).size).toBe(30);
  });
});

describe('a prefix', () => {
  test('of m latents is the code that has no others: b_dec and their rows alone', () => {
    for (const m of [0, 7, 30]) {
      const cut = firstLatents(judged, m);
      const z = matrix(
        6000,
        m,
        dense.data.filter((_, i) => i % 30 < m),
      );
      const alone = addToRows(
        m === 0 ? matrix(6000, 20) : multiply(z, matrix(m, 20, W_dec.data.slice(0, m * 20))),
        b_dec,
      );
      expect(denseRows(cut.latents).data.every((value, e) => value === z.data[e])).toBe(true);
      const differences = cut.reconstruction.data.map((value, e) =>
        Math.abs(value - alone.data[e]),
      );
      expect(differences.reduce((most, value) => Math.max(most, value), 0)).toBeLessThan(1e-12);
    }
  });

  test('of all latents has the metrics of the whole', () => {
    const { metrics } = evaluate(judged, world, { rng: createRng(7) });
    const [whole] = evaluatePrefixes(judged, world, [30], { rng: createRng(7) });
    expect(whole.prefix).toBe(30);
    for (const [name, value] of Object.entries(whole.metrics)) {
      expect(value, name).toBe(metrics[name as keyof typeof metrics]);
    }
  });

  test('of no latents has nothing to match and reconstructs no variance', () => {
    const [none] = evaluatePrefixes(judged, world, [0], { rng: createRng(7) });
    expect(none.metrics).toMatchObject({ mcc: null, f1: null, l0: 0, probeTop1: 0.5 });
    expect(none.metrics.explainedVariance ?? NaN).toBeLessThanOrEqual(0);
  });

  test('outside 0..d_sae is refused', () => {
    expect(() => evaluatePrefixes(judged, world, [31])).toThrow('a whole number in 0..30, got 31');
    expect(() => firstLatents(judged, -1)).toThrow('got -1');
  });
});

test('the list of metrics names each once, and says in a line what it is', () => {
  expect(metricList.map(({ name }) => name)).toEqual([...new Set(metricNames)]);
  for (const { definition, label } of metricList) {
    expect(definition).toMatch(/^[^\n]{20,130}\.$/);
    expect(label.length).toBeGreaterThan(1);
  }
  expect(new Set(metricList.map(({ label }) => label)).size).toBe(metricList.length);
});

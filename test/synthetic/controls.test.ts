import { describe, expect, test } from 'vitest';
import { map, multiply } from '../../reference/matrix.ts';
import { treeWorld } from '../../synthetic/worlds/tree-world.ts';
import { createSampler, type World } from '../../synthetic/worlds/world.ts';
import { oracle, permuteRows, plantAbsorption, runControls } from '../../synthetic/controls.ts';
import { evaluate, type Evaluation } from '../../synthetic/evaluate.ts';
import { nabeshimaTree } from '../../synthetic/worlds/feature-tree.ts';
import { createRng } from '../../synthetic/rng.ts';
import { denseRows, sparseRows } from '../../synthetic/sparse-rows.ts';

const world = treeWorld(nabeshimaTree, 3);
const batch = createSampler(world, createRng(3)).next(20_000);
const features = denseRows(batch.features);
const { directions } = world;

type Planted = ReturnType<typeof oracle>;
const judge = (code: Planted, within: World = world): Evaluation =>
  evaluate(
    {
      ...batch,
      latents: sparseRows(code.latents),
      W_dec: code.W_dec,
      reconstruction: multiply(code.latents, code.W_dec),
    },
    within,
  );

describe('the oracle', () => {
  const result = judge(oracle(features, directions));

  test('recovers everything and absorbs nothing', () => {
    expect(result.mcc).toBeCloseTo(1, 12);
    expect(result.explainedVariance).toBeCloseTo(1, 12);
    expect(result.classification).toMatchObject({
      f1: 1,
      matchedF1: 1,
      featureF1: 1,
      recall: 1,
      nearTies: 0,
    });
    expect(result.absorption).toMatchObject({
      full: 0,
      fraction: 0,
      recall: 1,
      cleanGap: 0,
      edgeGap: 0,
    });
    expect(result.childLeak).toBeCloseTo(0, 12);
    expect(result.hedge).toBeCloseTo(0, 12);
    expect(result.maxDecoderCosine).toBeCloseTo(0, 12);
    expect(result.deadLatents).toBe(0);
  });

  test('has the sample’s L0, near the tree’s 1.12', () => {
    const on = features.data.reduce((sum, value) => sum + value, 0);
    expect(result.l0).toBe(on / 20_000);
    expect(Math.abs(result.l0 - 1.12)).toBeLessThan(0.05);
  });

  test('is shown with rows in the tree’s order: the cosine matrix is the identity', () => {
    expect(result.cosines.features).toEqual([...Array(20).keys()]);
    result.cosines.values.forEach((cosines, i) =>
      cosines.forEach((value, j) => expect(value).toBeCloseTo(i === j ? 1 : 0, 12)),
    );
  });
});

describe('planted absorption', () => {
  const equalNorms: World = {
    ...world,
    directions: map(directions, (value, i) => {
      const start = 20 * Math.floor(i / 20);
      return value / Math.hypot(...directions.data.subarray(start, start + 20));
    }),
  };
  const code = plantAbsorption(features, directions, nabeshimaTree.edges);
  const result = judge(code);

  test('is found in full wherever a child is on: full = fraction = P(child | parent) of the sample', () => {
    for (const { parent, full, fraction, recall, cleanGap, childRate } of result.absorption
      .parents) {
      const rows = [...Array(20_000).keys()].filter((n) => features.data[n * 20 + parent] > 0);
      const withChild = rows.filter((n) =>
        [1, 2, 3].some((i) => features.data[n * 20 + parent + i] > 0),
      );
      const rate = withChild.length / rows.length;
      expect(childRate).toBe(rate);
      expect(full).toBe(rate);
      expect(fraction).toBeCloseTo(rate, 12);
      expect(recall).toBeCloseTo(1 - rate, 12);
      expect(cleanGap).toBe(1);
    }
  });

  test('leaves the reconstruction exact, and lowers L0 to that of an absorbed code', () => {
    expect(result.explainedVariance).toBeCloseTo(1, 12);
    expect(Math.abs(result.l0 - 0.85)).toBeLessThan(0.04);
  });

  test('leaks √½ of the parent into its children’s rows at equal norms', () => {
    const planted = plantAbsorption(features, equalNorms.directions, nabeshimaTree.edges);
    expect(judge(planted, equalNorms).childLeak).toBeCloseTo(Math.SQRT1_2, 12);
    expect(Math.abs((result.childLeak ?? 0) - Math.SQRT1_2)).toBeLessThan(0.02);
  });

  test('does not depend on decoder norms: scaling rows and latents against each other changes nothing', () => {
    const scale = (l: number): number => 0.1 + l;
    const scaled = {
      latents: map(code.latents, (z, i) => z / scale(i % 20)),
      W_dec: map(code.W_dec, (w, i) => w * scale(Math.floor(i / 20))),
    };
    const again = judge(scaled);
    expect(again.absorption.full).toBe(result.absorption.full);
    expect(again.absorption.fraction).toBeCloseTo(result.absorption.fraction ?? NaN, 12);
    expect(again.mcc).toBeCloseTo(result.mcc ?? NaN, 12);
  });

  test('in a tree of grandchildren every row holds all its ancestors', () => {
    const deep = plantAbsorption(features, directions, [
      { parent: 0, child: 1 },
      { parent: 1, child: 2 },
    ]);
    for (let i = 0; i < 20; i++) {
      const [a, b, c] = [0, 1, 2].map((f) => directions.data[f * 20 + i]);
      expect(deep.W_dec.data[2 * 20 + i]).toBeCloseTo(a + b + c, 14);
    }
  });
});

describe('permuted decoder rows', () => {
  const truth = judge(oracle(features, directions));
  const result = judge(permuteRows(oracle(features, directions)));

  test('leave MCC and max decoder cosine, which ignore the order of rows', () => {
    expect(result.mcc).toBeCloseTo(truth.mcc ?? NaN, 12);
    expect(result.maxDecoderCosine).toBeCloseTo(truth.maxDecoderCosine ?? NaN, 12);
  });

  test('collapse F1 and explained variance', () => {
    expect(result.classification.f1 ?? NaN).toBeLessThan(0.15);
    expect(result.classification.matchedF1 ?? NaN).toBeLessThan(0.15);
    expect(result.explainedVariance ?? NaN).toBeLessThan(0);
  });

  test('collapse planted absorption: what stands in for the parent no longer points at it', () => {
    const planted = permuteRows(plantAbsorption(features, directions, nabeshimaTree.edges));
    expect(judge(planted).absorption.full ?? NaN).toBeLessThan(0.15);
  });
});

describe('runControls', () => {
  test('finds every figure at its exact value', () => {
    const controls = runControls(batch, world);
    expect(controls.map(({ name }) => name)).toEqual([
      'oracle',
      'planted absorption',
      'permuted decoder rows',
    ]);
    for (const { name, checks } of controls) {
      for (const check of checks)
        expect.soft(check, `${name}: ${check.metric}`).toMatchObject({ holds: true });
    }
    const planted = controls[1].checks.find(({ metric }) => metric === 'full absorption');
    expect(planted?.got).toBeGreaterThan(0.5);
  });

  test('can fail: with another world’s directions as the truth nothing holds', () => {
    const other = treeWorld(nabeshimaTree, 4);
    const [truth] = runControls(batch, { ...world, directions: other.directions });
    // MCC still compares the truth with itself, but x was made with other directions.
    expect(truth.checks.find(({ metric }) => metric === 'explained variance')?.holds).toBe(false);
  });

  test('gives null for both where a sample is too small for absorption', () => {
    const small = runControls(createSampler(world, createRng(1)).next(64), world);
    const check = small[1].checks.find(({ metric }) => metric === 'clean gap');
    expect(check).toMatchObject({ got: null, expected: null, holds: true });
  });
});

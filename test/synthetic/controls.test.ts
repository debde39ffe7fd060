import { describe, expect, test } from 'vitest';
import { map } from '../../reference/matrix.ts';
import { treeWorld } from '../../synthetic/worlds/tree-world.ts';
import { createSampler, type World } from '../../synthetic/worlds/world.ts';
import { judgedCode, runControls } from '../../synthetic/controls.ts';
import {
  oracle,
  permuteRows,
  plantAbsorption,
  randomCode,
  type PlantedCode,
} from '../../synthetic/planted-codes.ts';
import type { SynthParams } from '../../synthetic/worlds/params.ts';
import { createWorld, worldNamed } from '../../synthetic/worlds/presets.ts';
import { evaluate, type Evaluation } from '../../synthetic/evaluate.ts';
import { nabeshimaTree } from '../../synthetic/worlds/feature-tree.ts';
import { createRng } from '../../synthetic/rng.ts';
import { denseRows } from '../../synthetic/sparse-rows.ts';

const world = treeWorld(nabeshimaTree, 3);
const batch = createSampler(world, createRng(3)).next(20_000);
const features = denseRows(batch.features);
const { directions } = world;

const judge = (code: PlantedCode, within: World = world): Evaluation =>
  evaluate(judgedCode(code, batch, within.bias), within);

/** The same tree without its spread of norms. */
const equalNorms: World = {
  ...world,
  directions: map(directions, (value, i) => {
    const start = 20 * Math.floor(i / 20);
    return value / Math.hypot(...directions.data.subarray(start, start + 20));
  }),
};

describe('the oracle', () => {
  const result = judge(oracle(batch.features, directions));

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
    expect(result.cosines?.features).toEqual([...Array(20).keys()]);
    result.cosines?.values.forEach((cosines, i) =>
      cosines.forEach((value, j) => expect(value).toBeCloseTo(i === j ? 1 : 0, 12)),
    );
  });
});

describe('planted absorption', () => {
  const code = plantAbsorption(batch.features, directions, nabeshimaTree.edges);
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
    const planted = plantAbsorption(batch.features, equalNorms.directions, nabeshimaTree.edges);
    expect(judge(planted, equalNorms).childLeak).toBeCloseTo(Math.SQRT1_2, 12);
    expect(Math.abs((result.childLeak ?? 0) - Math.SQRT1_2)).toBeLessThan(0.02);
  });

  test('does not depend on decoder norms: scaling rows and latents against each other changes nothing', () => {
    const scale = (l: number): number => 0.1 + l;
    const scaled = {
      latents: {
        ...code.latents,
        value: code.latents.value.map((z, e) => z / scale(code.latents.index[e])),
      },
      W_dec: map(code.W_dec, (w, i) => w * scale(Math.floor(i / 20))),
    };
    const again = judge(scaled);
    expect(again.absorption.full).toBe(result.absorption.full);
    expect(again.absorption.fraction).toBeCloseTo(result.absorption.fraction ?? NaN, 12);
    expect(again.mcc).toBeCloseTo(result.mcc ?? NaN, 12);
  });

  test('in a tree of grandchildren every row holds all its ancestors', () => {
    const deep = plantAbsorption(batch.features, directions, [
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
  const truth = judge(oracle(batch.features, directions));
  const result = judge(permuteRows(oracle(batch.features, directions)));

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
    const planted = permuteRows(plantAbsorption(batch.features, directions, nabeshimaTree.edges));
    expect(judge(planted).absorption.full ?? NaN).toBeLessThan(0.15);
  });
});

describe('probes', () => {
  const sample = createSampler(equalNorms, createRng(3)).next(10_000);
  const probed = (code: PlantedCode): Evaluation =>
    evaluate(judgedCode(code, sample, world.bias), equalNorms, { rng: createRng(5) });
  const exact = oracle(sample.features, equalNorms.directions);
  const truth = probed(exact);

  test('read the oracle without error, and one latent erases a feature: ½ each', () => {
    expect(truth.metrics).toMatchObject({
      probeTop1: 1,
      probeTop2: 1,
      probeTop5: 1,
      probeX: 1,
      erasure1: 0.5,
      erasureN95: 1,
    });
    expect(truth.metrics.tpp1).toBeCloseTo(0.5, 1);
  });

  test('see nothing of permuted rows, while erasure and TPP lose all', () => {
    const { metrics } = probed(permuteRows(exact));
    for (const name of ['probeTop1', 'probeTop2', 'probeX', 'mcc', 'uniqueness'] as const) {
      expect(metrics[name], name).toBeCloseTo(truth.metrics[name] ?? NaN, 12);
    }
    expect(metrics.erasure1 ?? NaN).toBeLessThan(0.1);
    expect(Math.abs(metrics.tpp1 ?? NaN)).toBeLessThan(0.1);
  });

  test('need four latents to erase an absorbed parent; the first takes the 40 % of firings without a child', () => {
    const planted = probed(plantAbsorption(sample.features, equalNorms.directions, world.edges));
    for (const { drop } of planted.erasure) {
      // ½ · 0.4, and the share of a test half of at least 500 firings varies by less than 5 · √(.24 / 500).
      expect(Math.abs(drop[0] - 0.2)).toBeLessThan(0.055);
      expect(drop[1]).toBeGreaterThan(drop[0]);
      expect(drop[2]).toBe(0.5);
    }
    expect(planted.metrics.erasureN95).toBe(4);
    expect(planted.metrics.probeTop1 ?? NaN).toBeLessThan(1);
  });
});

describe('a random code', () => {
  const mini = createWorld(worldNamed('mini256'), 42);
  const sample = createSampler(mini, createRng(3)).next(4000);
  const code = randomCode(sample.x, 64, 3, createRng(8));
  const result = evaluate(judgedCode(code, sample, mini.bias), mini, { rng: createRng(5) });

  test('has the L0 asked for, and recovers, detects and erases next to nothing', () => {
    expect(result.l0).toBe(3);
    expect(result.mcc ?? NaN).toBeLessThan(0.5);
    expect(result.metrics.featuresRecovered).toBe(0);
    expect(result.classification.f1 ?? NaN).toBeLessThan(0.3);
    expect(result.metrics.erasure1 ?? NaN).toBeLessThan(0.25);
    expect(result.metrics.probeTop1 ?? NaN).toBeLessThan(result.metrics.probeX ?? NaN);
  });
});

describe.each(['tree', 'mini256', 'absorb4', 'independent4', 'hedge1'])(
  'runControls in %s',
  (name) => {
    test('finds every figure at its exact value', () => {
      const own = createWorld(worldNamed(name), 42);
      const controls = runControls(createSampler(own, createRng(3)).next(5000), own);
      for (const { name: control, checks } of controls) {
        for (const check of checks)
          expect.soft(check, `${control}: ${check.metric}`).toMatchObject({ holds: true });
      }
    });
  },
);

test('runControls holds where a code knows few of many features', () => {
  const params = worldNamed('synth16k') as SynthParams;
  const large = createWorld(
    { ...params, features: 6000, orthogonalisation: { steps: 0, learningRate: 1 } },
    0,
  );
  const controls = runControls(createSampler(large, createRng(3)).next(600), large);
  for (const { name, checks } of controls) {
    for (const check of checks)
      expect.soft(check, `${name}: ${check.metric}`).toMatchObject({ holds: true });
  }
}, 30_000);

describe('runControls', () => {
  test('finds every figure at its exact value', () => {
    const controls = runControls(batch, world);
    expect(controls.map(({ name }) => name)).toEqual([
      'oracle',
      'planted absorption',
      'permuted decoder rows',
      'random code',
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

  test('can fail: a code that knows the truth is no random one', () => {
    const [truth, , , random] = runControls(batch, world);
    const [most, mcc] = ['MCC', 'MCC'].map((metric, i) =>
      [random, truth][i].checks.find((check) => check.metric === metric),
    );
    expect(mcc?.got).toBeGreaterThan(most?.expected ?? NaN);
    expect(most?.got).toBeGreaterThan(0.2);
  });

  test('gives null for both where a sample is too small for absorption', () => {
    const small = runControls(createSampler(world, createRng(1)).next(64), world);
    const check = small[1].checks.find(({ metric }) => metric === 'clean gap');
    expect(check).toMatchObject({ got: null, expected: null, holds: true });
  });
});

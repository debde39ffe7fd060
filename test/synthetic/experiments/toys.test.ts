import { describe, expect, test } from 'vitest';
import { cosines } from '../../../synthetic/metrics/code.ts';
import { matchLatents } from '../../../synthetic/metrics/mcc.ts';
import { architectureNamed } from '../../../synthetic/architectures/catalogue.ts';
import { architectureRecord, configOf } from '../../../synthetic/architectures/record.ts';
import { row, transpose } from '../../../reference/matrix.ts';
import { evaluate, type Evaluation } from '../../../synthetic/evaluate.ts';
import type { StepKernel } from '../../../synthetic/kernels/step-kernel.ts';
import { threadsSteps } from '../../../synthetic/kernels/threads-steps.ts';
import { createRng } from '../../../synthetic/rng.ts';
import { trainOnWorld } from '../../../synthetic/train.ts';
import { trainedCode } from '../../../synthetic/trained-code.ts';
import { createSampler, type World } from '../../../synthetic/worlds/world.ts';
import { createWorld, worldDefaults, worldNamed } from '../../../synthetic/worlds/presets.ts';
import type { Architecture } from '../../../synthetic/architectures/architecture.ts';
import type { TrainConfig, TrainState } from '../../../reference/train-step.ts';

/** ReLU with a small L1 penalty, as the toys' sources train. */
const relu: Architecture = {
  ...architectureNamed('relu'),
  sparsity: 'fixed',
  options: { train: { sparsityCoefficient: 5e-3 } },
};

interface Solved {
  readonly state: TrainState;
  readonly config: TrainConfig;
  /** cos(decoder row matched with feature f, g_h) at [f][h]; nothing for a feature without a latent. */
  readonly cosine: readonly (readonly number[])[];
  /** cos(decoder row l, g_h) at [l][h]. */
  readonly all: readonly (readonly number[])[];
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Quick settings of the small toys; k as the world has it unless it is given. */
interface Run {
  readonly steps?: number;
  readonly batch?: number;
  readonly learningRate?: number;
  readonly k?: number;
  readonly seed?: number;
  readonly kernel?: StepKernel;
}

async function solve(
  name: string,
  architecture: Architecture = relu,
  more: Partial<TrainConfig> = {},
  { seed = 0, kernel, k = worldDefaults[name].k, ...run }: Run = {},
): Promise<Solved> {
  const world = createWorld(worldNamed(name), 0);
  const sizes = {
    ...worldDefaults[name],
    d_in: world.d_in,
    activation: 1,
    steps: 1200,
    batch: 128,
    learningRate: 1e-2,
    ...run,
  };
  const record = architectureRecord(architecture, sizes, [k]);
  const config = { ...configOf(record, world.d_in, k), ...more };
  const training = { config, world, seed, batch: sizes.batch, curveSamples: sizes.batch };
  const { state } = await trainOnWorld(training, { ...(kernel && { kernel }) });
  const all = cosines(state.params.W_dec, world.directions);
  const { latentOf } = matchLatents(all);
  return {
    state,
    config,
    all: Array.from({ length: all.rows }, (_, l) => [...row(all, l)]),
    cosine: [...latentOf].map((latent) =>
      latent < 0 ? [] : [...all.data.subarray(latent * all.cols, (latent + 1) * all.cols)],
    ),
  };
}

/** Begins at the world's own features, so that whatever it leaves them for is the gradient's doing. */
function fromTruth(world: World): StepKernel {
  return {
    ...threadsSteps,
    open(config, { params, ...start }) {
      const W_enc = transpose(world.directions);
      return threadsSteps.open(config, {
        ...start,
        params: { ...params, W_enc, W_dec: world.directions },
      });
    },
  };
}

describe('the published toys', () => {
  test('independent4: every feature is recovered', async () => {
    const { cosine } = await solve('independent4');
    for (const [f, row] of cosine.entries()) expect(row[f]).toBeGreaterThan(0.99);
  });

  test('absorb4: the child’s row is parent and child alike, and the parent’s is clean', async () => {
    const { cosine, state } = await solve('absorb4');
    expect(cosine[0][0]).toBeGreaterThan(0.99);
    expect(cosine[1][0]).toBeCloseTo(Math.SQRT1_2, 1);
    expect(cosine[1][1]).toBeCloseTo(Math.SQRT1_2, 1);
    for (const f of [2, 3]) expect(cosine[f][f]).toBeGreaterThan(0.99);
    expect(state.step).toBe(1200);
  });

  test('hedge1: one latent for parent and child mixes in the child, as the best rank-1 code does', async () => {
    const { cosine } = await solve('hedge1');
    const row = cosine.find((one) => one.length > 0)!;
    // Top eigenvector of [[1, c], [c, c]] at c = P(child | parent) = 0.2: child / parent = 0.236.
    expect(row[1] / row[0]).toBeCloseTo(0.236, 1);
    const signs = await Promise.all(['hedge1-pos', 'hedge1-anti'].map((name) => solve(name)));
    const [pos, anti] = signs.map((one) => one.cosine.find((each) => each.length > 0)![1]);
    expect(pos).toBeGreaterThan(0.02);
    expect(anti).toBeLessThan(-0.02);
  });

  test('hedge3: three latents for four features: the parent’s mixes in the child, the others stay clean', async () => {
    const { cosine } = await solve('hedge3');
    for (const f of [0, 1]) expect(cosine[f][f]).toBeGreaterThan(0.99);
    // As one latent alone would: child / parent = 0.236.
    expect(cosine[2][3] / cosine[2][2]).toBeCloseTo(0.236, 1);
    for (const f of [0, 1]) expect(Math.abs(cosine[f][3])).toBeLessThan(0.05);
  });

  test('balance: an inner weight of 0 absorbs, a detached level hedges most, .25 nearly cancels both', async () => {
    const levels: Architecture = { ...relu, prefixes: 'levels' };
    const decisions = { 'loss.innerLevels': 'detached' };
    const detached = { ...levels, options: { ...relu.options, decisions } };
    const settings = { steps: 2000, learningRate: 5e-3, seed: 2 };
    const at = async (weight: number, architecture = levels): Promise<Solved> =>
      solve('balance', architecture, { levelWeights: [weight, 1] }, settings);
    /** What the inner level’s latent, the first, mixes in of each child. */
    const hedging = ({ all }: Solved): number =>
      mean([1, 2, 3].map((child) => all[0][child] * Math.sign(all[0][0])));
    /** What latents of children mix in of the parent. */
    const absorbing = ({ cosine }: Solved): number =>
      mean([1, 2, 3].map((child) => cosine[child][0]));

    const none = await at(0);
    const quarter = await at(0.25);
    const full = await at(1);
    const apart = await at(1, detached);
    expect(absorbing(none)).toBeGreaterThan(0.2);
    expect(quarter.cosine.every((one, f) => one[f] > 0.99)).toBe(true);
    expect(Math.abs(absorbing(quarter))).toBeLessThan(0.06);
    expect(hedging(quarter)).toBeLessThan(0.07);
    expect(hedging(full)).toBeGreaterThan(1.5 * hedging(quarter));
    expect(hedging(apart)).toBeGreaterThan(1.5 * hedging(full));
  }, 60_000);

  test.each([0, 0.17, 0.25, 1])(
    'unbalanceable: children this unlike leave a wrong row at inner weight %s',
    async (weight) => {
      const levels: Architecture = { ...relu, prefixes: 'levels' };
      const { cosine } = await solve('unbalanceable', levels, { levelWeights: [weight, 1] });
      const wrong = cosine.flatMap((one, f) => one.filter((_, h) => h !== f).map(Math.abs));
      expect(Math.max(...wrong)).toBeGreaterThan(0.3);
    },
  );

  test('correlated5: at the true L0 every feature is recovered; below it feature 0 is in every latent', async () => {
    const settings = { batch: 512, learningRate: 1e-3, seed: 2, kernel: threadsSteps, steps: 4000 };
    const at = (name: string, more: Run): Promise<Solved> =>
      solve(name, architectureNamed('batchtopk'), {}, { ...settings, ...more });
    for (const [name, sign] of [
      ['correlated5-pos', 1],
      ['correlated5-anti', -1],
    ] as const) {
      const { cosine } = await at(name, {});
      for (const [f, one] of cosine.entries()) expect(one[f], name).toBeGreaterThan(0.99);
      // The source starts this run at the solution: from random weights two features can merge instead.
      const kernel = fromTruth(createWorld(worldNamed(name), 0));
      const { all } = await at(name, { k: 1.8, kernel });
      expect(all[0][0]).toBeGreaterThan(0.98);
      for (const [f, one] of all.slice(1).entries()) {
        expect(one[f + 1], name).toBeGreaterThan(0.95);
        expect(sign * one[0], name).toBeGreaterThan(0.2);
      }
    }
  }, 60_000);

  test('correlated50: below the true L0 wrong features are learned, and the squared error rewards them', async () => {
    const world = createWorld(worldNamed('correlated50'), 0);
    const settings = { batch: 512, learningRate: 4e-3, kernel: threadsSteps, steps: 1200 };
    const at = (k: number): Promise<Solved> =>
      solve('correlated50', architectureNamed('batchtopk'), {}, { ...settings, k });
    const [right, wrong] = [await at(11), await at(9)];
    const samples = createSampler(world, createRng(5)).next(5120);
    const judged = ({ state }: Solved, { config }: Solved): Evaluation =>
      evaluate(trainedCode(state, samples, config, 512).judged, world);
    expect(judged(right, right).mcc).toBeGreaterThan(0.9);
    expect(judged(wrong, wrong).mcc).toBeLessThan(0.87);
    // The right SAE, forced to the lower L0, reconstructs worse than the one that learned there.
    const unexplained = (one: Evaluation): number => 1 - (one.explainedVariance ?? NaN);
    expect(unexplained(judged(right, wrong))).toBeGreaterThan(
      1.05 * unexplained(judged(wrong, wrong)),
    );
  }, 120_000);
});

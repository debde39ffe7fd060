import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Matrix } from '../../../reference/matrix.ts';
import type { SaeParams } from '../../../reference/params.ts';
import { initialState, trainStep } from '../../../reference/train-step.ts';
import { writeSafetensors, type LazyTensor } from '../../../training/formats/safetensors-file.ts';
import { referenceSteps } from '../../../synthetic/kernels/reference-steps.ts';
import { compareWithPeer } from '../../../synthetic/peers/comparison.ts';
import { codeOf, peerMetrics, type PeerMetrics } from '../../../synthetic/peers/peer-metrics.ts';
import { configOfPeer, type SaelensSettings } from '../../../synthetic/peers/peer-settings.ts';
import { createRng } from '../../../synthetic/rng.ts';
import { nabeshimaTree } from '../../../synthetic/worlds/feature-tree.ts';
import { treeWorld } from '../../../synthetic/worlds/tree-world.ts';
import { createSampler } from '../../../synthetic/worlds/world.ts';

const world = treeWorld(nabeshimaTree, 1);
const settings: SaelensSettings = {
  architecture: 'matryoshka',
  d_sae: 20,
  steps: 6,
  batch: 64,
  learning_rate: 0.005,
  k: 1.12,
  widths: [5, 20],
  l1: 0,
  level_aux: true,
};
const config = configOfPeer(settings, world.d_in);

/** Float64, so that a peer made of our own steps is followed to the bit. */
function tensor(name: string, shape: readonly number[], values: ArrayLike<number>): LazyTensor {
  return { name, dtype: 'F64', shape: [...shape], read: () => Float64Array.from(values) };
}

function paramTensors(prefix: string, params: SaeParams): LazyTensor[] {
  const { W_enc, b_enc, W_dec, b_dec } = params;
  return [
    tensor(`${prefix}W_enc`, [W_enc.rows, W_enc.cols], W_enc.data),
    tensor(`${prefix}b_enc`, [b_enc.length], b_enc),
    tensor(`${prefix}W_dec`, [W_dec.rows, W_dec.cols], W_dec.data),
    tensor(`${prefix}b_dec`, [b_dec.length], b_dec),
  ];
}

/** As SAELens writes them. */
function asSaelens(metrics: PeerMetrics): Record<string, unknown> {
  const { precision, recall, f1, accuracy } = metrics;
  return {
    mcc: metrics.mcc,
    uniqueness: metrics.uniqueness,
    explained_variance: metrics.explainedVariance,
    shrinkage: metrics.shrinkage,
    sae_l0: metrics.l0,
    dead_latents: metrics.deadLatents,
    classification: { precision, recall, f1_score: f1, accuracy },
  };
}

describe('A peer that is our own step from other weights', () => {
  let folder: string;
  const sample = createSampler(world, createRng(5)).next(256);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'peers-'));
    const { start, index, value } = sample.features;
    const row = Array.from(index, (_, e) => start.findIndex((first) => first > e) - 1);
    const edges = world.edges.flatMap(({ parent, child }) => [parent, child]);
    await writeSafetensors(join(folder, 'world.safetensors'), [
      tensor('directions', [20, 20], world.directions.data),
      tensor('bias', [20], world.bias),
      tensor('edges', [edges.length / 2, 2], edges),
      tensor('x', [sample.x.rows, 20], sample.x.data),
      tensor('features.row', [row.length], row),
      tensor('features.column', [index.length], index),
      tensor('features.value', [value.length], value),
    ]);
    const runs = [];
    for (const seed of [0, 1]) runs.push({ seed, metrics: asSaelens(await writeSeed(seed)) });
    const facts = {
      peer: 'ourselves',
      versions: {},
      world: 'tree',
      world_seed: 1,
      evaluation_batch: 64,
      settings,
      runs,
    };
    await writeFile(join(folder, 'runs.json'), JSON.stringify(facts));
  });
  afterAll(() => rm(folder, { recursive: true }));

  async function writeSeed(seed: number): Promise<PeerMetrics> {
    const sampler = createSampler(world, createRng(seed).split('rows'));
    let state = initialState(config, createRng(seed).split('weights').uniform);
    const initial = state.params;
    const batches: Matrix[] = [];
    const losses: number[] = [];
    for (let step = 0; step < settings.steps; step++) {
      batches.push(sampler.nextX(settings.batch));
      const result = trainStep(state, batches[step], config);
      losses.push(result.loss);
      state = result.state;
    }
    await writeSafetensors(join(folder, `seed-${seed}.safetensors`), [
      ...paramTensors('initial.', initial),
      ...paramTensors('final.', state.params),
      tensor(
        'x',
        [settings.steps, settings.batch, 20],
        batches.flatMap(({ data }) => [...data]),
      ),
      tensor('losses', [losses.length], losses),
    ]);
    return peerMetrics(codeOf(state.params, { world, sample }, config, 64), { world, sample });
  }

  test('is followed to the bit from its weights, and ours from our own end elsewhere', async () => {
    const steps: number[] = [];
    const { seeds, metrics } = await compareWithPeer(folder, {
      seeds: 2,
      own: true,
      following: true,
      kernel: referenceSteps,
      onStep: (_, step) => steps.push(step),
    });
    for (const { metricDifference, following, ours, theirs } of seeds) {
      expect(metricDifference).toBe(0);
      expect(following).toMatchObject({ earlyLoss: 0, loss: 0, metricDifference: 0 });
      expect(ours!.mcc).not.toBe(theirs.mcc);
    }
    expect(steps).toHaveLength(2 * 2 * settings.steps);
    const mcc = metrics.find(({ metric }) => metric === 'mcc')!;
    expect(mcc.theirs).toEqual(seeds.map(({ theirs }) => theirs.mcc));
    expect(mcc.within).not.toBeNull();
  });

  test('with fewer seeds than asked for is refused by number', async () => {
    const options = { own: false, following: false, kernel: referenceSteps, onStep: () => {} };
    await expect(compareWithPeer(folder, { ...options, seeds: 3 })).rejects.toThrow(
      /--seeds: expected at most the 2/,
    );
    await expect(compareWithPeer(join(folder, 'none'), { ...options, seeds: 1 })).rejects.toThrow(
      /runs\.json: not found/,
    );
  });
});

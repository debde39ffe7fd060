import { describe, expect, test } from 'vitest';
import { cosines } from '../../../synthetic/metrics/code.ts';
import { matchLatents } from '../../../synthetic/metrics/mcc.ts';
import { architectureNamed } from '../../../synthetic/architectures/catalogue.ts';
import { architectureRecord, configOf } from '../../../synthetic/architectures/record.ts';
import { trainOnWorld } from '../../../synthetic/train.ts';
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
  /** cos(decoder row matched with feature f, g_h) at [f][h]; nothing for a feature without a latent. */
  readonly cosine: readonly (readonly number[])[];
}

async function solve(
  name: string,
  architecture: Architecture = relu,
  more: Partial<TrainConfig> = {},
): Promise<Solved> {
  const world = createWorld(worldNamed(name), 0);
  const sizes = {
    ...worldDefaults[name],
    d_in: world.d_in,
    activation: 1,
    steps: 1200,
    batch: 128,
    learningRate: 1e-2,
  };
  const record = architectureRecord(architecture, sizes, [worldDefaults[name].k]);
  const config = { ...configOf(record, world.d_in, worldDefaults[name].k), ...more };
  const { state } = await trainOnWorld({ config, world, seed: 0, batch: 128, curveSamples: 128 });
  const all = cosines(state.params.W_dec, world.directions);
  const { latentOf } = matchLatents(all);
  return {
    state,
    cosine: [...latentOf].map((latent) =>
      latent < 0 ? [] : [...all.data.subarray(latent * all.cols, (latent + 1) * all.cols)],
    ),
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

  test('balance: a first level of one latent hedges, mixing in every child', async () => {
    const { cosine } = await solve(
      'balance',
      { ...relu, prefixes: 'levels' },
      { levelWeights: [1, 1] },
    );
    expect(cosine[0][0]).toBeGreaterThan(0.9);
    for (const child of [1, 2, 3]) expect(cosine[0][child]).toBeGreaterThan(0.05);
  });
});

import { describe, expect, test } from 'vitest';
import { trainConfig } from '../../reference/train-config.ts';
import { treeWorld } from '../../synthetic/worlds/tree-world.ts';
import { nabeshimaTree } from '../../synthetic/worlds/feature-tree.ts';
import {
  CURVE_INTERVALS,
  trainOnWorld,
  wholeBatches,
  type TrainingRun,
} from '../../synthetic/train.ts';

const world = treeWorld(nabeshimaTree, 1);

function run(options: Partial<Parameters<typeof trainConfig>[0]> = {}, seed = 2): TrainingRun {
  const config = trainConfig({
    d_in: 20,
    d_sae: 20,
    k: 1.12,
    steps: 40,
    learningRate: 1e-2,
    warmupSteps: 5,
    thresholdStartStep: 10,
    ...options,
  });
  return { config, world, seed, batch: 64, curveSamples: 120 };
}

describe('trainOnWorld', () => {
  test('repeats bit for bit for the same seed and world, and not for another seed', async () => {
    const [a, b, c] = await Promise.all(
      [run(), run(), run({}, 3)].map((each) => trainOnWorld(each)),
    );
    expect(a).toEqual(b);
    expect(a.state.params.W_dec.data).not.toEqual(c.state.params.W_dec.data);
  });

  test('learns: loss falls and MCC rises', async () => {
    const { curve } = await trainOnWorld(run({ steps: 150 }));
    const [first, last] = [curve[1], curve[curve.length - 1]];
    expect(last.loss ?? NaN).toBeLessThan((first.loss ?? NaN) / 2);
    expect(last.mcc ?? NaN).toBeGreaterThan((curve[0].mcc ?? NaN) + 0.1);
  });

  test('records a point before the first step and every 5 %, up to the last step', async () => {
    const seen: number[] = [];
    const { curve } = await trainOnWorld(run(), { onProgress: (step) => seen.push(step) });
    const expected = Array.from({ length: CURVE_INTERVALS }, (_, i) => 2 * (i + 1));
    expect(seen).toEqual(expected);
    expect(curve.map(({ step }) => step)).toEqual([0, ...expected]);
    expect(curve[0].loss).toBeNull();
    // The threshold is first set in the step after thresholdStartStep = 10, the twelfth.
    expect(curve.map(({ step, threshold }) => threshold >= 0 === step >= 12)).not.toContain(false);
  });

  test('with fewer steps than points records every step; an odd number ends on the last', async () => {
    const steps = async (total: number): Promise<number[]> => {
      const { curve } = await trainOnWorld(run({ steps: total, warmupSteps: 0 }));
      return curve.map(({ step }) => step);
    };
    expect(await steps(3)).toEqual([0, 1, 2, 3]);
    expect(await steps(41)).toHaveLength(CURVE_INTERVALS + 1);
    expect((await steps(41)).at(-1)).toBe(41);
  });

  test('is converged if MCC stayed within 0.01 over the last fifth: at rate 0 it does, early in training not', async () => {
    const still = await trainOnWorld(run({ learningRate: 0 }));
    expect(still.mccDrift ?? NaN).toBeLessThan(1e-4);
    expect(still.converged).toBe(true);
    const moving = await trainOnWorld(run({ steps: 100 }));
    const last = moving.curve.filter(({ step }) => step >= 80).map(({ mcc }) => mcc ?? NaN);
    expect(moving.mccDrift).toBe(Math.max(...last) - Math.min(...last));
    expect(moving.converged).toBe(false);
  });

  test('refuses a world of another width', async () => {
    await expect(trainOnWorld(run({ d_in: 10 }))).rejects.toThrow(
      "d_in: expected the world's 20, got 10",
    );
  });
});

test('rows are rounded up to whole batches', () => {
  expect(wholeBatches(20_000, 512)).toBe(20_480);
  expect(wholeBatches(512, 512)).toBe(512);
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { trainConfig } from '../../reference/train-config.ts';
import { openShards, type ActivationShards } from '../../training/activation-shards.ts';
import { evaluate } from '../../training/evaluate.ts';
import { openKernel } from '../../training/open-kernel.ts';
import { seededState } from '../../training/start-state.ts';
import type { InferenceReport, Trainer } from '../../training/trainer.ts';
import { d_in, madeRows, writeShard } from './made-activations.ts';

const folder = mkdtempSync(join(tmpdir(), 'evaluate-'));
let heldout: ActivationShards;
beforeAll(async () => {
  const paths = [writeShard(join(folder, 'a'), 70, 1), writeShard(join(folder, 'b'), 50, 2)];
  heldout = await openShards(paths, '--heldout');
});
afterAll(async () => {
  await heldout.close();
  rmSync(folder, { recursive: true });
});

const rows = [...madeRows(70, 1), ...madeRows(50, 2)];
const means = Array.from({ length: d_in }, (_, t) =>
  rows.reduce((sum, value, i) => sum + (i % d_in === t ? value / 120 : 0), 0),
);

/** A trainer that infers by the given rule and cannot be trained. */
function inferring(
  rule: (x: Float32Array, rows: number, operator: string) => InferenceReport,
): Trainer {
  return {
    step: () => Promise.reject(new Error('not asked for')),
    state: () => [],
    infer: (x, count, operator) => Promise.resolve(rule(x, count, operator)),
    dispose: () => undefined,
  };
}

/** Σ ‖x − constant‖². */
function errorOf(x: Float32Array, constant: readonly number[]): number {
  return x.reduce((sum, value, i) => sum + (value - constant[i % d_in]) ** 2, 0);
}

describe('explained variance', () => {
  test('is 1 for a perfect reconstruction and 0 for the mean of all rows, whatever the batch', async () => {
    for (const batch of [1, 7, 50, 120, 500]) {
      const trainer = inferring((x, _, operator) => ({
        squaredError: operator === 'batch' ? 0 : errorOf(x, means),
        active: 0,
        fired: [0],
      }));
      const { threshold, batch: perfect } = await evaluate(trainer, heldout, batch, 1);
      expect(perfect.explainedVariance).toBe(1);
      expect(Math.abs(threshold.explainedVariance)).toBeLessThan(1e-9);
    }
  });

  test('is below 0 for a reconstruction worse than the mean, and does not depend on the norm factor', async () => {
    const zeros = means.map(() => 0);
    const trainer = inferring((x) => ({ squaredError: errorOf(x, zeros), active: 0, fired: [0] }));
    const values: number[] = [];
    for (const factor of [1, 4, 1000]) {
      values.push((await evaluate(trainer, heldout, 32, factor)).threshold.explainedVariance);
    }
    expect(values[0]).toBeLessThan(0);
    for (const value of values) expect(value).toBeCloseTo(values[0], 5);
  });
});

test('L0 is the mean over all rows; a latent is dead if it fires in no batch', async () => {
  let call = 0;
  const trainer = inferring((_, count, operator) => ({
    squaredError: 0,
    active: operator === 'batch' ? 2 * count : count,
    fired: operator === 'batch' ? [call++ % 3 === 0 ? 1 : 0, 0, 5, 0] : [0, 1, 1, 1],
  }));
  const { threshold, batch } = await evaluate(trainer, heldout, 32, 1);
  expect(batch).toMatchObject({ l0: 2, dead: 2, rows: 120 });
  expect(threshold).toMatchObject({ l0: 1, dead: 1, rows: 120 });
});

test('an aborted signal stops it', async () => {
  const trainer = inferring(() => ({ squaredError: 0, active: 0, fired: [0] }));
  const signal = AbortSignal.abort(new Error('enough'));
  await expect(evaluate(trainer, heldout, 32, 1, signal)).rejects.toThrow('enough');
});

describe('trainers', () => {
  const config = trainConfig({
    d_in,
    d_sae: 32,
    k: 3,
    steps: 20,
    prefixes: [8, 32],
    learningRate: 0.01,
    warmupSteps: 2,
    thresholdStartStep: 4,
  });

  test.each(['reference', 'wasm', 'threads'] as const)(
    'inference on %s leaves the state alone, and equal states take equal steps',
    async (name) => {
      const kernel = await openKernel(name);
      const values = async (trainer: Trainer): Promise<unknown[]> =>
        Promise.all(
          trainer.state().map(async (tensor) => [tensor.name, [...(await tensor.read())]]),
        );
      const one = kernel.start(config, seededState(config, 3));
      const two = kernel.start(config, seededState(config, 3));
      for (let step = 0; step < 8; step++) {
        const x = madeRows(40, step);
        const before = await values(one);
        await one.infer(x, 40, 'batch');
        await one.infer(x, 17, 'threshold');
        expect(await values(one)).toEqual(before);
        expect(await one.step(x, 40)).toEqual(await two.step(x, 40));
        expect(await values(one)).toEqual(await values(two));
        expect(await values(one)).not.toEqual(before);
      }
      one.dispose();
      two.dispose();
    },
  );

  test('wasm and the reference infer alike from one state', async () => {
    const reports: InferenceReport[][] = [];
    for (const name of ['reference', 'wasm', 'threads'] as const) {
      const state = seededState(config, 3);
      const trainer = (await openKernel(name)).start(config, { ...state, threshold: 0.3 });
      const x = madeRows(40, 9);
      reports.push([await trainer.infer(x, 40, 'batch'), await trainer.infer(x, 40, 'threshold')]);
      trainer.dispose();
    }
    for (const operator of [0, 1]) {
      const [reference, port] = reports.map((pair) => pair[operator]);
      expect(port.active).toBe(reference.active);
      expect([...(port.fired as Uint8Array)]).toEqual([...(reference.fired as Uint8Array)]);
      expect(port.squaredError / reference.squaredError).toBeCloseTo(1, 5);
    }
    expect(reports[0][0].active).toBe(120);
  });
});

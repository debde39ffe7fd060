import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { createTrainer } from '../../gpu/trainer.ts';
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { trainConfig } from '../../reference/train-config.ts';
import { initialState } from '../../reference/train-step.ts';
import { UsageError } from '../../training/usage-error.ts';
import { createRng } from '../../synthetic/rng.ts';
import { randomMatrix } from './bounds.ts';
import { seeded } from './cases.ts';
import { onEachBackend } from './on-each-backend.ts';

const config = trainConfig({
  d_in: 10,
  d_sae: 32,
  k: 1.5,
  steps: 1000,
  prefixes: [8, 32],
  warmupSteps: 2,
  deadAfter: 100,
  thresholdStartStep: 1,
  learningRate: 1e-3,
});
const rows = 24;

function batches(count: number): Float32Array[] {
  const { uniform } = seeded('trainer');
  return Array.from({ length: count }, () =>
    Float32Array.from(randomMatrix(rows, config.d_in, uniform).data),
  );
}

onEachBackend('trainer', () => {
  test('fifty steps leave as many tensors as the first, and the loss falls', async () => {
    const trainer = createTrainer(config, initialState(config, createRng(1).uniform));
    const [x] = batches(1);
    const first = await trainer.step(x);
    const { numTensors, numBytes } = tf.memory();
    let last = first;
    for (let step = 1; step < 50; step++) last = await trainer.step(x);
    expect(tf.memory().numTensors).toBe(numTensors);
    expect(tf.memory().numBytes).toBe(numBytes);
    expect(last.step).toBe(49);
    expect(last.reconstructionLoss).toBeLessThan(first.reconstructionLoss);
    expect(last.l0).toBeCloseTo(1.5, 6);
    expect(last.levelLosses).toHaveLength(3);
    expect(last.threshold).toBeGreaterThan(0);
    trainer.dispose();
  });

  test('a state downloaded and uploaded again continues with the same numbers', async () => {
    const data = batches(8);
    const through = createTrainer(config, initialState(config, createRng(2).uniform));
    for (const x of data.slice(0, 4)) await through.step(x);
    const resumed = createTrainer(config, await through.download());
    for (const x of data.slice(4)) expect(await resumed.step(x)).toEqual(await through.step(x));
    expect(await resumed.download()).toEqual(await through.download());
    through.dispose();
    resumed.dispose();
  });

  test('a batch that is not finite throws, names the step, and leaves the state as it was', async () => {
    const before = tf.memory().numTensors;
    const trainer = createTrainer(config, initialState(config, createRng(3).uniform));
    const [good, bad] = batches(2);
    await trainer.step(good);
    const held = await trainer.download();
    for (const value of [NaN, Infinity, -Infinity]) {
      bad[7] = value;
      await expect(trainer.step(bad)).rejects.toThrow('step 1: expected a finite loss');
    }
    expect(await trainer.download()).toEqual(held);
    await trainer.step(good);
    trainer.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  test('a first threshold with nothing to take throws, as the reference does', async () => {
    const none = { ...config, k: 0 };
    const trainer = createTrainer(none, initialState(none, createRng(4).uniform));
    const [x] = batches(1);
    await trainer.step(x);
    await trainer.step(x);
    await expect(trainer.step(x)).rejects.toThrow('step 2: threshold: expected a positive latent');
    trainer.dispose();
  });

  test('values that are no whole number of rows are refused', async () => {
    const trainer = createTrainer(config, initialState(config, createRng(5).uniform));
    await expect(trainer.step(new Float32Array(11))).rejects.toThrow('rows of d_in = 10');
    trainer.dispose();
  });
});

test.each([
  ['auxk.scale = "twice"', { auxk: { ...dictionaryLearning.auxk, scale: 'twice' } }],
  ['select.slice = 3', { select: { ...dictionaryLearning.select, slice: 3 } }],
  ['sparsity.penalty = "l1"', { sparsity: { penalty: 'l1' } }],
])('a decision that the port does not know is refused by name: %s', (what, decision) => {
  const unknown = { ...dictionaryLearning, ...decision } as unknown as Dialect;
  const state = initialState(config, createRng(6).uniform);
  const make = (): unknown => createTrainer({ ...config, dialect: unknown }, state);
  expect(make).toThrow(UsageError);
  expect(make).toThrow(`decides ${what}`);
});

test('a limit for dead latents beyond what counts reach is refused', () => {
  const state = initialState(config, createRng(6).uniform);
  const make = (): unknown => createTrainer({ ...config, deadAfter: 2 ** 31 }, state);
  expect(make).toThrow('deadAfter: expected less than 1073741824');
});

import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { downloadMatrix, downloadParams, downloadVector } from '../../gpu/params.ts';
import { downloadState, disposeState, uploadState } from '../../gpu/train-state.ts';
import { disposeStep, trainStep } from '../../gpu/train-step.ts';
import * as reference from '../../reference/train-step.ts';
import { createRng } from '../../synthetic/rng.ts';
import { randomMatrix } from './bounds.ts';
import { upload } from './cases.ts';
import { onEachBackend } from './on-each-backend.ts';
import { requireClose, requireCloseParams, rows, runs, updated } from './step-cases.ts';

onEachBackend('train step', () => {
  test.each(Object.entries(runs))(
    'agrees with the reference in 30 steps, each from the state the reference reached: %s',
    async (name, config) => {
      // Fixed seed: where two acts nearly tie at the cut, float32 may select the other one.
      const { uniform } = createRng(11).split(name);
      let state = reference.initialState(config, uniform);
      let deadSeen = 0;
      for (let step = 0; step < 30; step++) {
        const x = randomMatrix(rows, config.d_in, uniform);
        const before = tf.memory().numTensors;
        const [device, xt] = [uploadState(state), upload(x)];
        const got = trainStep(device, xt, config);
        // The reference, too, starts from what float32 holds.
        const held = await downloadState(device);
        const want = reference.trainStep(held, x, config);
        const next = await downloadState(got.state);
        const at = `step ${step}: `;
        requireClose(`${at}latents`, await downloadMatrix(got.latents), want.latents);
        for (const [g, reconstruction] of got.reconstructions.entries()) {
          requireClose(
            `${at}x̂_${g}`,
            await downloadMatrix(reconstruction),
            want.reconstructions[g],
          );
        }
        requireClose(`${at}levels`, await downloadVector(got.levelLosses), want.levelLosses);
        requireClose(`${at}loss`, await downloadVector(got.loss), Float64Array.of(want.loss));
        expect(await downloadVector(got.dead)).toEqual(Float64Array.from(want.dead));
        if (got.auxk === null) expect(want.auxk[0].loss).toBe(0);
        requireCloseParams(`${at}gradient`, await downloadParams(got.gradients), want.gradients);
        requireCloseParams(
          `${at}clipped`,
          await downloadParams(got.clippedGradients),
          want.clippedGradients,
        );
        requireCloseParams(`${at}m`, next.m, want.state.m);
        requireCloseParams(`${at}v`, next.v, want.state.v);
        // Adam multiplies small differences between gradients near 0, so the new parameters are judged by the port's own
        // moments. The first step sets b_dec from the batch, and its rate is 0.
        const expected = updated(
          held.params,
          next.m,
          next.v,
          step,
          want.learningRate,
          config.dialect,
        );
        if (step === 0) expected.b_dec.set(want.state.params.b_dec);
        requireCloseParams(`${at}params`, next.params, expected);
        requireClose(
          `${at}threshold`,
          Float64Array.of(next.threshold),
          Float64Array.of(want.state.threshold),
        );
        expect(next.sinceFired).toEqual(want.state.sinceFired);
        expect(next.step).toBe(step + 1);
        expect(got.state.sinceFiredAtMost).toBeGreaterThanOrEqual(Math.max(...next.sinceFired));
        deadSeen += want.dead.reduce((sum, flag) => sum + flag, 0);
        disposeStep(got);
        disposeState(device);
        xt.dispose();
        expect(tf.memory().numTensors).toBe(before);
        state = want.state;
      }
      // The runs meant to have dead latents have them.
      expect(deadSeen > 0).toBe(name !== 'BatchTopK, none dead');
    },
  );

  test('leaves its input state as it was, and nothing behind but what it returns', async () => {
    const config = runs['BatchTopK, many latents dead'];
    const { uniform } = createRng(12);
    const state = uploadState(reference.initialState(config, uniform));
    const held = await downloadState(state);
    const x = upload(randomMatrix(rows, config.d_in, uniform));
    const before = tf.memory();
    for (let step = 0; step < 5; step++) disposeStep(trainStep(state, x, config));
    expect(await downloadState(state)).toEqual(held);
    expect(tf.memory().numTensors).toBe(before.numTensors);
    expect(tf.memory().numBytes).toBe(before.numBytes);
    disposeState(state);
    x.dispose();
  });
});

import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { downloadMatrix, downloadParams, downloadVector } from '../../gpu/params.ts';
import { downloadState, disposeState, uploadState } from '../../gpu/train-state.ts';
import { disposeStep, trainStep } from '../../gpu/train-step.ts';
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { normaliseRows } from '../../reference/decoder-norm.ts';
import type { Matrix } from '../../reference/matrix.ts';
import { paramNames, type SaeParams } from '../../reference/params.ts';
import { trainConfig } from '../../reference/train-config.ts';
import * as reference from '../../reference/train-step.ts';
import { createRng } from '../../synthetic/rng.ts';
import { randomMatrix, requireWithin } from './bounds.ts';
import { upload } from './cases.ts';
import { onEachBackend } from './on-each-backend.ts';

/** Decides almost everything the other way: what bm, sl and others choose. */
const otherwise: Dialect = {
  ...dictionaryLearning,
  name: 'otherwise',
  select: { score: 'acts-times-decoder-norm' },
  threshold: { start: 0, first: 'average', decay: 0.99, whenEmpty: 'keep' },
  loss: {
    emptyPrefix: true,
    overDimensions: 'mean',
    overLevels: 'sum',
    defaultWeight: 'one',
  },
  auxk: {
    values: 'pre-activations',
    levels: 'last',
    residual: 'attached',
    normaliser: 'none',
    overDimensions: 'mean',
    k: 4,
    scale: 'dead-fraction',
    whenNothingDecodes: 'is-zero',
  },
  deadLatents: { unit: 'steps', test: 'above', mask: 'previous-steps' },
  decoderNorm: {
    ...dictionaryLearning.decoderNorm,
    project: 'after-clip',
    normalise: 'before-update',
  },
  initialise: { ...dictionaryLearning.initialise, decoderNorm: 0.1, b_dec: 'zero' },
};

const base = { d_in: 16, d_sae: 48, steps: 200, prefixes: [8, 20, 48], warmupSteps: 4 };
const runs = {
  'BatchTopK, many latents dead': trainConfig({
    ...base,
    k: 0.7,
    deadAfter: 150,
    thresholdStartStep: 3,
  }),
  'BatchTopK, none dead': trainConfig({ ...base, k: 8, thresholdStartStep: 0 }),
  'TopK, one prefix': trainConfig({
    ...base,
    k: 1,
    selection: 'row',
    prefixes: [48],
    deadAfter: 40,
  }),
  'other decisions': trainConfig({
    ...base,
    dialect: otherwise,
    k: 1.3,
    deadAfter: 3,
    thresholdStartStep: 2,
  }),
};
const rows = 40;

/** Relative to the largest value: far below what a wrong term would cause, far above float32's rounding. */
const close = 2e-5;

function requireClose(what: string, got: Float64Array | Matrix, want: Float64Array | Matrix): void {
  const data = want instanceof Float64Array ? want : want.data;
  const largest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
  requireWithin(what, got, want, () => close * largest);
}

function requireCloseParams(what: string, got: SaeParams, want: SaeParams): void {
  for (const name of paramNames) requireClose(`${what}.${name}`, got[name], want[name]);
}

/** Parameters after Adam's update from these moments, and the dialect's unit rows. */
function updated(
  old: SaeParams,
  m: SaeParams,
  v: SaeParams,
  step: number,
  rate: number,
  dialect: Dialect,
): SaeParams {
  const { normalise, normaliseEpsilon } = dialect.decoderNorm;
  const unit = (p: SaeParams): SaeParams => ({
    ...p,
    W_dec: normaliseRows(p.W_dec, normaliseEpsilon),
  });
  const { beta1, beta2, epsilon } = dialect.adam;
  const [c1, c2] = [1 - beta1 ** (step + 1), 1 - beta2 ** (step + 1)];
  const moved = (w: Float64Array, first: Float64Array, second: Float64Array): Float64Array =>
    w.map((value, i) => value - ((rate / c1) * first[i]) / (Math.sqrt(second[i] / c2) + epsilon));
  const from = normalise === 'before-update' ? unit(old) : old;
  const after: SaeParams = {
    W_enc: { ...from.W_enc, data: moved(from.W_enc.data, m.W_enc.data, v.W_enc.data) },
    b_enc: moved(from.b_enc, m.b_enc, v.b_enc),
    W_dec: { ...from.W_dec, data: moved(from.W_dec.data, m.W_dec.data, v.W_dec.data) },
    b_dec: moved(from.b_dec, m.b_dec, v.b_dec),
  };
  return normalise === 'after-update' ? unit(after) : after;
}

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

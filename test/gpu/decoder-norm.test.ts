import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { foldDecoderNorm, normaliseRows, projectGradient } from '../../gpu/decoder-norm.ts';
import { downloadMatrix, downloadParams, downloadVector, uploadParams } from '../../gpu/params.ts';
import * as reference from '../../reference/decoder-norm.ts';
import { row } from '../../reference/matrix.ts';
import { paramNames, valuesOf } from '../../reference/params.ts';
import { gamma, randomMatrix, randomVector, requireWithin, underflow } from './bounds.ts';
import { randomParams, seeded, tensorsOf, upload } from './cases.ts';
import { onEachBackend } from './on-each-backend.ts';

const [d_sae, d_in] = [33, 21];

onEachBackend('decoder rows', (profile) => {
  const unitError = gamma(d_in + 2, profile) / 2 + 2 * profile.u_div + 2 * profile.u_out;

  test('are rescaled within the bound of a norm of d_in values; a zero row stays zero', async () => {
    const W_dec = randomMatrix(d_sae, d_in, seeded('normalise').uniform);
    row(W_dec, 3).fill(0);
    const W = upload(W_dec);
    const before = tf.memory().numTensors;
    const got = normaliseRows(W, 2 ** -23);
    expect(tf.memory().numTensors).toBe(before + 1);
    const want = reference.normaliseRows(W_dec, 2 ** -23);
    requireWithin('W_dec', await downloadMatrix(got), want, (i) => {
      return unitError * Math.abs(want.data[i]) + underflow(1);
    });
    tf.dispose([W, got]);
  });

  test('lose the gradient parallel to them within the bound of a dot product', async () => {
    const { uniform } = seeded('project');
    const [gradient, W_dec] = [0, 1].map(() => randomMatrix(d_sae, d_in, uniform));
    const [g, W] = [upload(gradient), upload(W_dec)];
    const before = tf.memory().numTensors;
    const got = projectGradient(g, W, 1e-6);
    expect(tf.memory().numTensors).toBe(before + 1);
    const want = reference.projectGradient(gradient, W_dec, 1e-6);
    const unit = reference.normaliseRows(W_dec, 1e-6);
    requireWithin('gradient', await downloadMatrix(got), want, (i) => {
      const j = Math.floor(i / d_in);
      const parallel = row(gradient, j).reduce(
        (sum, value, t) => sum + Math.abs(value * unit.data[j * d_in + t]),
        0,
      );
      const term = (gamma(d_in + 4, profile) + 2 * unitError) * parallel * Math.abs(unit.data[i]);
      return term + 4 * profile.u_out * Math.abs(gradient.data[i]);
    });
    tf.dispose([g, W, got]);
  });

  test('fold into the encoder and thresholds within the bound of a norm; a zero row stays zero and finite', async () => {
    const { uniform } = seeded('fold');
    const params = {
      ...randomParams(d_in, d_sae, uniform),
      threshold: randomVector(d_sae, uniform),
    };
    row(params.W_dec, 3).fill(0);
    const device = uploadParams(params);
    const thresholds = tf.tensor1d(Float32Array.from(params.threshold));
    const before = tf.memory().numTensors;
    const got = foldDecoderNorm(device, thresholds);
    expect(tf.memory().numTensors).toBe(before + 5);
    const want = reference.foldDecoderNorm(params);
    const folded = await downloadParams(got.params);
    const bound = (value: number): number => unitError * Math.abs(value) + underflow(1);
    for (const name of paramNames) {
      const expected = valuesOf(want, name);
      requireWithin(name, valuesOf(folded, name), expected, (i) => bound(expected[i]));
    }
    const { threshold } = want;
    const gates = await downloadVector(got.threshold);
    requireWithin('threshold', gates, threshold!, (j) => bound(threshold![j]));
    expect([...row(folded.W_dec, 3)]).toEqual(new Array(d_in).fill(0));
    tf.dispose([...tensorsOf(device), thresholds, ...tensorsOf(got.params), got.threshold]);
  });
});

import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { levelErrors, levelLosses, reconstructionLoss } from '../../gpu/loss.ts';
import { downloadMatrix, downloadVector } from '../../gpu/params.ts';
import { dictionaryLearning } from '../../reference/dialects.ts';
import * as reference from '../../reference/loss.ts';
import { gamma, randomMatrix, randomVector, requireWithin } from './bounds.ts';
import { seeded, upload } from './cases.ts';
import { onEachBackend } from './on-each-backend.ts';

const [rows, d_in, levels] = [19, 23, 3];

onEachBackend('loss', (profile) => {
  test('errors, level losses and their weighted sum are within the bounds of their sums', async () => {
    const { uniform } = seeded('loss');
    const x = randomMatrix(rows, d_in, uniform);
    const b_dec = randomVector(d_in, uniform);
    const reconstructions = Array.from({ length: levels }, () => randomMatrix(rows, d_in, uniform));
    const inputs = [x, ...reconstructions].map(upload);
    const bt = tf.tensor1d(Float32Array.from(b_dec));
    const before = tf.memory().numTensors;

    const errors = levelErrors(inputs[0], bt, inputs.slice(1));
    const wantErrors = reference.levelErrors(x, b_dec, reconstructions);
    const gotErrors = await Promise.all(errors.map(downloadMatrix));
    gotErrors.forEach((got, g) => {
      const want = wantErrors[g];
      requireWithin(`E_${g}`, got, want, (i) => profile.u_out * Math.abs(want.data[i]));
    });

    // Each stage on the port's own inputs to it.
    const losses = levelLosses(errors);
    const gotLosses = await downloadVector(losses);
    const wantLosses = reference.levelLosses(gotErrors);
    const relative = gamma(rows * d_in + 4, profile);
    requireWithin('L', gotLosses, wantLosses, (g) => relative * wantLosses[g]);

    const coefficients = reference.levelCoefficients([0.5, 0.25, 1], d_in, dictionaryLearning);
    const total = reconstructionLoss(losses, coefficients);
    const want = reference.reconstructionLoss(gotLosses, coefficients);
    requireWithin('total', await downloadVector(total), Float64Array.of(want), () => {
      return gamma(levels + 3, profile) * want;
    });
    expect(tf.memory().numTensors).toBe(before + levels + 3);
    tf.dispose([...inputs, bt, ...errors, losses, total]);
  });
});

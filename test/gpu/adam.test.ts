import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { adamUpdate, clipGradients, gradientNorm } from '../../gpu/adam.ts';
import { downloadParams, downloadVector, uploadParams } from '../../gpu/params.ts';
import * as reference from '../../reference/adam.ts';
import { dictionaryLearning } from '../../reference/dialects.ts';
import { map } from '../../reference/matrix.ts';
import { paramNames, type SaeParams } from '../../reference/params.ts';
import { gamma, requireWithin } from './bounds.ts';
import { randomParams, seeded, tensorsOf } from './cases.ts';
import { onEachBackend } from './on-each-backend.ts';

const [d_in, d_sae] = [12, 31];
const count = 2 * d_in * d_sae + d_in + d_sae;

function values(params: SaeParams, name: (typeof paramNames)[number]): Float64Array {
  const param = params[name];
  return param instanceof Float64Array ? param : param.data;
}

function scaled(params: SaeParams, f: (value: number) => number): SaeParams {
  const to = (value: number): number => Math.fround(f(value));
  return {
    W_enc: map(params.W_enc, to),
    b_enc: params.b_enc.map(to),
    W_dec: map(params.W_dec, to),
    b_dec: params.b_dec.map(to),
  };
}

onEachBackend('adam', (profile) => {
  test('the norm and the clipped gradients are within the bound of a sum of squares', async () => {
    const gradients = randomParams(d_in, d_sae, seeded('clip').uniform);
    const pt = uploadParams(gradients);
    const relative = gamma(count + 10, profile) / 2 + 3 * profile.u_out + 2 * profile.u_div;
    const norm = gradientNorm(pt);
    const want = reference.gradientNorm(gradients);
    requireWithin('norm', await downloadVector(norm), Float64Array.of(want), () => relative * want);
    // Both sides of the limit: a norm that is clipped, and one that is not.
    for (const maxNorm of [want / 3, want * 2]) {
      const before = tf.memory().numTensors;
      const got = clipGradients(pt, maxNorm);
      expect(tf.memory().numTensors).toBe(before + 4);
      const clipped = reference.clipGradients(gradients, maxNorm);
      const read = await downloadParams(got);
      for (const name of paramNames) {
        const w = values(clipped, name);
        requireWithin(name, values(read, name), w, (i) => relative * 2 * Math.abs(w[i]));
      }
      tf.dispose(tensorsOf(got));
    }
    tf.dispose([norm, ...tensorsOf(pt)]);
  });

  test.each([0, 1, 999])(
    'moments and the update after %d updates are within their rounding',
    async (step) => {
      const { uniform } = seeded(`adam ${step}`);
      const [params, gradients] = [0, 1].map(() => randomParams(d_in, d_sae, uniform));
      const m = scaled(randomParams(d_in, d_sae, uniform), (value) => value * 0.1);
      const v = scaled(randomParams(d_in, d_sae, uniform), (value) => value * value);
      const rate = 3e-4;
      const device = [params, gradients, m, v].map(uploadParams);
      const before = tf.memory().numTensors;
      const [p, g, mt, vt] = device;
      const got = adamUpdate(p, g, mt, vt, step, rate, dictionaryLearning);
      expect(tf.memory().numTensors).toBe(before + 12);
      const [gotParams, gotM, gotV] = await Promise.all(
        [got.params, got.m, got.v].map(downloadParams),
      );
      const want = reference.adamUpdate(params, gradients, m, v, step, rate, dictionaryLearning);
      const { beta1, beta2, epsilon } = dictionaryLearning.adam;
      const u = profile.u_out;
      for (const name of paramNames) {
        const [gv, mv, vv] = [values(gradients, name), values(m, name), values(v, name)];
        requireWithin(`m.${name}`, values(gotM, name), values(want.m, name), (i) => {
          return 4 * u * (Math.abs(mv[i]) + Math.abs(gv[i]));
        });
        requireWithin(`v.${name}`, values(gotV, name), values(want.v, name), (i) => {
          return 4 * u * (vv[i] + gv[i] * gv[i]) + 2 ** -126;
        });
        // The update from the port's own moments.
        const [m1, v1] = [values(gotM, name), values(gotV, name)];
        const delta = m1.map(
          (first, i) =>
            ((rate / (1 - beta1 ** (step + 1))) * first) /
            (Math.sqrt(v1[i] / (1 - beta2 ** (step + 1))) + epsilon),
        );
        const updated = values(params, name).map((w, i) => w - delta[i]);
        requireWithin(`params.${name}`, values(gotParams, name), updated, (i) => {
          const relative = 8 * u + 4 * profile.u_div;
          return relative * Math.abs(delta[i]) + u * Math.abs(updated[i]) + 2 ** -126;
        });
      }
      tf.dispose([...device, got.params, got.m, got.v].flatMap(tensorsOf));
    },
  );
});

import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { gradients, suffixSums } from '../../gpu/gradients.ts';
import { downloadMatrix, downloadParams, uploadParams } from '../../gpu/params.ts';
import { auxk } from '../../reference/auxk.ts';
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { encoderInput, relu } from '../../reference/encode.ts';
import * as reference from '../../reference/gradients.ts';
import { scale, type Matrix } from '../../reference/matrix.ts';
import { paramNames, type SaeParams } from '../../reference/params.ts';
import { batchTopK } from '../../reference/select.ts';
import { gamma, magnitudes, randomMatrix, requireWithin, underflow } from './bounds.ts';
import { randomParams, seeded, tensorsOf, upload } from './cases.ts';
import { onEachBackend } from './on-each-backend.ts';

const [rows, d_in, d_sae] = [12, 14, 70];
const prefixes = [5, 30, d_sae];
const coefficients = Float64Array.of(0.125, 0.5, 0.25, 1);

const attached: Dialect = {
  ...dictionaryLearning,
  auxk: { ...dictionaryLearning.auxk, residual: 'attached', values: 'pre-activations', k: 3 },
};
const plain: Dialect = {
  ...dictionaryLearning,
  encode: { subtractsDecoderBias: false, usesEncoderBias: false, refinement: 0 },
};

/** Few enough latents for the host's loops over them, and too many. */
const cases: readonly [what: string, k: number, deadShare: number, dialect: Dialect][] = [
  ['few latents, none dead', 2.5, 0, dictionaryLearning],
  ['few latents, few dead', 2, 0.05, dictionaryLearning],
  ['few latents, most dead', 2, 0.9, dictionaryLearning],
  ['many latents, some dead', 30, 0.3, dictionaryLearning],
  ['no latents, some dead', 0, 0.3, dictionaryLearning],
  ['residual attached, pre-activations', 2, 0.04, attached],
  ['residual attached, many latents', 30, 0.5, attached],
  ['no biases', 2, 0.05, plain],
];

function forwardOf(k: number, deadShare: number, dialect: Dialect, params: SaeParams) {
  const { uniform } = seeded('gradients');
  const pre = randomMatrix(rows, d_sae, uniform);
  const acts = relu(pre);
  const errors = Array.from({ length: 4 }, () => randomMatrix(rows, d_in, uniform));
  const dead = Uint8Array.from({ length: d_sae }, () => Number(uniform() < deadShare));
  const values = dialect.auxk.values === 'acts' ? acts : pre;
  const aux = auxk(randomMatrix(rows, d_in, uniform), values, params.W_dec, dead, 0.5, dialect);
  // As float32 holds it, so that both sides receive the same.
  const gradient = { ...aux.gradient, data: aux.gradient.data.map(Math.fround) };
  const x = randomMatrix(rows, d_in, uniform);
  return {
    x,
    pre,
    latents: batchTopK(acts, k),
    errors,
    auxk: [{ ...aux, gradient, level: prefixes.length }],
  };
}

/** Every sum of the gradients with the sizes of its terms: what their bounds are relative to. */
function sizes(forward: reference.Forward, params: SaeParams, dialect: Dialect): SaeParams {
  const { pre, latents, errors } = forward;
  const input = magnitudes(encoderInput(forward.x, params, dialect));
  const auxk = forward.auxk.map((term) => ({
    ...term,
    latents: magnitudes(term.latents),
    gradient: magnitudes(term.gradient),
  }));
  const size = reference.gradients(
    { x: input, pre, latents, errors: errors.map(magnitudes), auxk },
    {
      // b_dec's gradient is a difference: the sign makes it the sum of both sizes.
      W_enc: scale(magnitudes(params.W_enc), -1),
      b_enc: params.b_enc,
      W_dec: magnitudes(params.W_dec),
      b_dec: new Float64Array(d_in),
    },
    prefixes,
    coefficients,
    dialect,
  );
  return size;
}

onEachBackend('gradients', (profile) => {
  test.each(cases)(
    'of all four parameters are within the bounds of their sums: %s',
    async (_what, k, deadShare, dialect) => {
      const params = randomParams(d_in, d_sae, seeded('params').uniform);
      const forward = forwardOf(k, deadShare, dialect, params);
      const [auxk] = forward.auxk;
      const chosen: Matrix = {
        rows,
        cols: d_sae,
        data: Float64Array.from(auxk.chosen),
      };
      const device = {
        x: upload(forward.x),
        pre: upload(forward.pre),
        latents: upload(forward.latents),
        errors: forward.errors.map(upload),
        auxk: {
          loss: tf.scalar(0),
          chosen: upload(chosen),
          latents: upload(auxk.latents),
          gradient: upload(auxk.gradient),
        },
      };
      const pt = uploadParams(params);
      const before = tf.memory().numTensors;
      const got = gradients(device, pt, prefixes, coefficients, dialect);
      expect(tf.memory().numTensors).toBe(before + 4);

      const want = reference.gradients(forward, params, prefixes, coefficients, dialect);
      const size = sizes(forward, params, dialect);
      // The longest chain: sums over levels, d_in, rows and d_sae one after the other.
      const terms = gamma(2 * (4 + d_in + 2 * rows + d_sae) + 8, profile);
      const values = await downloadParams(got);
      for (const name of paramNames) {
        const magnitude = size[name] instanceof Float64Array ? size[name] : size[name].data;
        requireWithin(name, values[name], want[name], (i) => {
          return terms * Math.abs(magnitude[i]) + underflow(d_sae);
        });
      }
      tf.dispose([device, ...tensorsOf(pt), ...tensorsOf(got)]);
    },
  );

  test('of a latent that no row selects are exactly 0', async () => {
    const params = randomParams(d_in, d_sae, seeded('params').uniform);
    const forward = forwardOf(2, 0, dictionaryLearning, params);
    const [x, pre, latents] = [forward.x, forward.pre, forward.latents].map(upload);
    const errors = forward.errors.map(upload);
    const pt = uploadParams(params);
    const before = tf.memory().numTensors;
    const got = gradients(
      { x, pre, latents, errors, auxk: null },
      pt,
      prefixes,
      coefficients,
      dictionaryLearning,
    );
    expect(tf.memory().numTensors).toBe(before + 4);
    const { W_enc, W_dec, b_enc } = await downloadParams(got);
    for (let j = 0; j < d_sae; j++) {
      const selected = forward.latents.data.some((value, i) => i % d_sae === j && value > 0);
      if (selected) continue;
      expect(b_enc[j]).toBe(0);
      for (let i = 0; i < d_in; i++) {
        expect(Math.abs(W_enc.data[i * d_sae + j])).toBe(0);
        expect(Math.abs(W_dec.data[j * d_in + i])).toBe(0);
      }
    }
    tf.dispose([x, pre, latents, ...errors, ...tensorsOf(pt), ...tensorsOf(got)]);
  });

  test('suffix sums are within the bound of a sum of levels', async () => {
    const { uniform } = seeded('suffix');
    const errors = Array.from({ length: 4 }, () => randomMatrix(rows, d_in, uniform));
    const device = errors.map(upload);
    const before = tf.memory().numTensors;
    const got = suffixSums(device, coefficients);
    expect(tf.memory().numTensors).toBe(before + 4);
    const want = reference.suffixSums(errors, coefficients);
    const size = reference.suffixSums(errors.map(magnitudes), coefficients);
    for (const [g, sum] of got.entries()) {
      requireWithin(`T_${g}`, await downloadMatrix(sum), want[g], (i) => {
        return gamma(8, profile) * size[g].data[i] + underflow(4);
      });
    }
    tf.dispose([...device, ...got]);
  });
});

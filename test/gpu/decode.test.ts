import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { decode, decodePrefixes } from '../../gpu/decode.ts';
import { downloadMatrix, uploadParams } from '../../gpu/params.ts';
import * as reference from '../../reference/decode.ts';
import { relu } from '../../reference/encode.ts';
import type { Matrix } from '../../reference/matrix.ts';
import { batchTopK } from '../../reference/select.ts';
import { gamma, magnitudes as positive, randomMatrix, requireWithin, underflow } from './bounds.ts';
import { randomParams, seeded, tensorsOf, upload } from './cases.ts';
import { onEachBackend } from './on-each-backend.ts';

const [rows, d_in, d_sae] = [9, 14, 80];
const prefixes = [1, 9, 40, d_sae];

/** Few enough for the host's sums over what is not zero, and too many. */
function latentsOf(k: number): Matrix {
  return batchTopK(relu(randomMatrix(rows, d_sae, seeded('decode').uniform)), k);
}

onEachBackend('decode', (profile) => {
  test.each([0, 1.5, 30])(
    'every prefix is within the bound of a dot product of d_sae terms: k = %d',
    async (k) => {
      const latents = latentsOf(k);
      const params = randomParams(d_in, d_sae, seeded('params').uniform);
      const [lt, pt] = [upload(latents), uploadParams(params)];
      const before = tf.memory().numTensors;
      const got = decodePrefixes(lt, pt, prefixes);
      expect(tf.memory().numTensors).toBe(before + prefixes.length);
      const want = reference.decodePrefixes(latents, params, prefixes);
      const size = reference.decodePrefixes(
        positive(latents),
        { ...params, W_dec: positive(params.W_dec), b_dec: params.b_dec.map(Math.abs) },
        prefixes,
      );
      const terms = gamma(d_sae + prefixes.length + 1, profile);
      for (const [g, reconstruction] of got.entries()) {
        requireWithin(
          `prefix ${prefixes[g]}`,
          await downloadMatrix(reconstruction),
          want[g],
          (i) => terms * size[g].data[i] + underflow(d_sae),
        );
      }
      const full = decode(lt, pt);
      requireWithin(
        'full',
        await downloadMatrix(full),
        reference.decode(latents, params),
        (i) => terms * size[prefixes.length - 1].data[i] + underflow(d_sae),
      );
      tf.dispose([...got, full, lt, ...tensorsOf(pt)]);
    },
  );

  test('prefixes and latents that do not fit throw', () => {
    const pt = uploadParams(randomParams(d_in, d_sae, seeded('shapes').uniform));
    const lt = tf.zeros<tf.Rank.R2>([rows, d_sae - 1]);
    expect(() => decodePrefixes(lt, pt, prefixes)).toThrow(`expected d_sae = ${d_sae} columns`);
    expect(() => decodePrefixes(lt, pt, [3])).toThrow('expected the last to be d_sae');
    tf.dispose([lt, ...tensorsOf(pt)]);
  });
});

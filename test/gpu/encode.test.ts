import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { encode, preActivations, relu } from '../../gpu/encode.ts';
import { downloadMatrix, uploadParams } from '../../gpu/params.ts';
import { dictionaryLearning } from '../../reference/dialects.ts';
import * as reference from '../../reference/encode.ts';
import { fromRows, multiply } from '../../reference/matrix.ts';
import { gamma, magnitudes, randomMatrix, requireWithin, underflow } from './bounds.ts';
import { randomParams, seeded, tensorsOf, upload } from './cases.ts';
import { onEachBackend } from './on-each-backend.ts';

const [rows, d_in, d_sae] = [13, 30, 47];

onEachBackend('encode', (profile) => {
  test.each([
    { subtractsDecoderBias: true, usesEncoderBias: true, refinement: 0 },
    { subtractsDecoderBias: false, usesEncoderBias: false, refinement: 0 },
  ])('is within the bound of a dot product of d_in + 2 terms: %o', async (choice) => {
    const { uniform } = seeded('encode');
    const dialect = { ...dictionaryLearning, encode: choice };
    const params = randomParams(d_in, d_sae, uniform);
    const x = randomMatrix(rows, d_in, uniform);
    const [xt, pt] = [upload(x), uploadParams(params)];
    const before = tf.memory().numTensors;
    const got = encode(xt, pt, dialect);
    expect(tf.memory().numTensors).toBe(before + 1);

    const magnitude = multiply(
      magnitudes(reference.encoderInput(x, params, dialect)),
      magnitudes(params.W_enc),
    );
    const bound = (i: number): number =>
      gamma(d_in + 2, profile) * (magnitude.data[i] + Math.abs(params.b_enc[i % d_sae])) +
      underflow(d_in);
    requireWithin('acts', await downloadMatrix(got), reference.encode(x, params, dialect), bound);
    tf.dispose([got, xt, ...tensorsOf(pt)]);
  });

  test('relu keeps positive values, and no value that is not finite becomes an ordinary number', async () => {
    const values = [[3, -2, 0, NaN, Infinity, -Infinity]];
    const input = tf.tensor2d(Float32Array.from(values[0]), [1, 6]);
    const got = relu(input);
    expect([...(await got.data())]).toEqual([3, 0, 0, NaN, NaN, NaN]);
    tf.dispose([input, got]);
    expect(reference.relu(fromRows([[3, -2, 0]])).data).toEqual(Float64Array.of(3, 0, 0));
  });

  test('x of another width, or without rows, throws', () => {
    const pt = uploadParams(randomParams(d_in, d_sae, seeded('shapes').uniform));
    const wide = tf.zeros<tf.Rank.R2>([2, d_in + 1]);
    const none = tf.zeros<tf.Rank.R2>([0, d_in]);
    expect(() => preActivations(wide, pt, dictionaryLearning)).toThrow(
      `x: expected d_in = ${d_in} columns, got ${d_in + 1}`,
    );
    expect(() => preActivations(none, pt, dictionaryLearning)).toThrow('at least one row, got 0');
    tf.dispose([wide, none, ...tensorsOf(pt)]);
  });
});

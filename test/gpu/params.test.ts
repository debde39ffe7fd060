import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { downloadParams, initialiseParams, uploadMatrix, uploadParams } from '../../gpu/params.ts';
import { dictionaryLearning } from '../../reference/dialects.ts';
import * as reference from '../../reference/params.ts';
import { createRng } from '../../synthetic/rng.ts';
import { randomParams, seeded, tensorsOf } from './cases.ts';
import { onEachBackend } from './on-each-backend.ts';

onEachBackend('parameters', () => {
  test('come back as they were uploaded', async () => {
    const params = randomParams(5, 8, seeded('params').uniform);
    const device = uploadParams(params);
    expect(await downloadParams(device)).toEqual(params);
    tf.dispose(tensorsOf(device));
  });

  test('start as the reference from the same seed, rounded to float32', async () => {
    const device = initialiseParams(5, 8, createRng(7).uniform, dictionaryLearning);
    const want = reference.initialiseParams(
      reference.drawInitial(5, 8, createRng(7).uniform, dictionaryLearning),
      dictionaryLearning,
    );
    const got = await downloadParams(device);
    expect(got.W_dec.data).toEqual(want.W_dec.data.map(Math.fround));
    expect(got.W_enc.data).toEqual(want.W_enc.data.map(Math.fround));
    tf.dispose(tensorsOf(device));
  });

  test('change no more when the array they came from changes', async () => {
    const values = Float32Array.of(1, 2);
    const tensor = uploadMatrix(values, 1, 2);
    values[0] = 9;
    expect([...(await tensor.data())]).toEqual([1, 2]);
    tensor.dispose();
  });

  test('values that are not finite, and shapes that do not fit, are refused', () => {
    const params = randomParams(5, 8, seeded('params').uniform);
    params.b_enc[2] = NaN;
    expect(() => uploadParams(params)).toThrow('b_enc: expected finite values, got NaN at [2]');
    expect(() => uploadParams({ ...params, b_enc: new Float64Array(7) })).toThrow('b_enc 8');
  });
});

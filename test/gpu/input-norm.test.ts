import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { foldInputScale } from '../../gpu/input-norm.ts';
import { downloadParams, downloadVector, uploadParams } from '../../gpu/params.ts';
import { dictionaryLearning, saelens, withDecision } from '../../reference/dialects.ts';
import * as reference from '../../reference/input-norm.ts';
import { paramNames, valuesOf } from '../../reference/params.ts';
import { requireWithin } from './bounds.ts';
import { randomParams, seeded, tensorsOf } from './cases.ts';
import { onEachBackend } from './on-each-backend.ts';

onEachBackend('the input scale', (profile) => {
  test.each([
    ['into biases', dictionaryLearning],
    ['into weights and a threshold of rescaled acts', saelens],
    ['into weights alone', withDecision(saelens, 'select.score', 'acts')],
  ])('folds %s within two roundings and a division', async (_, dialect) => {
    const params = randomParams(7, 13, seeded('fold-input-scale').uniform);
    for (const [threshold, c] of [
      [0.75, 3.5],
      [0, 0.3],
      [-1, 1 / 3],
    ]) {
      const [device, cut] = [uploadParams(params), tf.scalar(threshold)];
      const before = tf.memory().numTensors;
      const got = foldInputScale(device, cut, c, dialect);
      expect(tf.memory().numTensors).toBe(before + 5);
      const want = reference.foldInputScale(params, threshold, c, dialect);
      const bound = (value: number): number =>
        (2 * profile.u_out + profile.u_div) * 1.01 * Math.abs(value);
      const folded = await downloadParams(got.params);
      for (const name of paramNames) {
        const expected = valuesOf(want.params, name);
        requireWithin(name, valuesOf(folded, name), expected, (i) => bound(expected[i]));
      }
      const [value] = await downloadVector(got.threshold);
      requireWithin('threshold', value, want.threshold, () => bound(want.threshold));
      tf.dispose([...tensorsOf(device), cut, ...tensorsOf(got.params), got.threshold]);
    }
  });

  test('of a threshold that was never set stays -1 in biases, whatever the scale', async () => {
    const params = uploadParams(randomParams(2, 3, seeded('unset').uniform));
    const unset = tf.scalar(-1);
    const got = foldInputScale(params, unset, 0.125, dictionaryLearning);
    expect([...(await downloadVector(got.threshold))]).toEqual([-1]);
    tf.dispose([...tensorsOf(params), unset, ...tensorsOf(got.params), got.threshold]);
  });
});

import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { downloadVector } from '../../gpu/params.ts';
import { smallestSelected, updateThreshold } from '../../gpu/threshold.ts';
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { relu } from '../../reference/encode.ts';
import { fromRows, matrix, type Matrix } from '../../reference/matrix.ts';
import { batchTopK } from '../../reference/select.ts';
import * as reference from '../../reference/threshold.ts';
import { randomMatrix, requireWithin } from './bounds.ts';
import { seeded, upload } from './cases.ts';
import { onEachBackend } from './on-each-backend.ts';

const averaging: Dialect = {
  ...dictionaryLearning,
  threshold: { start: 0, first: 'average', decay: 0.99, whenEmpty: 'keep' },
};

async function updated(threshold: number, latents: Matrix, dialect: Dialect): Promise<number> {
  const [lt, tt] = [upload(latents), tf.scalar(threshold)];
  const before = tf.memory().numTensors;
  const smallest = smallestSelected(lt);
  const got = updateThreshold(tt, smallest, dialect);
  expect(tf.memory().numTensors).toBe(before + 2);
  const [value] = await downloadVector(got);
  tf.dispose([lt, tt, smallest, got]);
  return value;
}

onEachBackend('threshold', (profile) => {
  const latents = batchTopK(relu(randomMatrix(20, 60, seeded('threshold').uniform)), 3);
  const none = matrix(4, 5);

  test.each([dictionaryLearning, averaging])(
    'first and later updates are within three roundings of the reference: %o',
    async (dialect) => {
      for (const before of [-1, 0, 0.25, 0.75]) {
        if (before < 0 && dialect.threshold.first === 'average') continue;
        for (const batch of [latents, none]) {
          if (before < 0 && batch === none) continue;
          const smallest = reference.smallestSelected(batch);
          const want = reference.updateThreshold(before, smallest, dialect);
          requireWithin('threshold', await updated(before, batch, dialect), want, () => {
            return 4 * profile.u_out * (Math.abs(before) + (smallest ?? 0));
          });
        }
      }
    },
  );

  test('the smallest selected score may be another than the smallest latent', async () => {
    const [lt, scores] = [fromRows([[2, 0, 1]]), fromRows([[3, 1, 5]])];
    const device = [lt, scores].map(upload);
    const got = smallestSelected(device[0], device[1]);
    expect((await downloadVector(got))[0]).toBe(reference.smallestSelected(lt, scores));
    tf.dispose([...device, got]);
  });

  test('a first update with nothing to assign, which the reference refuses, is NaN', async () => {
    expect(() => reference.updateThreshold(-1, null, dictionaryLearning)).toThrow('got none');
    expect(await updated(-1, none, dictionaryLearning)).toBeNaN();
  });
});

import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { deadMask, mostSinceFired, updateSinceFired } from '../../gpu/dead-latents.ts';
import { downloadVector } from '../../gpu/params.ts';
import * as reference from '../../reference/dead-latents.ts';
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { relu } from '../../reference/encode.ts';
import { batchTopK } from '../../reference/select.ts';
import { randomMatrix } from './bounds.ts';
import { seeded, upload } from './cases.ts';
import { onEachBackend } from './on-each-backend.ts';

const [rows, d_sae] = [8, 50];
const steps: Dialect = {
  ...dictionaryLearning,
  deadLatents: { unit: 'steps', test: 'above', mask: 'previous-steps' },
};

async function counted(start: Float64Array, k: number, dialect: Dialect) {
  const latents = batchTopK(relu(randomMatrix(rows, d_sae, seeded('dead').uniform)), k);
  const [lt, counts] = [upload(latents), tf.tensor1d(Int32Array.from(start), 'int32')];
  const before = tf.memory().numTensors;
  const next = updateSinceFired(counts, lt, dialect);
  const dead = deadMask(next, 1000, dialect);
  expect(tf.memory().numTensors).toBe(before + 2);
  const read = { counts: await downloadVector(next), dead: await downloadVector(dead) };
  tf.dispose([lt, counts, next, dead]);
  return { ...read, latents };
}

onEachBackend('tokens since fired', () => {
  test.each([dictionaryLearning, steps])(
    'are counted, and latents are dead, exactly as in the reference: %o',
    async (dialect) => {
      // Counts around the limit of 1,000, and one that float32 could not count on from.
      const start = Float64Array.from({ length: d_sae }, (_, j) => 985 + j);
      start[0] = 2 ** 24 + 1;
      const { counts, dead, latents } = await counted(start, 1.5, dialect);
      const want = reference.updateSinceFired(start, latents, dialect);
      expect(counts).toEqual(want);
      expect(dead).toEqual(Float64Array.from(reference.deadMask(want, 1000, dialect)));
      expect(counts).toContain(0);
    },
  );

  test('stop at their limit instead of overflowing', async () => {
    const start = new Float64Array(d_sae).fill(mostSinceFired - 1);
    const { counts } = await counted(start, 0, dictionaryLearning);
    expect(new Set(counts)).toEqual(new Set([mostSinceFired]));
  });
});

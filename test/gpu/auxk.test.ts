import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { auxk } from '../../gpu/auxk.ts';
import { downloadMatrix, downloadVector } from '../../gpu/params.ts';
import * as reference from '../../reference/auxk.ts';
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { relu } from '../../reference/encode.ts';
import { dot, matrix, multiply } from '../../reference/matrix.ts';
import { gamma, magnitudes, randomMatrix, requireWithin, underflow } from './bounds.ts';
import { seeded, upload } from './cases.ts';
import { onEachBackend } from './on-each-backend.ts';

// Half of d_in is the most latents a row may choose: 7.
const [rows, d_in, d_sae, alpha] = [11, 15, 40, 1 / 32];

/** Other published choices: raw pre-activations, means, a number of latents, the share that is dead. */
const otherwise: Dialect = {
  ...dictionaryLearning,
  auxk: {
    values: 'pre-activations',
    levels: 'last',
    residual: 'detached',
    normaliser: 'none',
    overDimensions: 'mean',
    k: 5,
    scale: 'dead-fraction',
    whenNothingDecodes: 'counts',
  },
};

onEachBackend('auxk', (profile) => {
  for (const [name, dialect] of [
    ['acts', dictionaryLearning],
    ['pre-activations', otherwise],
  ] as const) {
    test.each([1, 4, 5, 6, 7, 8, 40])(
      `chooses as the reference and is within the bounds of its sums: ${name}, %d dead`,
      async (deadCount) => {
        const { uniform } = seeded(`auxk ${deadCount}`);
        const residual = randomMatrix(rows, d_in, uniform);
        const drawn = randomMatrix(rows, d_sae, uniform);
        const values = name === 'acts' ? relu(drawn) : drawn;
        const W_dec = randomMatrix(d_sae, d_in, uniform);
        const dead = Uint8Array.from({ length: d_sae }, (_, j) => Number((j * 7) % 40 < deadCount));
        const inputs = [residual, values, W_dec].map(upload);
        const flags = tf.tensor1d(Float32Array.from(dead));
        const before = tf.memory().numTensors;
        const got = auxk(inputs[0], inputs[1], inputs[2], flags, alpha, dialect);
        expect(tf.memory().numTensors).toBe(before + 4);
        const want = reference.auxk(residual, values, W_dec, dead, alpha, dialect);

        requireWithin('latents', await downloadMatrix(got.latents), want.latents, () => 0);
        // A chosen act of 0 is as good as another: compare what is not 0.
        const chosen = await downloadMatrix(got.chosen);
        const compared = name === 'acts' ? want.latents.data.map(Math.sign) : want.chosen;
        const seen =
          name === 'acts' ? (i: number): boolean => values.data[i] > 0 : (): boolean => true;
        chosen.data.forEach((flag, i) => {
          if (seen(i)) expect(flag).toBe(compared[i]);
        });

        // ê - e: a dot product and a difference; everything after it is a factor common to loss and gradient.
        const reach = multiply(magnitudes(want.latents), magnitudes(W_dec)).data.map(
          (sum, i) => sum + Math.abs(residual.data[i]),
        );
        const size = matrix(rows, d_in, reach);
        const terms = gamma(4 * (rows * d_in + d_sae), profile) + 8 * profile.u_div;
        const scale = want.gradient.data.map((g, i) => {
          const miss = multiply(want.latents, W_dec).data[i] - residual.data[i];
          return miss === 0 ? 0 : Math.abs(g / miss);
        });
        const largest = Math.max(...scale);
        requireWithin(
          'gradient',
          await downloadMatrix(got.gradient),
          want.gradient,
          (i) => terms * largest * size.data[i] + underflow(d_sae),
        );
        const squares = dot(size.data, size.data) / rows;
        const factor = (largest * rows) / (2 * alpha);
        requireWithin('loss', await downloadVector(got.loss), Float64Array.of(want.loss), () => {
          return 2 * terms * factor * squares;
        });
        tf.dispose([...inputs, flags, got.loss, got.chosen, got.latents, got.gradient]);
      },
    );
  }

  test('is 0 with a gradient of 0 where no latent is dead, also where the residual has no variance', async () => {
    const inputs = [matrix(1, d_in), matrix(1, d_sae), matrix(d_sae, d_in)].map(upload);
    const flags = tf.zeros<tf.Rank.R1>([d_sae]);
    const got = auxk(inputs[0], inputs[1], inputs[2], flags, alpha, dictionaryLearning);
    expect(await downloadVector(got.loss)).toEqual(Float64Array.of(0));
    expect((await downloadMatrix(got.gradient)).data.every((value) => value === 0)).toBe(true);
    tf.dispose([...inputs, flags, got.loss, got.chosen, got.latents, got.gradient]);
  });

  test('a value or a residual that is not finite, which the reference refuses, makes the loss NaN', async () => {
    const { uniform } = seeded('not finite');
    for (const [what, at] of [
      ['residual', 3],
      ['values', 0], // of a dead latent
      ['values', d_sae - 1], // of one that is not dead
    ] as const) {
      const given = {
        residual: randomMatrix(rows, d_in, uniform),
        values: relu(randomMatrix(rows, d_sae, uniform)),
      };
      given[what].data[at] = NaN;
      const inputs = [given.residual, given.values, randomMatrix(d_sae, d_in, uniform)].map(upload);
      const flags = tf.tensor1d(Float32Array.from({ length: d_sae }, (_, j) => Number(j < 9)));
      const got = auxk(inputs[0], inputs[1], inputs[2], flags, alpha, dictionaryLearning);
      expect((await downloadVector(got.loss))[0]).toBeNaN();
      tf.dispose([...inputs, flags, got.loss, got.chosen, got.latents, got.gradient]);
    }
  });

  test('where the reference refuses a residual without variance, the loss is not finite', async () => {
    const { uniform } = seeded('no variance');
    const one = randomMatrix(1, d_in, uniform);
    const acts = relu(randomMatrix(1, d_sae, uniform));
    const W_dec = randomMatrix(d_sae, d_in, uniform);
    const dead = new Uint8Array(d_sae).fill(1);
    expect(() => reference.auxk(one, acts, W_dec, dead, alpha, dictionaryLearning)).toThrow(
      'no variance',
    );
    const inputs = [one, acts, W_dec].map(upload);
    const flags = tf.ones<tf.Rank.R1>([d_sae]);
    const got = auxk(inputs[0], inputs[1], inputs[2], flags, alpha, dictionaryLearning);
    expect(Number.isFinite((await downloadVector(got.loss))[0])).toBe(false);
    tf.dispose([...inputs, flags, got.loss, got.chosen, got.latents, got.gradient]);
  });
});

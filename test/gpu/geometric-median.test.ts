import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { geometricMedian } from '../../gpu/geometric-median.ts';
import { downloadVector } from '../../gpu/params.ts';
import { weiszfeld } from '../../reference/geometric-median.ts';
import { fromRows, norm, row } from '../../reference/matrix.ts';
import { randomMatrix } from './bounds.ts';
import { seeded, upload } from './cases.ts';
import { onEachBackend } from './on-each-backend.ts';

onEachBackend('geometric median', () => {
  test('is a point that one more round of the reference hardly moves', async () => {
    const points = randomMatrix(40, 9, seeded('median').uniform);
    points.data.forEach((value, i) => (points.data[i] = Math.fround(value + (i % 9))));
    const device = upload(points);
    const before = tf.memory().numTensors;
    const got = geometricMedian(device);
    expect(tf.memory().numTensors).toBe(before + 1);
    const median = await downloadVector(got);
    const moved = norm(weiszfeld(points, median).map((value, i) => value - median[i]));
    const longest = Math.max(...Array.from({ length: 40 }, (_, i) => norm(row(points, i))));
    // Its own stop, 1e-5, and the rounding of one round.
    expect(moved).toBeLessThan(1e-5 + 8 * 2 ** -24 * longest);
    tf.dispose([device, got]);
  });

  test('is NaN where the reference refuses: an iterate that meets a row', async () => {
    const device = upload(fromRows([[1, 2, 3]]));
    const got = geometricMedian(device);
    expect((await downloadVector(got)).every(Number.isNaN)).toBe(true);
    tf.dispose([device, got]);
  });
});

/**
 * Geometric median by Weiszfeld's iteration. Always 100 rounds: once a round moves less than 1e-5 the rest change
 * nothing, so the device never has to be asked whether to go on.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import { columnSums, product, rowNorms } from './product.ts';
import { tidy } from './tidy.ts';

/**
 * @param points - (rows, d_in).
 * @returns (d_in); NaN where the reference throws, when the iterate meets a row exactly.
 */
export function geometricMedian(points: tf.Tensor2D): tf.Tensor1D {
  return tf.tidy(() => {
    let state: Iterate = {
      median: tf.div(columnSums(points), points.shape[0]),
      moving: tf.scalar(true),
    };
    for (let round = 0; round < 100; round++) {
      const { median, moving } = state;
      state = tidy(() => {
        const moved: tf.Tensor1D = tf.where(moving, weiszfeld(points, median), median);
        const distance = tf.sqrt(tf.sum(tf.square(tf.sub(moved, median))));
        const far = tf.greaterEqual(distance, 1e-5);
        return { median: moved, moving: tf.logicalAnd(moving, far) };
      });
    }
    return state.median;
  });
}

interface Iterate {
  readonly median: tf.Tensor1D;
  /** Boolean scalar: whether every round so far moved at least 1e-5. */
  readonly moving: tf.Scalar;
}

/** One round of the iteration from `from`: the mean of all rows weighted by 1 / distance. (d_in). */
export function weiszfeld(points: tf.Tensor2D, from: tf.Tensor1D): tf.Tensor1D {
  return tf.tidy(() => {
    const weights = tf.div(1, rowNorms(tf.sub(points, from)));
    const shares = tf.div(weights, tf.sum(weights));
    return tf.reshape(product(tf.reshape(shares, [1, points.shape[0]]), points), from.shape);
  });
}

/**
 * tf.tidy for results that are records of tensors: its own type admits only records with an index signature.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';

/** Runs `compute` and disposes every tensor it made, except those in what it returns. */
export function tidy<T>(compute: () => T): T {
  return tf.tidy(compute as () => tf.TensorContainer) as T;
}

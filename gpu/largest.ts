/**
 * The K largest of many, on the host: for backends whose tensors lie in host memory, where tfjs's own topk is slow or
 * makes one JavaScript object for each value.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';

/**
 * Whether the backend in use computes on the CPU and reads a tensor back at the cost of a copy. TensorFlow on the CPU is
 * one of them: its own topk is slower, and takes subnormal numbers for 0.
 */
export function computesOnHost(): boolean {
  const name = tf.getBackend();
  if (name !== 'tensorflow') return name === 'wasm' || name === 'cpu';
  return (tf.backend() as { isUsingGpuDevice?: boolean }).isUsingGpuDevice === false;
}

export interface Cut {
  /** The K-th largest value. */
  readonly value: number;
  /** How many of the values equal to it belong to the K largest. */
  readonly room: number;
}

/**
 * @param values - finite. Not changed.
 * @param K - 1..values.length.
 */
export function cutBelowLargest(values: Float32Array, K: number): Cut {
  const value = kthLargest(values.slice(), K);
  let above = 0;
  for (let i = 0; i < values.length; i++) if (values[i] > value) above++;
  return { value, room: K - above };
}

/** Hoare's quickselect with the median of three as pivot. Reorders `values`. */
function kthLargest(values: Float32Array, K: number): number {
  const target = values.length - K;
  let low = 0;
  let high = values.length - 1;
  while (low < high) {
    const pivot = medianOfThree(values[low], values[(low + high) >>> 1], values[high]);
    let i = low;
    let j = high;
    while (i <= j) {
      while (values[i] < pivot) i++;
      while (values[j] > pivot) j--;
      if (i > j) break;
      const swapped = values[i];
      values[i++] = values[j];
      values[j--] = swapped;
    }
    if (target <= j) high = j;
    else if (target >= i) low = i;
    else break; // between the two parts lies the pivot itself
  }
  return values[target];
}

function medianOfThree(a: number, b: number, c: number): number {
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}

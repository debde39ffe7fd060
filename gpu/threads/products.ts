/**
 * Dense products by a library where one is set up: TensorFlow's use all the lanes a processor has, WebAssembly has four.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import { availableParallelism } from 'node:os';
import { openTensorflow } from '../tensorflow-backend.ts';
import type { Engine } from './engine.ts';

/** A library's products. */
export interface Products {
  /** For people. */
  readonly name: string;
  /** Operations of an encode product from which on the way to the library and back is worth it. */
  readonly from: number;
  /** Whether subnormal numbers count as 0. */
  readonly flushesSubnormals: boolean;
  /** out ← a · b, a · bᵀ or aᵀ · b, in float32. */
  readonly multiply: (a: View, b: View, out: Float32Array, transpose?: 'a' | 'b') => void;
}

/** A row-major matrix in the engine's memory. */
export interface View {
  readonly rows: number;
  readonly cols: number;
  readonly data: Float32Array;
}

export function view(engine: Engine, at: number, rows: number, cols: number): View {
  return { rows, cols, data: engine.f32(at, rows * cols) };
}

/** Values of a product that are read back at a time: what comes back lies in memory of its own first. */
const block = 2 ** 26;

let opened: Promise<Products> | null = null;

/**
 * TensorFlow's, on the CPU. One TensorFlow serves a whole process, with the threads it was first opened with.
 * @param from - operations of a product that is worth it.
 * @throws {@link BackendUnavailable} if TensorFlow is not set up, or does not load.
 */
export async function tensorflowProducts(threads: number, from = 1e9): Promise<Products> {
  opened ??= open(threads);
  return { ...(await opened), from };
}

async function open(threads: number): Promise<Products> {
  if (threads < availableParallelism()) {
    process.env['TF_NUM_INTRAOP_THREADS'] ??= String(threads);
  }
  const before = tf.getBackend();
  const { version } = await openTensorflow();
  if (before !== undefined && before !== 'tensorflow') await tf.setBackend(before);
  const products: Products = {
    flushesSubnormals: false,
    name: `products by TensorFlow ${version}`,
    from: 0,
    multiply(a, b, out, transpose) {
      const active = tf.getBackend();
      if (active !== 'tensorflow') void tf.setBackend('tensorflow');
      const right = tf.tensor2d(b.data, [b.rows, b.cols]);
      const cols = transpose === 'b' ? b.rows : b.cols;
      const rows = transpose === 'a' ? a.cols : a.rows;
      const at = transpose === 'a' ? rows : Math.max(1, Math.floor(block / Math.max(1, cols)));
      for (let first = 0; first < rows; first += at) {
        const count = Math.min(at, rows - first);
        const own = transpose === 'a' ? a.data : part(a, first, count);
        const left = tf.tensor2d(own, transpose === 'a' ? [a.rows, a.cols] : [count, a.cols]);
        const product = tf.matMul(left, right, transpose === 'a', transpose === 'b');
        out.set(product.dataSync<'float32'>(), first * cols);
        tf.dispose([left, product]);
      }
      right.dispose();
      if (active !== 'tensorflow') void tf.setBackend(active);
    },
  };
  // The smallest number there is, times 1, as often as a vector has lanes.
  const tiny = { rows: 16, cols: 16, data: new Float32Array(256).fill(2 ** -149) };
  const ones = { rows: 16, cols: 16, data: new Float32Array(256).fill(1) };
  const out = new Float32Array(256);
  products.multiply(tiny, ones, out);
  return { ...products, flushesSubnormals: out.includes(0) };
}

const part = ({ data, cols }: View, first: number, count: number): Float32Array =>
  data.subarray(first * cols, (first + count) * cols);

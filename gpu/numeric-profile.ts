/**
 * What a backend's arithmetic is, measured on the backend itself: what error bounds are computed from.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';

/** Unit roundoffs, relative to the value: 2⁻²⁴ for float32 rounded to nearest. */
export interface NumericProfile {
  /** Rounding of a matrix product's operands before they are multiplied: 0 where they stay float32. */
  readonly u_in: number;
  /** Rounding of its sums. */
  readonly u_acc: number;
  /** Rounding of results. */
  readonly u_out: number;
  /** Rounding of division and square root, which WebGPU allows to be less exact than the rest. */
  readonly u_div: number;
  /** Whether results below 2⁻¹²⁶ become 0. */
  readonly flushesSubnormals: boolean;
  /** Whether x W - b_dec W is computed instead of (x - b_dec) W. False here, on every backend. */
  readonly splitEncode: boolean;
  /** For people: what computes. */
  readonly device: string;
}

const float32 = 2 ** -24;

// Large enough that no backend takes its path for tiny inputs, and not a multiple of a tile.
const size = 45;

/**
 * Measures operand rounding, truncated sums and flushing of the backend in use. Takes some milliseconds.
 * @param device - goes into the profile as it is.
 */
export async function measureProfile(device: string): Promise<NumericProfile> {
  const u_in = await operandRounding();
  return {
    u_in,
    u_acc: (await truncatesSums()) ? 2 * float32 : float32,
    u_out: float32,
    // WGSL: division within 2.5 units in the last place (of 2⁻²³), and sqrt is defined through inverseSqrt and division.
    u_div: tf.getBackend() === 'webgpu' ? 2.5 * 2 ** -23 + 2 ** -22 : float32,
    flushesSubnormals: await flushesSubnormals(),
    splitEncode: false,
    device,
  };
}

/**
 * @throws if a product of small whole numbers, exact in every float format, comes out wrong.
 */
export async function verifyProduct(): Promise<void> {
  const a = Float32Array.from({ length: size * size }, (_, i) => ((i * 7) % 5) - 2);
  const b = Float32Array.from({ length: size * size }, (_, i) => ((i * 11) % 7) - 3);
  const got = await product(a, b);
  for (let i = 0; i < got.length; i++) {
    let want = 0;
    for (let t = 0; t < size; t++)
      want += a[Math.floor(i / size) * size + t] * b[t * size + (i % size)];
    if (got[i] !== want) {
      throw new Error(`a product of whole numbers is wrong: expected ${want}, got ${got[i]}`);
    }
  }
}

/** 1 + 2⁻ᵖ times 1 comes back as it is if operands keep p bits. */
async function operandRounding(): Promise<number> {
  const keeps = async (bits: number): Promise<boolean> => {
    const value = 1 + 2 ** -bits;
    const got = await product(new Float32Array(size * size).fill(value), diagonal(1));
    return got.every((one) => one === value);
  };
  if (await keeps(23)) return 0;
  return (await keeps(10)) ? 2 ** -11 : 2 ** -8;
}

/** 1 + 1.5 · 2⁻²⁴ rounds to 1 + 2⁻²³ and truncates to 1. */
async function truncatesSums(): Promise<boolean> {
  const a = new Float32Array(size * size);
  for (let i = 0; i < size; i++) {
    a[i * size] = 1;
    a[i * size + 1] = 1.5 * 2 ** -24;
  }
  const got = await product(a, new Float32Array(size * size).fill(1));
  return got.some((sum) => sum === 1);
}

/** Whether 2⁻¹³⁰ becomes 0, as a product of numbers, or as it passes through a matrix product or a maximum. */
async function flushesSubnormals(): Promise<boolean> {
  const tiny = new Float32Array(size * size).fill(2 ** -65);
  const matrixProduct = await product(tiny, diagonal(2 ** -65));
  const results = tf.tidy(() => {
    const x = tf.tensor1d(tiny);
    const subnormal = tf.mul(x, x);
    return [subnormal, tf.relu(subnormal), tf.add(subnormal, subnormal)];
  });
  const values = await Promise.all(results.map((result) => result.data()));
  tf.dispose(results);
  return [matrixProduct, ...values].some((array) => array.includes(0));
}

function diagonal(value: number): Float32Array {
  const out = new Float32Array(size * size);
  for (let i = 0; i < size; i++) out[i * size + i] = value;
  return out;
}

/** (size, size) times (size, size), row-major. */
async function product(a: Float32Array, b: Float32Array): Promise<Float32Array> {
  const result = tf.tidy(() =>
    tf.matMul(tf.tensor2d(a, [size, size]), tf.tensor2d(b, [size, size])),
  );
  const values = await result.data<'float32'>();
  result.dispose();
  return values;
}

/**
 * Selected latents as lists of what is not zero, and the sums over them, on the host. Of d_sae latents a row keeps some k:
 * where tensors lie in host memory, plain loops over those few beat the backend's dense products.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import { computesOnHost } from './largest.ts';

/** Row b's entries are starts[b] <= e < starts[b + 1], by rising column. */
export interface SparseRows {
  readonly rows: number;
  readonly cols: number;
  /** (rows + 1). */
  readonly starts: Int32Array;
  /** (entries). */
  readonly columns: Int32Array;
  /** (entries). */
  readonly values: Float32Array;
}

/** The share of entries up to which these loops win: wasm's dense product uses SIMD, plain JavaScript's does not. */
const densest: Readonly<Record<string, number>> = { wasm: 0.03, cpu: 1 };

/**
 * The entries of `values` where `pattern` is not 0.
 * @param values - (rows, cols).
 * @param pattern - (rows, cols); the values themselves if left out.
 * @returns null where a dense product is faster: on devices, and where too little is zero.
 */
export function sparseRows(values: tf.Tensor2D, pattern: tf.Tensor2D = values): SparseRows | null {
  if (!computesOnHost()) return null;
  const [rows, cols] = values.shape;
  const flags = pattern.dataSync<'float32'>();
  let count = 0;
  for (let i = 0; i < flags.length; i++) if (flags[i] !== 0) count++;
  if (count > densest[tf.getBackend()] * flags.length) return null;
  const data = pattern === values ? flags : values.dataSync<'float32'>();
  const starts = new Int32Array(rows + 1);
  const columns = new Int32Array(count);
  const entries = new Float32Array(count);
  let at = 0;
  for (let b = 0; b < rows; b++) {
    for (let j = 0; j < cols; j++) {
      const i = b * cols + j;
      if (flags[i] === 0) continue;
      columns[at] = j;
      entries[at++] = data[i];
    }
    starts[b + 1] = at;
  }
  return { rows, cols, starts, columns, values: entries };
}

/**
 * sums[g][b] = start + Σ_{j < ends[g]} latents[b, j] W[j]: one running sum over rising j, noted at each end.
 * @param start - (width).
 * @param W - (cols, width).
 * @returns one (rows, width) for each end.
 */
export function runningSums(
  latents: SparseRows,
  start: Float32Array,
  W: Float32Array,
  ends: readonly number[],
): Float32Array[] {
  const width = start.length;
  const sums = ends.map(() => new Float32Array(latents.rows * width));
  const sum = new Float32Array(width);
  for (let b = 0; b < latents.rows; b++) {
    sum.set(start);
    let e = latents.starts[b];
    ends.forEach((end, g) => {
      for (; e < latents.starts[b + 1] && latents.columns[e] < end; e++) {
        addScaled(sum, 0, W, latents.columns[e] * width, latents.values[e], width);
      }
      sums[g].set(sum, b * width);
    });
  }
  return sums;
}

/** Sums that {@link addGradients} adds to. */
export interface GradientSums {
  /** (cols, d_in): W_enc's gradient, transposed. */
  readonly W_encTransposed: Float32Array;
  /** (cols). */
  readonly b_enc: Float32Array;
  /** (cols, d_in). */
  readonly W_dec: Float32Array;
}

/**
 * For each entry a = latents[b, j], with t the upstream gradient of row b for j's group and δ = t·w_j:
 * ∂w_j += a t, ∂W_enc column j += δ input[b], ∂b_enc[j] += δ.
 * @param upstream - one (rows, d_in) for each end.
 * @param ends - end of each group of columns.
 * @param input - what W_enc multiplies, (rows, d_in).
 * @param W_dec - (cols, d_in).
 */
export function addGradients(
  sums: GradientSums,
  latents: SparseRows,
  upstream: readonly Float32Array[],
  ends: readonly number[],
  input: Float32Array,
  W_dec: Float32Array,
): void {
  const d_in = input.length / latents.rows;
  ends.forEach((end, g) => {
    const start = g === 0 ? 0 : ends[g - 1];
    for (let b = 0; b < latents.rows; b++) {
      for (let e = latents.starts[b]; e < latents.starts[b + 1]; e++) {
        const j = latents.columns[e];
        if (j < start) continue;
        if (j >= end) break;
        const delta = dot(upstream[g], b * d_in, W_dec, j * d_in, d_in);
        addScaled(sums.W_dec, j * d_in, upstream[g], b * d_in, latents.values[e], d_in);
        addScaled(sums.W_encTransposed, j * d_in, input, b * d_in, delta, d_in);
        sums.b_enc[j] += delta;
      }
    }
  });
}

// Four at a time: these two loops are most of a step on the host, and run a third faster than one at a time.

/** target[at + i] += factor · source[from + i] for i < length. */
function addScaled(
  target: Float32Array,
  at: number,
  source: Float32Array,
  from: number,
  factor: number,
  length: number,
): void {
  let i = 0;
  for (; i + 3 < length; i += 4) {
    const t = at + i;
    const s = from + i;
    target[t] += factor * source[s];
    target[t + 1] += factor * source[s + 1];
    target[t + 2] += factor * source[s + 2];
    target[t + 3] += factor * source[s + 3];
  }
  for (; i < length; i++) target[at + i] += factor * source[from + i];
}

/** Σ a[aFrom + i] b[bFrom + i] over i < length, in double. */
function dot(
  a: Float32Array,
  aFrom: number,
  b: Float32Array,
  bFrom: number,
  length: number,
): number {
  let sum0 = 0;
  let sum1 = 0;
  let sum2 = 0;
  let sum3 = 0;
  let i = 0;
  for (; i + 3 < length; i += 4) {
    const p = aFrom + i;
    const q = bFrom + i;
    sum0 += a[p] * b[q];
    sum1 += a[p + 1] * b[q + 1];
    sum2 += a[p + 2] * b[q + 2];
    sum3 += a[p + 3] * b[q + 3];
  }
  for (; i < length; i++) sum0 += a[aFrom + i] * b[bFrom + i];
  return sum0 + sum1 + (sum2 + sum3);
}

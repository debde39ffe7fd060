/**
 * Pushes unit vectors apart where there are more of them than dimensions: near-orthogonal directions by gradient descent.
 * Source: SAELens 6.54.12, synthetic/feature_dictionary.py::orthogonalize_embeddings, which forms all F² products.
 * @module
 */
import { availableParallelism } from 'node:os';
import { openEngine } from '../../gpu/threads/engine.ts';
import { dot, row, type Matrix } from '../../reference/matrix.ts';
import { toUnit } from './directions.ts';

/** Adam's own constants, as torch has them by default. */
const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-8;

/** Multiplications of a step from which threads are worth opening. */
const LARGE = 2e8;

/**
 * Adam on Σ_{i≠j} (g_i·g_j)² + F Σ_i (|g_i|² - 1)², in place, then unit length again. The gradient
 * 4 (G GᵀG - |g_i|² g_i) + 4 F (|g_i|² - 1) g_i comes from GᵀG, (d, d): 1.5 F d² products a step instead of F² d.
 * @param g - (F, d), rows of length 1.
 * @param large - multiplications of a step from which all processors share them; the bits are the same.
 */
export function pushApart(
  g: Matrix,
  steps: number,
  learningRate: number,
  large: number = LARGE,
): void {
  const { rows, cols, data } = g;
  const first = new Float64Array(data.length);
  const second = new Float64Array(data.length);
  const products = rows * cols * cols < large ? plainProducts(g) : threadProducts(g);
  for (let step = 1; step <= steps; step++) {
    products.prepare();
    const size = (learningRate * Math.sqrt(1 - BETA2 ** step)) / (1 - BETA1 ** step);
    const epsilon = EPSILON * Math.sqrt(1 - BETA2 ** step);
    for (let start = 0; start < rows; start += products.block) {
      const count = Math.min(products.block, rows - start);
      const { pulled, width } = products.pull(start, count);
      for (let r = 0; r < count; r++) {
        const square = dot(row(g, start + r), row(g, start + r));
        const own = rows * (square - 1) - square;
        for (let i = 0, at = (start + r) * cols; i < cols; i++, at++) {
          const gradient = 4 * (pulled[r * width + i] + own * data[at]);
          first[at] = BETA1 * first[at] + (1 - BETA1) * gradient;
          second[at] = BETA2 * second[at] + (1 - BETA2) * gradient * gradient;
          data[at] -= (size * first[at]) / (Math.sqrt(second[at]) + epsilon);
        }
      }
    }
  }
  products.close();
  for (let f = 0; f < rows; f++) toUnit(row(g, f));
}

/** The products of a step. Both kinds give the same bits: every sum runs over its terms in the same order. */
interface Products {
  /** Rows that are pulled at once. */
  readonly block: number;
  /** GᵀG of the rows as they are. */
  prepare(): void;
  /** Rows · GᵀG: (count, width), good until the next. */
  pull(start: number, count: number): { readonly pulled: Float64Array; readonly width: number };
  close(): void;
}

/** Rows of G whose products are summed apart, as many as a cache holds. */
const CHUNK = 256;

function threadProducts({ rows, cols, data }: Matrix): Products {
  // Unfused: the same bits on every machine.
  const engine = openEngine({ threads: availableParallelism(), allowFused: false, little: 0 });
  const tiles = Math.ceil(cols / 4);
  const width = 4 * tiles;
  const block = 1024;
  const doubles = (count: number): number => engine.alloc(count * 8);
  const chunk = doubles(CHUNK * cols);
  const packed = doubles(CHUNK * width);
  const gram = doubles(width * width);
  const packedGram = doubles(width * width);
  const own = doubles(block * width);
  const out = doubles(block * width);
  const tasks = {
    pack: engine.task([chunk, CHUNK, cols, 8, packed]),
    gram: engine.task([packed, CHUNK, tiles, gram]),
    packGram: engine.task([gram, width, width, 8, packedGram]),
    pull: engine.task([own, block, width, packedGram, tiles, out]),
  };
  const part = (count: number): number => Math.ceil(count / 8);
  return {
    block,
    prepare() {
      const sums = engine.f64(gram, width * width).fill(0);
      const values = engine.f64(chunk, CHUNK * cols);
      for (let start = 0; start < rows; start += CHUNK) {
        const count = Math.min(CHUNK, rows - start);
        values.fill(0, count * cols);
        values.set(data.subarray(start * cols, (start + count) * cols));
        engine.each('packTiles', tasks.pack, part(tiles), CHUNK * cols);
        engine.each('addGram', tasks.gram, tiles, CHUNK * cols * cols);
      }
      for (let i = 0; i < width; i++) {
        for (let j = 0; j < i; j++) sums[i * width + j] = sums[j * width + i];
      }
      engine.each('packTiles', tasks.packGram, part(tiles), width * width);
    },
    pull(start, count) {
      const pulled = engine.f64(out, block * width).fill(0);
      const values = engine.f64(own, block * width).fill(0);
      for (let r = 0; r < count; r++) {
        values.set(data.subarray((start + r) * cols, (start + r + 1) * cols), r * width);
      }
      engine.each('addProduct', tasks.pull, Math.ceil(count / 4), 2 * count * cols * cols);
      return { pulled, width };
    },
    close: () => void engine.close(),
  };
}

function plainProducts(g: Matrix): Products {
  const { cols } = g;
  // Rounded up, so that the blocks of `rowProducts` fit; what is added stays 0.
  const width = Math.ceil(cols / 4) * 4;
  const block = new Float64Array(4 * width);
  const pulled = new Float64Array(4 * width);
  let gram: Float64Array = new Float64Array(0);
  return {
    block: 4,
    prepare: () => void (gram = columnProducts(g, width)),
    pull(start, count) {
      for (let r = 0; r < count; r++) block.set(row(g, start + r), r * width);
      pulled.fill(0);
      rowProducts(block, 4, gram, width, width, pulled, false);
      return { pulled, width };
    },
    close: () => {},
  };
}

/** GᵀG, (width, width) with zeros from `cols` on. */
function columnProducts({ rows, cols, data }: Matrix, width: number): Float64Array {
  const out = new Float64Array(width * width);
  const columns = new Float64Array(width * CHUNK);
  for (let start = 0; start < rows; start += CHUNK) {
    const count = Math.min(CHUNK, rows - start);
    if (count < CHUNK) columns.fill(0);
    for (let f = 0; f < count; f++) {
      for (let i = 0; i < cols; i++) columns[i * CHUNK + f] = data[(start + f) * cols + i];
    }
    rowProducts(columns, width, columns, width, CHUNK, out, true);
  }
  for (let i = 0; i < width; i++) {
    for (let j = 0; j < i; j++) out[i * width + j] = out[j * width + i];
  }
  return out;
}

/**
 * Adds a_i · b_j to out[i, j], eight sums at a time: they stay in registers, which makes it twice as fast as rows alone.
 * @param a - (aRows, length), aRows a multiple of 4.
 * @param b - (bRows, length), bRows a multiple of 2.
 * @param upper - only blocks with an entry j >= i.
 */
function rowProducts(
  a: Float64Array,
  aRows: number,
  b: Float64Array,
  bRows: number,
  length: number,
  out: Float64Array,
  upper: boolean,
): void {
  for (let i = 0; i < aRows; i += 4) {
    const a0 = i * length;
    const a1 = a0 + length;
    const a2 = a1 + length;
    const a3 = a2 + length;
    for (let j = upper ? i : 0; j < bRows; j += 2) {
      const b0 = j * length;
      const b1 = b0 + length;
      let s00 = 0;
      let s01 = 0;
      let s10 = 0;
      let s11 = 0;
      let s20 = 0;
      let s21 = 0;
      let s30 = 0;
      let s31 = 0;
      for (let k = 0; k < length; k++) {
        const x = b[b0 + k];
        const y = b[b1 + k];
        s00 += a[a0 + k] * x;
        s01 += a[a0 + k] * y;
        s10 += a[a1 + k] * x;
        s11 += a[a1 + k] * y;
        s20 += a[a2 + k] * x;
        s21 += a[a2 + k] * y;
        s30 += a[a3 + k] * x;
        s31 += a[a3 + k] * y;
      }
      const at = i * bRows + j;
      out[at] += s00;
      out[at + 1] += s01;
      out[at + bRows] += s10;
      out[at + bRows + 1] += s11;
      out[at + 2 * bRows] += s20;
      out[at + 2 * bRows + 1] += s21;
      out[at + 3 * bRows] += s30;
      out[at + 3 * bRows + 1] += s31;
    }
  }
}

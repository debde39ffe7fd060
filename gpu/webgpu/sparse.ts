/**
 * Sums over the few values of a matrix that are not 0, for decode and gradients. A workgroup reads a row of the matrix tile
 * by tile, marks in bits what is not 0, and visits the marked ones by rising column: nothing is compacted in
 * memory, nothing depends on how many there are, and the order of every sum is fixed.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import { run } from './program.ts';

const THREADS = 256;
/** Values of a row that are marked at once. */
const TILE = 1024;
const WORDS = TILE / 32;

/** `load` marks a tile; all threads meet in it. */
const MARKS = `
  var<workgroup> marks : array<atomic<u32>, ${WORDS}>;
  var<workgroup> values : array<f32, ${TILE}>;
  fn present(value : f32) -> bool {
    return (bitcast<u32>(value) & 0x7fffffffu) != 0u;
  }
  fn clear() {
    workgroupBarrier();
    if (localIndex < ${WORDS}u) { atomicStore(&marks[localIndex], 0u); }
    workgroupBarrier();
  }
  fn words(first : i32, cols : i32) -> i32 {
    return (min(cols - first, ${TILE}) + 31) / 32;
  }
  fn mark(place : i32, value : f32) {
    values[place] = value;
    atomicOr(&marks[place >> 5u], 1u << (u32(place) & 31u));
  }
`;

/**
 * sums[g, b] = start + Σ_{j < ends[g]} matrix[b, j] terms[j]: one running sum over rising j, noted at each end.
 * @param matrix - (rows, cols), mostly 0.
 * @param start - (width).
 * @param terms - (cols, width).
 * @returns (ends, rows, width).
 */
export function runningSums(
  matrix: tf.Tensor2D,
  start: tf.Tensor1D,
  terms: tf.Tensor2D,
  ends: readonly number[],
): tf.Tensor3D {
  const [rows, cols] = matrix.shape;
  const width = terms.shape[1];
  const chunks = Math.ceil(width / THREADS);
  return tf.tidy(() =>
    run({
      name: 'running_sums',
      inputs: { matrix, start, terms, ends: tf.tensor1d([...ends], 'int32') },
      numbers: { rows, cols, width, chunks, levels: ends.length },
      shape: [ends.length, rows, width],
      dtype: 'float32',
      workgroups: rows * chunks,
      threads: THREADS,
      code: `
        ${MARKS}
        fn main() {
          let row = group() / uniforms.chunks;
          let column = (group() % uniforms.chunks) * ${THREADS} + i32(localIndex);
          // Threads beyond the width and workgroups beyond the rows compute nothing, and meet the same barriers.
          let inside = row < uniforms.rows && column < uniforms.width;
          var sum = 0.0;
          if (inside) { sum = start[column]; }
          var level = 0;
          for (var first = 0; first < uniforms.cols; first = first + ${TILE}) {
            clear();
            for (var i = i32(localIndex); i < ${TILE}; i = i + ${THREADS}) {
              if (row < uniforms.rows && first + i < uniforms.cols) {
                let value = matrix[row * uniforms.cols + first + i];
                if (present(value)) { mark(i, value); }
              }
            }
            workgroupBarrier();
            if (inside) {
              for (var word = 0; word < words(first, uniforms.cols); word = word + 1) {
                var bits = atomicLoad(&marks[word]);
                while (bits != 0u) {
                  let place = word * 32 + i32(firstTrailingBit(bits));
                  bits = bits & (bits - 1u);
                  let j = first + place;
                  while (j >= ends[level]) {
                    result[(level * uniforms.rows + row) * uniforms.width + column] = sum;
                    level = level + 1;
                  }
                  sum = sum + values[place] * terms[j * uniforms.width + column];
                }
              }
            }
          }
          if (inside) {
            for (; level < uniforms.levels; level = level + 1) {
              result[(level * uniforms.rows + row) * uniforms.width + column] = sum;
            }
          }
        }`,
    }),
  ) as tf.Tensor3D;
}

/**
 * sums[j] = Σ_b matrix[j, b] terms[level of j, b], over rising b.
 * @param matrix - (rows, cols), mostly 0.
 * @param terms - (levels, cols, width).
 * @param ends - where each level's rows end; the last is `rows`.
 * @returns (rows, width).
 */
export function levelSums(
  matrix: tf.Tensor2D,
  terms: tf.Tensor3D,
  ends: readonly number[],
): tf.Tensor2D {
  const [rows, cols] = matrix.shape;
  const width = terms.shape[2];
  const chunks = Math.ceil(width / THREADS);
  return tf.tidy(() =>
    run({
      name: 'level_sums',
      inputs: { matrix, terms, ends: tf.tensor1d([...ends], 'int32') },
      numbers: { rows, cols, width, chunks },
      shape: [rows, width],
      dtype: 'float32',
      workgroups: rows * chunks,
      threads: THREADS,
      code: `
        ${MARKS}
        fn main() {
          let row = group() / uniforms.chunks;
          let column = (group() % uniforms.chunks) * ${THREADS} + i32(localIndex);
          let inside = row < uniforms.rows && column < uniforms.width;
          var level = 0;
          if (inside) {
            while (row >= ends[level]) { level = level + 1; }
          }
          var sum = 0.0;
          for (var first = 0; first < uniforms.cols; first = first + ${TILE}) {
            clear();
            for (var i = i32(localIndex); i < ${TILE}; i = i + ${THREADS}) {
              if (row < uniforms.rows && first + i < uniforms.cols) {
                let value = matrix[row * uniforms.cols + first + i];
                if (present(value)) { mark(i, value); }
              }
            }
            workgroupBarrier();
            if (inside) {
              for (var word = 0; word < words(first, uniforms.cols); word = word + 1) {
                var bits = atomicLoad(&marks[word]);
                while (bits != 0u) {
                  let place = word * 32 + i32(firstTrailingBit(bits));
                  bits = bits & (bits - 1u);
                  let at = (level * uniforms.cols + first + place) * uniforms.width + column;
                  sum = sum + values[place] * terms[at];
                }
              }
            }
          }
          if (inside) { result[row * uniforms.width + column] = sum; }
        }`,
    }),
  ) as tf.Tensor2D;
}

/** Threads that share one product of two rows. */
const TEAM = 32;
const TEAMS = THREADS / TEAM;

/**
 * dots[j, b] = left[j] · terms[level of j, b] where pattern[j, b] is not 0, else 0.
 * @param pattern - (rows, cols), mostly 0.
 * @param left - (rows, width).
 * @param terms - (levels, cols, width).
 * @param ends - where each level's rows end; the last is `rows`.
 * @returns (rows, cols).
 */
export function levelDots(
  pattern: tf.Tensor2D,
  left: tf.Tensor2D,
  terms: tf.Tensor3D,
  ends: readonly number[],
): tf.Tensor2D {
  const [rows, cols] = pattern.shape;
  const width = terms.shape[2];
  return tf.tidy(() =>
    run({
      name: 'level_dots',
      inputs: { pattern, left, terms, ends: tf.tensor1d([...ends], 'int32') },
      numbers: { rows, cols, width },
      shape: [rows, cols],
      dtype: 'float32',
      workgroups: rows,
      threads: THREADS,
      code: `
        ${MARKS}
        var<workgroup> places : array<i32, ${TILE}>;
        var<workgroup> parts : array<f32, ${THREADS}>;
        var<workgroup> count : u32;
        fn main() {
          let row = group();
          let t = i32(localIndex);
          let lane = t % ${TEAM};
          var level = 0;
          if (row < uniforms.rows) {
            while (row >= ends[level]) { level = level + 1; }
          }
          for (var first = 0; first < uniforms.cols; first = first + ${TILE}) {
            clear();
            for (var i = t; i < ${TILE}; i = i + ${THREADS}) {
              if (row < uniforms.rows && first + i < uniforms.cols) {
                let at = row * uniforms.cols + first + i;
                if (present(pattern[at])) {
                  mark(i, 0.0);
                } else {
                  result[at] = 0.0;
                }
              }
            }
            workgroupBarrier();
            let end = words(first, uniforms.cols);
            var rank = 0u;
            var word = 0;
            for (var i = t; i < end * 32; i = i + ${THREADS}) {
              for (; word < i / 32; word = word + 1) {
                rank = rank + countOneBits(atomicLoad(&marks[word]));
              }
              let bits = atomicLoad(&marks[word]);
              let bit = 1u << (u32(i) % 32u);
              if ((bits & bit) != 0u) { places[rank + countOneBits(bits & (bit - 1u))] = i; }
            }
            if (t == 0) {
              for (; word < end; word = word + 1) {
                rank = rank + countOneBits(atomicLoad(&marks[word]));
              }
              count = rank;
            }
            let entries = workgroupUniformLoad(&count);
            for (var entry = 0u; entry < entries; entry = entry + ${TEAMS}u) {
              let own = entry + u32(t / ${TEAM});
              var part = 0.0;
              if (own < entries) {
                let source = (level * uniforms.cols + first + places[own]) * uniforms.width;
                for (var i = lane; i < uniforms.width; i = i + ${TEAM}) {
                  part = part + left[row * uniforms.width + i] * terms[source + i];
                }
              }
              parts[t] = part;
              workgroupBarrier();
              if (lane == 0 && own < entries) {
                var sum = 0.0;
                for (var i = t; i < t + ${TEAM}; i = i + 1) { sum = sum + parts[i]; }
                result[row * uniforms.cols + first + places[own]] = sum;
              }
              workgroupBarrier();
            }
          }
        }`,
    }),
  ) as tf.Tensor2D;
}

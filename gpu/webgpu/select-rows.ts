/**
 * The K largest of each row by radix, as `select.ts` finds those of a whole batch: one program, a workgroup for each row.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import { run } from './program.ts';
import { KEYS, SCAN, THREADS } from './select.ts';

/**
 * What a row's program ends in: each value's key by `keyAt`, 0 for what never counts; each result by `kept` where
 * it is among the K largest keys, of equal ones the first.
 */
interface Choice {
  readonly name: string;
  /** (rows, cols) each, but for what `code` reads otherwise. */
  readonly inputs: Readonly<Record<string, tf.Tensor>>;
  /** `keyAt(at, column) -> u32`, `wrongAt(at) -> bool`: makes its row NaN; `keptAt(at) -> f32`. */
  readonly code: string;
}

function choose(shape: readonly [number, number], K: number, choice: Choice): tf.Tensor2D {
  const [rows, cols] = shape;
  return run({
    name: choice.name,
    inputs: choice.inputs,
    numbers: { rows, cols, K, own: Math.ceil(cols / THREADS) },
    shape,
    dtype: 'float32',
    workgroups: rows,
    threads: THREADS,
    code: `
      ${KEYS} ${SCAN} ${choice.code}
      var<workgroup> counts : array<atomic<u32>, ${THREADS}>;
      var<workgroup> wrong : atomic<u32>;
      var<workgroup> found : u32;
      var<workgroup> room : u32;
      fn main() {
        let row = group();
        let t = i32(localIndex);
        let first = row * uniforms.cols;
        // Workgroups beyond the last row have nothing to read, and meet the same barriers.
        let end = select(0, uniforms.cols, row < uniforms.rows);
        if (t == 0) {
          found = 0u;
          room = u32(uniforms.K);
          atomicStore(&wrong, 0u);
        }
        for (var byte = 0u; byte < 4u; byte = byte + 1u) {
          let shift = 24u - 8u * byte;
          atomicStore(&counts[t], 0u);
          workgroupBarrier();
          for (var j = t; j < end; j = j + ${THREADS}) {
            let bits = keyAt(first + j, j);
            if (((bits >> shift) >> 8u) == found) { atomicAdd(&counts[(bits >> shift) & 255u], 1u); }
            if (byte == 0u && wrongAt(first + j)) { atomicAdd(&wrong, 1u); }
          }
          workgroupBarrier();
          if (t == 0) {
            var bin = 255u;
            while (bin > 0u && atomicLoad(&counts[bin]) < room) {
              room = room - atomicLoad(&counts[bin]);
              bin = bin - 1u;
            }
            found = (found << 8u) | bin;
          }
          workgroupBarrier();
        }
        let start = t * uniforms.own;
        let last = min(start + uniforms.own, end);
        var own = 0u;
        for (var j = start; j < last; j = j + 1) {
          if (keyAt(first + j, j) == found) { own = own + 1u; }
        }
        var rank = before(own);
        let isBad = atomicLoad(&wrong) > 0u;
        for (var j = start; j < last; j = j + 1) {
          let bits = keyAt(first + j, j);
          var chosen = bits > found;
          if (bits == found) {
            chosen = bits > 0u && rank < room;
            rank = rank + 1u;
          }
          result[first + j] = select(select(0.0, keptAt(first + j), chosen), uniforms.NAN, isBad);
        }
      }`,
  }) as tf.Tensor2D;
}

/**
 * The K largest positive scores of each row keep their act; everything else is 0. A value that is not finite makes its row
 * NaN.
 * @param acts - (rows, cols), float32.
 * @param K - 1 or more.
 */
export function keepLargestOfRows(acts: tf.Tensor2D, scores: tf.Tensor2D, K: number): tf.Tensor2D {
  return choose(acts.shape, K, {
    name: 'keep_rows',
    inputs: { acts, scores },
    code: `
      fn keyAt(at : i32, column : i32) -> u32 { return key(scores[at]); }
      fn wrongAt(at : i32) -> bool { return bad(scores[at]) || bad(acts[at]); }
      fn keptAt(at : i32) -> f32 { return acts[at]; }
    `,
  });
}

/**
 * 1 for the K largest of each row among the columns that are flagged, whatever their sign; fewer where fewer are flagged.
 * @param values - (rows, cols), float32.
 * @param flags - (cols), 1 or 0, float32.
 * @param K - 1 or more.
 */
export function flagLargestOfRows(values: tf.Tensor2D, flags: tf.Tensor1D, K: number): tf.Tensor2D {
  return choose(values.shape, K, {
    name: 'flag_rows',
    inputs: { values, flags },
    // Bits of negative numbers order the other way round; 0 and -0 are equal. What tfjs casts from bool stays integer bits.
    code: `
      fn keyAt(at : i32, column : i32) -> u32 {
        let bits = bitcast<u32>(values[at]);
        let magnitude = bits & 0x7fffffffu;
        let ordered = select(
          0x80000000u + magnitude,
          0x80000000u - magnitude,
          (bits & 0x80000000u) != 0u,
        );
        return select(0u, ordered, f32(flags[column]) > 0.0);
      }
      fn wrongAt(at : i32) -> bool { return false; }
      fn keptAt(at : i32) -> f32 { return 1.0; }
    `,
  });
}

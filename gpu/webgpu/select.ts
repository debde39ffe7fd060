/**
 * BatchTopK by radix: positive floats order as their bits do, so four histograms of eight bits, each over what the one before
 * left, find the K-th largest exactly; among equal ones the first in the order of the batch are kept. Nothing is read
 * back. `select-rows.ts` does the same within each row.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import { run } from './program.ts';

export const THREADS = 256;
/** Consecutive values of a thread where ties are ranked. */
const OWN = 16;
const BLOCK = THREADS * OWN;

/** Places of the state that a pass hands to the next: bits found so far, how many of them are kept, whether a value was no number. */
const STATE = `
  const BITS = 0;
  const ROOM = 1;
  const BAD = 2;
`;

/** Bits of a score that counts, 0 for one that does not; whether a value is NaN or infinite. */
export const KEYS = `
  fn key(score : f32) -> u32 {
    return select(0u, bitcast<u32>(score), score > 0.0);
  }
  fn bad(value : f32) -> bool {
    return (bitcast<u32>(value) & 0x7f800000u) == 0x7f800000u;
  }
`;

/** Exclusive sums over a workgroup's threads of what each put into its place of \`sums\`. */
export const SCAN: string = `
  var<workgroup> sums : array<u32, ${THREADS}>;
  fn before(own : u32) -> u32 {
    let t = localIndex;
    sums[t] = own;
    workgroupBarrier();
    for (var step = 1u; step < ${THREADS}u; step = step * 2u) {
      var left = 0u;
      if (t >= step) { left = sums[t - step]; }
      workgroupBarrier();
      sums[t] = sums[t] + left;
      workgroupBarrier();
    }
    return sums[t] - own;
  }
`;

/** How often each next byte occurs among scores whose bits so far are those found; and, at the end, values that are no numbers. */
function histogram(scores: tf.Tensor, acts: tf.Tensor, state: tf.Tensor, shift: number): tf.Tensor {
  const n = scores.size;
  const workgroups = Math.min(1024, Math.ceil(n / BLOCK));
  return run({
    name: 'histogram',
    inputs: { scores, acts, state },
    numbers: { n, shift, groups: workgroups },
    shape: [257],
    dtype: 'int32',
    workgroups,
    threads: THREADS,
    atomic: true,
    code: `
      ${STATE} ${KEYS}
      var<workgroup> counts : array<atomic<u32>, 257>;
      fn main() {
        let t = i32(localIndex);
        atomicStore(&counts[t], 0u);
        if (t == 0) { atomicStore(&counts[256], 0u); }
        workgroupBarrier();
        let found = u32(state[BITS]);
        let shift = u32(uniforms.shift);
        let start = select(uniforms.n, group() * ${THREADS} + t, group() < uniforms.groups);
        for (var i = start; i < uniforms.n; i = i + uniforms.groups * ${THREADS}) {
          let bits = key(scores[i]);
          // A shift by all 32 bits is none in WGSL, so it is made in two.
          if (((bits >> shift) >> 8u) == found) {
            atomicAdd(&counts[(bits >> shift) & 255u], 1u);
          }
          if (shift == 24u && (bad(scores[i]) || bad(acts[i]))) { atomicAdd(&counts[256], 1u); }
        }
        workgroupBarrier();
        let own = atomicLoad(&counts[t]);
        if (own > 0u) { atomicAdd(&result[t], i32(own)); }
        if (t == 0) {
          let wrong = atomicLoad(&counts[256]);
          if (wrong > 0u) { atomicAdd(&result[256], i32(wrong)); }
        }
      }`,
  });
}

/** The byte in which the K-th largest lies: bits found, and how many with exactly these are kept. */
function pick(counts: tf.Tensor, state: tf.Tensor): tf.Tensor {
  return run({
    name: 'pick',
    inputs: { counts, state },
    numbers: {},
    shape: [3],
    dtype: 'int32',
    workgroups: 1,
    threads: 1,
    code: `
      ${STATE}
      fn main() {
        var room = state[ROOM];
        var bin = 255;
        while (bin > 0 && counts[bin] < room) {
          room = room - counts[bin];
          bin = bin - 1;
        }
        result[BITS] = (state[BITS] << 8u) | bin;
        result[ROOM] = room;
        result[BAD] = state[BAD] + counts[256];
      }`,
  });
}

/** How many scores of each block are exactly the K-th largest. */
function ties(scores: tf.Tensor, state: tf.Tensor): tf.Tensor {
  const n = scores.size;
  const blocks = Math.ceil(n / BLOCK);
  return run({
    name: 'ties',
    inputs: { scores, state },
    numbers: { n, blocks },
    shape: [blocks],
    dtype: 'int32',
    workgroups: blocks,
    threads: THREADS,
    code: `
      ${STATE} ${KEYS} ${SCAN}
      fn main() {
        let block = group();
        let cut = u32(state[BITS]);
        let start = block * ${BLOCK} + i32(localIndex) * ${OWN};
        var own = 0u;
        for (var i = start; i < min(start + ${OWN}, uniforms.n); i = i + 1) {
          if (key(scores[i]) == cut) { own = own + 1u; }
        }
        let earlier = before(own);
        if (localIndex == ${THREADS - 1}u && block < uniforms.blocks) {
          result[block] = i32(earlier + own);
        }
      }`,
  });
}

/** Of each block, the ties in the blocks before it. */
function tiesBefore(counts: tf.Tensor): tf.Tensor {
  const blocks = counts.size;
  const own = Math.ceil(blocks / THREADS);
  return run({
    name: 'ties_before',
    inputs: { counts },
    numbers: { blocks, own },
    shape: [blocks],
    dtype: 'int32',
    workgroups: 1,
    threads: THREADS,
    code: `
      ${SCAN}
      fn main() {
        let start = i32(localIndex) * uniforms.own;
        let end = min(start + uniforms.own, uniforms.blocks);
        var sum = 0u;
        for (var b = start; b < end; b = b + 1) { sum = sum + u32(counts[b]); }
        var total = before(sum);
        for (var b = start; b < end; b = b + 1) {
          result[b] = i32(total);
          total = total + u32(counts[b]);
        }
      }`,
  });
}

/** The chosen acts, 0 elsewhere; NaN everywhere where a value was no number. */
function keep(acts: tf.Tensor, scores: tf.Tensor, state: tf.Tensor, earlier: tf.Tensor): tf.Tensor {
  const n = acts.size;
  const blocks = Math.ceil(n / BLOCK);
  return run({
    name: 'keep',
    inputs: { acts, scores, state, earlier },
    numbers: { n, blocks },
    shape: [n],
    dtype: 'float32',
    workgroups: blocks,
    threads: THREADS,
    code: `
      ${STATE} ${KEYS} ${SCAN}
      fn main() {
        let block = group();
        let cut = u32(state[BITS]);
        let start = block * ${BLOCK} + i32(localIndex) * ${OWN};
        let end = min(start + ${OWN}, uniforms.n);
        var own = 0u;
        for (var i = start; i < end; i = i + 1) {
          if (key(scores[i]) == cut) { own = own + 1u; }
        }
        var rank = before(own);
        if (block >= uniforms.blocks) { return; }
        rank = rank + u32(earlier[block]);
        for (var i = start; i < end; i = i + 1) {
          let bits = key(scores[i]);
          var chosen = bits > cut;
          if (bits == cut) {
            chosen = bits > 0u && rank < u32(state[ROOM]);
            rank = rank + 1u;
          }
          result[i] = select(select(0.0, acts[i], chosen), uniforms.NAN, state[BAD] > 0);
        }
      }`,
  });
}

/**
 * The K largest positive scores keep their act; everything else is 0. Values that are not finite make all of it NaN.
 * @param acts - any shape, float32.
 * @param scores - as many.
 * @param K - 1 or more.
 */
export function keepLargest(acts: tf.Tensor, scores: tf.Tensor, K: number): tf.Tensor {
  return tf.tidy(() => {
    const [a, s] = [acts, scores].map((values) => tf.reshape(values, [-1]));
    let state: tf.Tensor = tf.tensor1d([0, K, 0], 'int32');
    for (const shift of [24, 16, 8, 0]) state = pick(histogram(s, a, state, shift), state);
    return tf.reshape(keep(a, s, state, tiesBefore(ties(s, state))), acts.shape);
  });
}

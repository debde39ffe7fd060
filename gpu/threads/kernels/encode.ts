/**
 * encode: the one dense product of a step, in tiles of 3 rows by 12 latents, which fill the registers. Its result is never
 * stored as a whole: latents above a guess of the threshold are noted as they come.
 *
 * W_enc lies in panels of 12 latents, (d_sae / 12, d_in, 12), the last one padded with zeros.
 */
import { madd } from './vector';
import { kthLargest } from './select';

export const ROWS = 3;
export const LATENTS = 12;

/** Bytes of one tile of pre-activations. */
const TILE_ROW = 48;

@unmanaged
export class EncodeTask {
  /** (rows, d_in padded), b_dec subtracted already; followed by zero rows up to a multiple of 3. */
  x: usize;
  W_enc: usize;
  b_enc: usize;
  /** Decoder norms, where they scale scores; else 0. */
  norms: usize;
  rows: i32;
  d_in: i32;
  stride: i32;
  latents: i32;
  /** Rows of a chunk: a multiple of 3. */
  chunk_rows: i32;
  /** Panels that stay in the cache together. */
  group: i32;
  /** One tile, or chunk_rows rows of pre-activations, for each thread. */
  scratch: usize;
  scratch_bytes: i32;
  /** For each thread: entries of (row, latent, pre-activation, score). */
  log: usize;
  capacity: i32;
  /** (threads): entries noted, which may be more than there was room for. */
  counts: usize;
  /** (chunks, 3): thread, first entry, end. */
  chunks: usize;
  guess: f32;
  /** encodeTop: how many to keep of each row; and latent of each column, where columns are not all latents. */
  k: i32;
  names: usize;
  positive: i32;
  /** (rows, latents): where encodeDense writes; ReLU if `positive`. */
  out: usize;
}

/** Pre-activations of 3 rows by 12 latents to `out`; whether one's score is above the guess. */
function tile(
  x: usize,
  stride: usize,
  d: i32,
  W: usize,
  bias: usize,
  norms: usize,
  guess: f32,
  out: usize,
): bool {
  let a00 = f32x4.splat(0);
  let a01 = f32x4.splat(0);
  let a02 = f32x4.splat(0);
  let a10 = f32x4.splat(0);
  let a11 = f32x4.splat(0);
  let a12 = f32x4.splat(0);
  let a20 = f32x4.splat(0);
  let a21 = f32x4.splat(0);
  let a22 = f32x4.splat(0);
  let x1 = x + stride;
  let x2 = x1 + stride;
  const end = x + ((<usize>d) << 2);
  while (x < end) {
    const w0 = v128.load(W);
    const w1 = v128.load(W, 16);
    const w2 = v128.load(W, 32);
    const r0 = v128.load_splat<f32>(x);
    a00 = madd(r0, w0, a00);
    a01 = madd(r0, w1, a01);
    a02 = madd(r0, w2, a02);
    const r1 = v128.load_splat<f32>(x1);
    a10 = madd(r1, w0, a10);
    a11 = madd(r1, w1, a11);
    a12 = madd(r1, w2, a12);
    const r2 = v128.load_splat<f32>(x2);
    a20 = madd(r2, w0, a20);
    a21 = madd(r2, w1, a21);
    a22 = madd(r2, w2, a22);
    x += 4;
    x1 += 4;
    x2 += 4;
    W += TILE_ROW;
  }
  const b0 = v128.load(bias);
  const b1 = v128.load(bias, 16);
  const b2 = v128.load(bias, 32);
  a00 = f32x4.add(a00, b0);
  a01 = f32x4.add(a01, b1);
  a02 = f32x4.add(a02, b2);
  a10 = f32x4.add(a10, b0);
  a11 = f32x4.add(a11, b1);
  a12 = f32x4.add(a12, b2);
  a20 = f32x4.add(a20, b0);
  a21 = f32x4.add(a21, b1);
  a22 = f32x4.add(a22, b2);
  v128.store(out, a00);
  v128.store(out, a01, 16);
  v128.store(out, a02, 32);
  v128.store(out, a10, 48);
  v128.store(out, a11, 64);
  v128.store(out, a12, 80);
  v128.store(out, a20, 96);
  v128.store(out, a21, 112);
  v128.store(out, a22, 128);
  if (norms) {
    const n0 = v128.load(norms);
    const n1 = v128.load(norms, 16);
    const n2 = v128.load(norms, 32);
    a00 = f32x4.mul(a00, n0);
    a01 = f32x4.mul(a01, n1);
    a02 = f32x4.mul(a02, n2);
    a10 = f32x4.mul(a10, n0);
    a11 = f32x4.mul(a11, n1);
    a12 = f32x4.mul(a12, n2);
    a20 = f32x4.mul(a20, n0);
    a21 = f32x4.mul(a21, n1);
    a22 = f32x4.mul(a22, n2);
  }
  const m0 = f32x4.max(f32x4.max(a00, a01), a02);
  const m1 = f32x4.max(f32x4.max(a10, a11), a12);
  const m2 = f32x4.max(f32x4.max(a20, a21), a22);
  const most = f32x4.max(f32x4.max(m0, m1), m2);
  return v128.any_true(f32x4.gt(most, f32x4.splat(guess)));
}

/** Notes every latent whose score is above the guess. */
export function encodeAbove(t: EncodeTask, chunk: i32, thread: i32): void {
  const first = chunk * t.chunk_rows;
  const end = min(t.rows, first + t.chunk_rows);
  const panels = (t.latents + LATENTS - 1) / LATENTS;
  const stride = (<usize>t.stride) << 2;
  const panelBytes = <usize>t.d_in * TILE_ROW;
  const out = t.scratch + <usize>thread * <usize>t.scratch_bytes;
  const log = t.log + ((<usize>thread * <usize>t.capacity) << 4);
  let count = load<i32>(t.counts + ((<usize>thread) << 2));
  const own = t.chunks + <usize>chunk * 12;
  store<i32>(own, thread);
  store<i32>(own, count, 4);
  for (let group = 0; group < panels; group += t.group) {
    const last = min(panels, group + t.group);
    for (let row = first; row < end; row += ROWS) {
      const x = t.x + <usize>row * stride;
      for (let p = group; p < last; p++) {
        const j0 = p * LATENTS;
        const bias = t.b_enc + ((<usize>j0) << 2);
        const norms = t.norms ? t.norms + ((<usize>j0) << 2) : 0;
        if (!tile(x, stride, t.d_in, t.W_enc + <usize>p * panelBytes, bias, norms, t.guess, out))
          continue;
        const rows = min(ROWS, end - row);
        const latents = min(LATENTS, t.latents - j0);
        for (let r = 0; r < rows; r++) {
          for (let l = 0; l < latents; l++) {
            const pre = load<f32>(out + <usize>(r * LATENTS + l) * 4);
            const score = norms ? pre * load<f32>(norms + ((<usize>l) << 2)) : pre;
            if (!(score > t.guess)) continue;
            if (count < t.capacity) note(log + ((<usize>count) << 4), row + r, j0 + l, pre, score);
            count++;
          }
        }
      }
    }
  }
  store<i32>(own, count, 8);
  store<i32>(t.counts + ((<usize>thread) << 2), count);
}

export function note(at: usize, row: i32, latent: i32, value: f32, score: f32): void {
  store<i32>(at, row);
  store<i32>(at, latent, 4);
  store<f32>(at, value, 8);
  store<f32>(at, score, 12);
}

/** Pre-activations of a chunk of rows, or acts if `positive`, to `out`, whose rows are `width` long. */
function encodeRows(t: EncodeTask, first: i32, end: i32, tileAt: usize, out: usize): void {
  const panels = (t.latents + LATENTS - 1) / LATENTS;
  const stride = (<usize>t.stride) << 2;
  const panelBytes = <usize>t.d_in * TILE_ROW;
  const width = (<usize>t.latents) << 2;
  for (let group = 0; group < panels; group += t.group) {
    const last = min(panels, group + t.group);
    for (let row = first; row < end; row += ROWS) {
      const x = t.x + <usize>row * stride;
      for (let p = group; p < last; p++) {
        const j0 = p * LATENTS;
        const bias = t.b_enc + ((<usize>j0) << 2);
        tile(x, stride, t.d_in, t.W_enc + <usize>p * panelBytes, bias, 0, 0, tileAt);
        const rows = min(ROWS, end - row);
        const bytes = (<usize>min(LATENTS, t.latents - j0)) << 2;
        for (let r = 0; r < rows; r++) {
          const to = out + <usize>(row + r - first) * width + ((<usize>j0) << 2);
          memory.copy(to, tileAt + <usize>r * TILE_ROW, bytes);
        }
      }
    }
  }
}

/** acts = ReLU(pre-activations), all of them: (rows, latents). */
export function encodeDense(t: EncodeTask, chunk: i32, thread: i32): void {
  const first = chunk * t.chunk_rows;
  const end = min(t.rows, first + t.chunk_rows);
  const at = t.scratch + <usize>thread * <usize>t.scratch_bytes;
  const out = t.out + ((<usize>first * <usize>t.latents) << 2);
  encodeRows(t, first, end, at, out);
  const last = out + ((<usize>(end - first) * <usize>t.latents) << 2);
  // NaN stays: a comparison with it is false.
  for (let value = out; value < last; value += 4) if (load<f32>(value) < 0) store<f32>(value, 0);
}

/**
 * Notes the k largest scores of each row, ties to the first; only positive ones if `positive`. Pre-activations are those of
 * `out` if it is given, else they are computed.
 */
export function encodeTop(t: EncodeTask, chunk: i32, thread: i32): void {
  const first = chunk * t.chunk_rows;
  const end = min(t.rows, first + t.chunk_rows);
  const width = t.latents;
  const tileAt = t.scratch + <usize>thread * <usize>t.scratch_bytes;
  const scores = tileAt + 144;
  let values = scores + ((<usize>width) << 2);
  if (t.out) values = t.out + ((<usize>first * <usize>width) << 2);
  else encodeRows(t, first, end, tileAt, values);
  const log = t.log + ((<usize>thread * <usize>t.capacity) << 4);
  let count = load<i32>(t.counts + ((<usize>thread) << 2));
  const own = t.chunks + <usize>chunk * 12;
  store<i32>(own, thread);
  store<i32>(own, count, 4);
  for (let row = first; row < end; row++) {
    let candidates = 0;
    for (let j = 0; j < width; j++) {
      const score = scoreOf(t, values, j);
      if (t.positive && !(score > 0)) continue;
      store<f32>(scores + ((<usize>candidates) << 2), score);
      candidates++;
    }
    const all = candidates <= t.k;
    const cut = all || t.k == 0 ? <f32>0 : kthLargest(scores, candidates, t.k);
    let room = t.k;
    if (!all)
      for (let c = 0; c < candidates; c++) if (load<f32>(scores + ((<usize>c) << 2)) > cut) room--;
    for (let j = 0; j < width && t.k > 0; j++) {
      const score = scoreOf(t, values, j);
      if (t.positive && !(score > 0)) continue;
      if (!all && !(score > cut)) {
        if (score != cut || room == 0) continue;
        room--;
      }
      const latent = t.names ? load<i32>(t.names + ((<usize>j) << 2)) : j;
      const value = load<f32>(values + ((<usize>j) << 2));
      if (count < t.capacity) note(log + ((<usize>count) << 4), row, latent, value, score);
      count++;
    }
    values += (<usize>width) << 2;
  }
  store<i32>(own, count, 8);
  store<i32>(t.counts + ((<usize>thread) << 2), count);
}

function scoreOf(t: EncodeTask, values: usize, j: i32): f32 {
  const value = load<f32>(values + ((<usize>j) << 2));
  return t.norms ? value * load<f32>(t.norms + ((<usize>j) << 2)) : value;
}

/** Notes what lies above the guess in `out`, given as (rows, latents). */
export function scanAbove(t: EncodeTask, chunk: i32, thread: i32): void {
  const first = chunk * t.chunk_rows;
  const end = min(t.rows, first + t.chunk_rows);
  const log = t.log + ((<usize>thread * <usize>t.capacity) << 4);
  let count = load<i32>(t.counts + ((<usize>thread) << 2));
  const own = t.chunks + <usize>chunk * 12;
  store<i32>(own, thread);
  store<i32>(own, count, 4);
  for (let row = first; row < end; row++) {
    const values = t.out + ((<usize>row * <usize>t.latents) << 2);
    for (let j = 0; j < t.latents; j++) {
      const score = scoreOf(t, values, j);
      if (!(score > t.guess)) continue;
      const value = load<f32>(values + ((<usize>j) << 2));
      if (count < t.capacity) note(log + ((<usize>count) << 4), row, j, value, score);
      count++;
    }
  }
  store<i32>(own, count, 8);
  store<i32>(t.counts + ((<usize>thread) << 2), count);
}

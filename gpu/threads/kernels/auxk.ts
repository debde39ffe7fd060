/** auxk: dead latents' encoder columns side by side, and what the chosen ones leave of the residual. */
import { addEntries, addScaled, zero } from './vector';

const LATENTS = 12;

@unmanaged
export class DeadTask {
  /** (count): the dead latents. */
  names: usize;
  count: i32;
  d_in: i32;
  chunk_panels: i32;
  W_enc: usize;
  b_enc: usize;
  norms: usize;
  /** Panels of the dead ones alone, their biases and norms. */
  panels: usize;
  biases: usize;
  scales: usize;
}

export function gatherDead(t: DeadTask, chunk: i32, thread: i32): void {
  const panels = (t.count + LATENTS - 1) / LATENTS;
  const end = min(panels, (chunk + 1) * t.chunk_panels);
  const bytes = (<usize>t.d_in * LATENTS) << 2;
  for (let p = chunk * t.chunk_panels; p < end; p++) {
    const to = t.panels + <usize>p * bytes;
    for (let l = 0; l < LATENTS; l++) {
      const i = p * LATENTS + l;
      const at = (<usize>i) << 2;
      const j = i < t.count ? load<i32>(t.names + at) : -1;
      store<f32>(t.biases + at, j < 0 ? 0 : load<f32>(t.b_enc + ((<usize>j) << 2)));
      if (t.norms) store<f32>(t.scales + at, j < 0 ? 0 : load<f32>(t.norms + ((<usize>j) << 2)));
      let from = t.W_enc + <usize>(j / LATENTS) * bytes + ((<usize>(j % LATENTS)) << 2);
      let lane = to + ((<usize>l) << 2);
      for (let k = 0; k < t.d_in; k++) {
        store<f32>(lane, j < 0 ? 0 : load<f32>(from));
        lane += 48;
        from += 48;
      }
    }
  }
}

@unmanaged
export class MissTask {
  rows: i32;
  d_in: i32;
  stride: i32;
  chunk_rows: i32;
  W_dec: usize;
  /** What was chosen, by row. */
  start: usize;
  latent: usize;
  value: usize;
  /** (rows, stride): x̂_G - x. */
  error: usize;
  /** Its mean over rows, (stride). */
  mean: usize;
  /** (rows, stride): ê - e. */
  miss: usize;
  /** (chunks, 3), float64: Σ ‖ê - e‖², Σ ‖e - mean e‖², whether any ê is not 0. */
  sums: usize;
  /** (chunks, stride): Σ over rows of the error. */
  columns: usize;
  /** Whether `miss` holds ê already. */
  decoded: i32;
}

/** Σ over a chunk's rows of the error. */
export function errorColumns(t: MissTask, chunk: i32, thread: i32): void {
  const bytes = (<usize>t.stride) << 2;
  const end = min(t.rows, (chunk + 1) * t.chunk_rows);
  const sum = t.columns + <usize>chunk * bytes;
  zero(sum, t.stride);
  for (let row = chunk * t.chunk_rows; row < end; row++) {
    addScaled(sum, t.error + <usize>row * bytes, 1, t.stride);
  }
}

export function missRows(t: MissTask, chunk: i32, thread: i32): void {
  const bytes = (<usize>t.stride) << 2;
  const end = min(t.rows, (chunk + 1) * t.chunk_rows);
  let missed: f64 = 0;
  let varied: f64 = 0;
  let decoded: f64 = 0;
  for (let row = chunk * t.chunk_rows; row < end; row++) {
    const miss = t.miss + <usize>row * bytes;
    const error = t.error + <usize>row * bytes;
    if (!t.decoded) {
      zero(miss, t.stride);
      const begin = load<i32>(t.start + ((<usize>row) << 2));
      const last = load<i32>(t.start + ((<usize>(row + 1)) << 2));
      addEntries(miss, t.W_dec, bytes, t.latent, t.value, begin, last, t.stride);
    }
    let a = f32x4.splat(0);
    let b = f32x4.splat(0);
    let any = f32x4.splat(0);
    for (let i: usize = 0; i < bytes; i += 16) {
      const own = v128.load(error + i);
      const hat = v128.load(miss + i);
      any = v128.or(any, f32x4.ne(hat, f32x4.splat(0)));
      const m = f32x4.add(hat, own);
      v128.store(miss + i, m);
      a = f32x4.add(a, f32x4.mul(m, m));
      const deviation = f32x4.sub(own, v128.load(t.mean + i));
      b = f32x4.add(b, f32x4.mul(deviation, deviation));
    }
    missed += total(a);
    varied += total(b);
    if (v128.any_true(any)) decoded = 1;
  }
  const sums = t.sums + <usize>chunk * 24;
  store<f64>(sums, missed);
  store<f64>(sums, varied, 8);
  store<f64>(sums, decoded, 16);
}

function total(a: v128): f64 {
  return (
    <f64>f32x4.extract_lane(a, 0) +
    <f64>f32x4.extract_lane(a, 1) +
    (<f64>f32x4.extract_lane(a, 2) + <f64>f32x4.extract_lane(a, 3))
  );
}

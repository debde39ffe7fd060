/** decode and loss: reconstructions of every prefix, their errors and losses, and the suffix sums gradients need. */
import { addEntries, copy, madd, sumOfSquares } from './vector';

@unmanaged
export class RowsTask {
  rows: i32;
  d_in: i32;
  /** d_in padded to a multiple of 4. */
  stride: i32;
  chunk_rows: i32;
  /** (rows, stride). */
  x: usize;
  b_dec: usize;
  /** (d_sae, stride). */
  W_dec: usize;
  /** Latents by row: (rows + 1), then (entries) each. */
  start: usize;
  latent: usize;
  value: usize;
  /** (levels). */
  prefixes: usize;
  levels: i32;
  /** (levels, rows, stride): x̂_g, then x̂_g - x, then T_g. */
  errors: usize;
  /** (chunks, levels + 1), float64: Σ over rows of ‖x̂_g - x‖², from x̂_0 = b_dec on. */
  losses: usize;
  /** (levels + 1): 2 c_g / rows. */
  coefficients: usize;
  /** (chunks, stride): Σ over rows of T_0. */
  bias: usize;
  /** (rows, stride) what auxk adds to every T_g, or 0; and its factor. */
  attached: usize;
  attachedScale: f32;
  /** Whether latents hear of their own level's error alone: T_g = R_g but for T_0. */
  detached: i32;
}

/** x̂_g for g = 1..G, row by row. */
export function decodeRows(t: RowsTask, chunk: i32, thread: i32): void {
  const n = t.stride;
  const bytes = (<usize>n) << 2;
  const first = chunk * t.chunk_rows;
  const end = min(t.rows, first + t.chunk_rows);
  for (let row = first; row < end; row++) {
    let entry = load<i32>(t.start + ((<usize>row) << 2));
    const last = load<i32>(t.start + ((<usize>(row + 1)) << 2));
    let from = t.b_dec;
    for (let g = 0; g < t.levels; g++) {
      const reconstruction = t.errors + (<usize>g * <usize>t.rows + <usize>row) * bytes;
      copy(reconstruction, from, n);
      const prefix = load<i32>(t.prefixes + ((<usize>g) << 2));
      const begin = entry;
      while (entry < last && load<i32>(t.latent + ((<usize>entry) << 2)) < prefix) entry++;
      addEntries(reconstruction, t.W_dec, bytes, t.latent, t.value, begin, entry, n);
      from = reconstruction;
    }
  }
}

/** Reconstructions become errors; squared errors, from b_dec alone on. */
export function errorRows(t: RowsTask, chunk: i32, thread: i32): void {
  const bytes = (<usize>t.stride) << 2;
  const first = chunk * t.chunk_rows;
  const end = min(t.rows, first + t.chunk_rows);
  const losses = t.losses + ((<usize>chunk * <usize>(t.levels + 1)) << 3);
  memory.fill(losses, 0, (<usize>(t.levels + 1)) << 3);
  for (let row = first; row < end; row++) {
    const x = t.x + <usize>row * bytes;
    addLoss(losses, squaredDistance(t.b_dec, x, t.stride));
    for (let g = 0; g < t.levels; g++) {
      const error = t.errors + (<usize>g * <usize>t.rows + <usize>row) * bytes;
      addLoss(losses + ((<usize>(g + 1)) << 3), difference(error, x, t.stride));
    }
  }
}

function addLoss(loss: usize, square: f64): void {
  store<f64>(loss, load<f64>(loss) + square);
}

/** a ← a - b; returns ‖a - b‖². */
function difference(a: usize, b: usize, n: i32): f64 {
  for (let i: usize = 0; i < (<usize>n) << 2; i += 16) {
    v128.store(a + i, f32x4.sub(v128.load(a + i), v128.load(b + i)));
  }
  return sumOfSquares(a, n);
}

function squaredDistance(a: usize, b: usize, n: i32): f64 {
  let sum = f32x4.splat(0);
  for (let i: usize = 0; i < (<usize>n) << 2; i += 16) {
    const d = f32x4.sub(v128.load(a + i), v128.load(b + i));
    sum = madd(d, d, sum);
  }
  return (
    <f64>f32x4.extract_lane(sum, 0) +
    <f64>f32x4.extract_lane(sum, 1) +
    (<f64>f32x4.extract_lane(sum, 2) + <f64>f32x4.extract_lane(sum, 3))
  );
}

/** Errors become T_g = Σ over h >= g of R_h, with R_h = coefficient · error of level h; and Σ over rows of T_0. */
export function suffixRows(t: RowsTask, chunk: i32, thread: i32): void {
  const bytes = (<usize>t.stride) << 2;
  const first = chunk * t.chunk_rows;
  const end = min(t.rows, first + t.chunk_rows);
  const bias = t.bias + <usize>chunk * bytes;
  memory.fill(bias, 0, bytes);
  const c0 = f32x4.splat(load<f32>(t.coefficients));
  const hasEmpty = load<f32>(t.coefficients) != 0;
  const scale = f32x4.splat(t.attachedScale);
  for (let row = first; row < end; row++) {
    for (let i: usize = 0; i < bytes; i += 16) {
      let sum = f32x4.splat(0);
      if (t.attached) sum = f32x4.mul(scale, v128.load(t.attached + <usize>row * bytes + i));
      for (let g = t.levels - 1; g >= 0; g--) {
        const at = t.errors + (<usize>g * <usize>t.rows + <usize>row) * bytes + i;
        const c = f32x4.splat(load<f32>(t.coefficients + ((<usize>(g + 1)) << 2)));
        const error = v128.load(at);
        sum = madd(c, error, sum);
        v128.store(at, t.detached ? f32x4.mul(c, error) : sum);
      }
      if (hasEmpty) {
        const error = f32x4.sub(v128.load(t.b_dec + i), v128.load(t.x + <usize>row * bytes + i));
        sum = madd(c0, error, sum);
      }
      v128.store(bias + i, f32x4.add(v128.load(bias + i), sum));
    }
  }
}

@unmanaged
export class CentreTask {
  rows: i32;
  d_in: i32;
  stride: i32;
  chunk_rows: i32;
  /** (rows, d_in). */
  from: usize;
  /** Subtracted from each row, (stride); 0 for nothing. */
  b_dec: usize;
  /** (rows, stride), as it came; and less b_dec. */
  x: usize;
  centred: usize;
  /** (chunks): not 0 if a value is not finite. */
  flags: usize;
}

/** Rows into their padded places, and less b_dec. */
export function centreRows(t: CentreTask, chunk: i32, thread: i32): void {
  const bytes = (<usize>t.stride) << 2;
  const first = chunk * t.chunk_rows;
  const end = min(t.rows, first + t.chunk_rows);
  let nothing = f32x4.splat(0); // NaN once a value is not finite
  const none = f32x4.splat(0);
  for (let row = first; row < end; row++) {
    const x = t.x + <usize>row * bytes;
    memory.copy(x, t.from + ((<usize>row * <usize>t.d_in) << 2), (<usize>t.d_in) << 2);
    const centred = t.centred + <usize>row * bytes;
    for (let i: usize = 0; i < bytes; i += 16) {
      const value = v128.load(x + i);
      nothing = f32x4.add(nothing, f32x4.mul(value, none));
      v128.store(centred + i, t.b_dec ? f32x4.sub(value, v128.load(t.b_dec + i)) : value);
    }
  }
  const finite = v128.any_true(f32x4.ne(nothing, nothing)) ? 1 : 0;
  store<i32>(t.flags + ((<usize>chunk) << 2), finite);
}

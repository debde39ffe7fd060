/**
 * Products in float64, four rows by four columns in registers. Each sum runs over its terms in order, unfused, so that its
 * bits are those of a plain loop.
 */

const TILE = 4;

@unmanaged
export class PackTask {
  /** (rows, cols). */
  from: usize;
  rows: i32;
  cols: i32;
  /** Tiles of a chunk. */
  chunk_tiles: i32;
  /** (cols / 4, rows, 4), the last tile filled up with zeros. */
  to: usize;
}

/** Columns four at a time, so that a tile is read in one go. */
export function packTiles(t: PackTask, chunk: i32, thread: i32): void {
  const tiles = (t.cols + TILE - 1) / TILE;
  const end = min(tiles, (chunk + 1) * t.chunk_tiles);
  for (let tile = chunk * t.chunk_tiles; tile < end; tile++) {
    const first = tile * TILE;
    const own = min(TILE, t.cols - first);
    let to = t.to + ((<usize>tile * <usize>t.rows * TILE) << 3);
    for (let row = 0; row < t.rows; row++) {
      const from = t.from + ((<usize>row * <usize>t.cols + <usize>first) << 3);
      for (let c = 0; c < TILE; c++) {
        store<f64>(to, c < own ? load<f64>(from + ((<usize>c) << 3)) : 0);
        to += 8;
      }
    }
  }
}

/** out ← out + Σ_k a_k b_k for a tile: a_k and b_k are 4 values each, `aStep` and 32 bytes apart. */
function tile(
  a: usize,
  aStride: usize,
  aStep: usize,
  b: usize,
  n: i32,
  out: usize,
  width: usize,
): void {
  let s00 = f64x2.splat(0);
  let s01 = f64x2.splat(0);
  let s10 = f64x2.splat(0);
  let s11 = f64x2.splat(0);
  let s20 = f64x2.splat(0);
  let s21 = f64x2.splat(0);
  let s30 = f64x2.splat(0);
  let s31 = f64x2.splat(0);
  const a1 = aStride;
  const a2 = a1 + aStride;
  const a3 = a2 + aStride;
  for (let k = 0; k < n; k++) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const x0 = v128.load64_splat(a);
    s00 = f64x2.add(s00, f64x2.mul(x0, b0));
    s01 = f64x2.add(s01, f64x2.mul(x0, b1));
    const x1 = v128.load64_splat(a + a1);
    s10 = f64x2.add(s10, f64x2.mul(x1, b0));
    s11 = f64x2.add(s11, f64x2.mul(x1, b1));
    const x2 = v128.load64_splat(a + a2);
    s20 = f64x2.add(s20, f64x2.mul(x2, b0));
    s21 = f64x2.add(s21, f64x2.mul(x2, b1));
    const x3 = v128.load64_splat(a + a3);
    s30 = f64x2.add(s30, f64x2.mul(x3, b0));
    s31 = f64x2.add(s31, f64x2.mul(x3, b1));
    a += aStep;
    b += 32;
  }
  addTo(out, s00, s01);
  addTo(out + width, s10, s11);
  addTo(out + 2 * width, s20, s21);
  addTo(out + 3 * width, s30, s31);
}

function addTo(out: usize, low: v128, high: v128): void {
  v128.store(out, f64x2.add(v128.load(out), low));
  v128.store(out, f64x2.add(v128.load(out, 16), high), 16);
}

@unmanaged
export class GramTask {
  /** (cols / 4, rows, 4). */
  packed: usize;
  rows: i32;
  tiles: i32;
  /** (4 tiles, 4 tiles). */
  out: usize;
}

/** Adds a_i · a_j to out[i, j] for four i and all j from their tile on. A chunk is a tile of i. */
export function addGram(t: GramTask, chunk: i32, thread: i32): void {
  const bytes = (<usize>t.rows * TILE) << 3;
  const width = (<usize>t.tiles * TILE) << 3;
  const a = t.packed + <usize>chunk * bytes;
  const row = t.out + <usize>chunk * TILE * width;
  for (let j = chunk; j < t.tiles; j++) {
    tile(a, 8, 32, t.packed + <usize>j * bytes, t.rows, row + ((<usize>j * TILE) << 3), width);
  }
}

@unmanaged
export class ProductTask {
  /** (rows, inner): rows a multiple of 4. */
  a: usize;
  rows: i32;
  inner: i32;
  /** (tiles, inner, 4). */
  packed: usize;
  tiles: i32;
  /** (rows, 4 tiles), added to. */
  out: usize;
}

/** out ← out + a · b, b packed. A chunk is four rows. */
export function addProduct(t: ProductTask, chunk: i32, thread: i32): void {
  const stride = (<usize>t.inner) << 3;
  const width = (<usize>t.tiles * TILE) << 3;
  const bytes = (<usize>t.inner * TILE) << 3;
  const a = t.a + <usize>chunk * TILE * stride;
  const row = t.out + <usize>chunk * TILE * width;
  for (let j = 0; j < t.tiles; j++) {
    tile(a, stride, 8, t.packed + <usize>j * bytes, t.inner, row + ((<usize>j * TILE) << 3), width);
  }
}

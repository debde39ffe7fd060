/** Four float32 lanes at a time. Lengths are multiples of 4, rows are padded with zeros. */

/** a · b + c; rounded once where the machine has relaxed SIMD and a fused multiply-add, else twice. */
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return v128.relaxed_madd<f32>(a, b, c);
  return f32x4.add(c, f32x4.mul(a, b));
}

export function sumOfLanes(a: v128): f32 {
  return (
    f32x4.extract_lane(a, 0) +
    f32x4.extract_lane(a, 1) +
    (f32x4.extract_lane(a, 2) + f32x4.extract_lane(a, 3))
  );
}

/** Σ a_i b_i, in four sums of four lanes each. */
export function dot(a: usize, b: usize, n: i32): f32 {
  let s0 = f32x4.splat(0);
  let s1 = f32x4.splat(0);
  let s2 = f32x4.splat(0);
  let s3 = f32x4.splat(0);
  const end = a + ((<usize>n) << 2);
  const unrolled = a + ((<usize>(n & ~15)) << 2);
  while (a < unrolled) {
    s0 = madd(v128.load(a), v128.load(b), s0);
    s1 = madd(v128.load(a, 16), v128.load(b, 16), s1);
    s2 = madd(v128.load(a, 32), v128.load(b, 32), s2);
    s3 = madd(v128.load(a, 48), v128.load(b, 48), s3);
    a += 64;
    b += 64;
  }
  while (a < end) {
    s0 = madd(v128.load(a), v128.load(b), s0);
    a += 16;
    b += 16;
  }
  return sumOfLanes(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
}

/** y ← y + factor · x. */
export function addScaled(y: usize, x: usize, factor: f32, n: i32): void {
  const f = f32x4.splat(factor);
  const end = y + ((<usize>n) << 2);
  while (y < end) {
    v128.store(y, madd(f, v128.load(x), v128.load(y)));
    y += 16;
    x += 16;
  }
}

/** y ← factor · x. */
export function scaled(y: usize, x: usize, factor: f32, n: i32): void {
  const f = f32x4.splat(factor);
  const end = y + ((<usize>n) << 2);
  while (y < end) {
    v128.store(y, f32x4.mul(f, v128.load(x)));
    y += 16;
    x += 16;
  }
}

export function copy(y: usize, x: usize, n: i32): void {
  memory.copy(y, x, (<usize>n) << 2);
}

export function zero(y: usize, n: i32): void {
  memory.fill(y, 0, (<usize>n) << 2);
}

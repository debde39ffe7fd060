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

/** Σ a_i², finite for all finite values: where float32 cannot hold it, squares are taken in float64. */
export function sumOfSquares(a: usize, n: i32): f64 {
  const single = dot(a, a, n);
  if (single <= f32.MAX_VALUE) return <f64>single;
  let sum: f64 = 0;
  for (const end = a + ((<usize>n) << 2); a < end; a += 4) {
    const value = <f64>load<f32>(a);
    sum += value * value;
  }
  return sum;
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

/** y ← y + Σ f_i x_i for four at once: y is read and written a quarter as often. */
export function addScaled4(
  y: usize,
  x0: usize,
  x1: usize,
  x2: usize,
  x3: usize,
  factors: v128,
  n: i32,
): void {
  const f0 = v128.shuffle<f32>(factors, factors, 0, 0, 0, 0);
  const f1 = v128.shuffle<f32>(factors, factors, 1, 1, 1, 1);
  const f2 = v128.shuffle<f32>(factors, factors, 2, 2, 2, 2);
  const f3 = v128.shuffle<f32>(factors, factors, 3, 3, 3, 3);
  const bytes = (<usize>n) << 2;
  for (let i: usize = 0; i < bytes; i += 16) {
    let sum = madd(f0, v128.load(x0 + i), v128.load(y + i));
    sum = madd(f1, v128.load(x1 + i), sum);
    sum = madd(f2, v128.load(x2 + i), sum);
    v128.store(y + i, madd(f3, v128.load(x3 + i), sum));
  }
}

/** a_0·b, a_1·b, a_2·b, a_3·b, each in one sum of four lanes. */
export function dot4(a0: usize, a1: usize, a2: usize, a3: usize, b: usize, n: i32): v128 {
  let s0 = f32x4.splat(0);
  let s1 = f32x4.splat(0);
  let s2 = f32x4.splat(0);
  let s3 = f32x4.splat(0);
  const bytes = (<usize>n) << 2;
  for (let i: usize = 0; i < bytes; i += 16) {
    const own = v128.load(b + i);
    s0 = madd(v128.load(a0 + i), own, s0);
    s1 = madd(v128.load(a1 + i), own, s1);
    s2 = madd(v128.load(a2 + i), own, s2);
    s3 = madd(v128.load(a3 + i), own, s3);
  }
  // Lanes to sums: pairs of pairs.
  const low = f32x4.add(
    v128.shuffle<f32>(s0, s1, 0, 4, 1, 5),
    v128.shuffle<f32>(s0, s1, 2, 6, 3, 7),
  );
  const high = f32x4.add(
    v128.shuffle<f32>(s2, s3, 0, 4, 1, 5),
    v128.shuffle<f32>(s2, s3, 2, 6, 3, 7),
  );
  return f32x4.add(
    v128.shuffle<f32>(low, high, 0, 1, 4, 5),
    v128.shuffle<f32>(low, high, 2, 3, 6, 7),
  );
}

/** y ← y + Σ values[e] · rows[e], for entries first..end-1: rows lie at `from`, `bytes` apart. */
export function addEntries(
  y: usize,
  from: usize,
  bytes: usize,
  index: usize,
  values: usize,
  first: i32,
  end: i32,
  n: i32,
): void {
  let e = first;
  for (; e + 4 <= end; e += 4) {
    const at = index + ((<usize>e) << 2);
    addScaled4(
      y,
      from + <usize>load<i32>(at) * bytes,
      from + <usize>load<i32>(at, 4) * bytes,
      from + <usize>load<i32>(at, 8) * bytes,
      from + <usize>load<i32>(at, 12) * bytes,
      v128.load(values + ((<usize>e) << 2)),
      n,
    );
  }
  for (; e < end; e++) {
    const at = (<usize>e) << 2;
    addScaled(y, from + <usize>load<i32>(index + at) * bytes, load<f32>(values + at), n);
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

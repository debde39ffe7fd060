/**
 * Rows of a SynthSAEBench world, draw for draw and bit for bit those of ../synth-firing.ts, which says what they are:
 * the four sums of a product are the lanes of two vectors, and nothing is fused.
 */

/** As ../tail-table.ts and ../candidates.ts have them. */
const LIMIT: f64 = 8;
const STEPS: f64 = 128;
const LAST_CELL: i32 = 2048;
const LAST: usize = 2048 << 3;
const GROUP: i32 = 64;
const GRID_STEP: f64 = 0.1;
const DENSE_RATE: f64 = 0.3;
/** 2^-53. */
const UNIT: f64 = 1.0 / 9007199254740992.0;

// JavaScript's own: a logarithm of another library would differ in its last bits.
declare function log(x: f64): f64;
declare function upperTail(t: f64): f64;

/** What a world is, and the scratch of a row. Fields are of four or eight bytes, in the order ../compiled-rows.ts writes them. */
@unmanaged
class World {
  /** The generator's state, as ../../rng.ts keeps it: the spare normal is NaN where there is none. */
  word0: i32;
  word1: i32;
  word2: i32;
  word3: i32;
  spare: f64;
  /** Features, `stride` bytes apart: a Feature and its row of U, `width` bytes of which `half` are multiplied first. */
  features: i32;
  stride: i32;
  width: i32;
  half: i32;
  /** ε, padded with zeros, `rank` bytes of it drawn. */
  shared: i32;
  rank: i32;
  upperTails: i32;
  roots: i32;
  scaleChildren: i32;
  firstChild: i32;
  childCount: i32;
  exclusive: i32;
  members: i32;
  memberCount: i32;
  groups: i32;
  grid: i32;
  rates: i32;
  logMisses: i32;
  /** Roots, as members have their numbers. */
  rootNumbers: i32;
  /** For screening: ε in float32, rows of float32 by block, upper bounds by cell, and the cells of a group. */
  shared32: i32;
  rootScreens: i32;
  memberScreens: i32;
  bounds: i32;
  cells: i32;
  /** What is on, in the order in which it fires, and its activations. */
  on: i32;
  activation: i32;
}

@unmanaged
class Feature {
  threshold: f64;
  own: f64;
  rest: f64;
  mean: f64;
  sd: f64;
  padding: f64;
}

const FACTOR: i32 = 48;

// State of a row in the making.
let s0: i32 = 0;
let s1: i32 = 0;
let s2: i32 = 0;
let s3: i32 = 0;
let spare: f64 = NaN;
let restLength: f64 = 0;
let count: i32 = 0;

/** Draws one row and advances the generator. @returns how many features are on. */
export function drawRow(world: World): i32 {
  s0 = world.word0;
  s1 = world.word1;
  s2 = world.word2;
  s3 = world.word3;
  spare = world.spare;
  let square: f64 = 0;
  let rest: f64 = 0;
  for (let r = 0; r < world.rank; r += 8) {
    const value = normal();
    store<f64>(world.shared + r, value);
    store<f32>(world.shared32 + (r >> 1), <f32>value);
    square += value * value;
    if (r >= world.half) rest += value * value;
  }
  restLength = Math.sqrt(rest);
  count = 0;
  const step = <i32>Math.ceil(Math.sqrt(square) / GRID_STEP);
  drawForest(world, step < world.grid);
  drawFree(world, step);
  world.word0 = s0;
  world.word1 = s1;
  world.word2 = s2;
  world.word3 = s3;
  world.spare = spare;
  return count;
}

/**
 * Draws rows x = bias + Σ a_f g_f one after another: four directions at a time, each added in its turn as world.ts does.
 * @param x - room for `rows` rows of `width` bytes.
 * @param directions - (features, width), bias - one row.
 */
export function drawRows(
  world: World,
  x: i32,
  rows: i32,
  width: i32,
  directions: i32,
  bias: i32,
): void {
  for (let end = x + rows * width; x < end; x += width) {
    memory.copy(x, bias, width);
    const on = drawRow(world);
    let at = 0;
    for (; at + 4 <= on; at += 4) addFour(world, x, width, directions, at);
    for (; at < on; at++) addOne(world, x, width, directions, at);
  }
}

function addOne(world: World, x: i32, width: i32, directions: i32, at: i32): void {
  const a = f64x2.splat(activationOf(world, at));
  const shift = directionOf(world, at, width, directions) - x;
  const last = x + width - 8;
  let i = x;
  for (; i < last; i += 16) {
    v128.store(i, f64x2.add(v128.load(i), f64x2.mul(a, v128.load(i + shift))));
  }
  if (i === last) {
    store<f64>(i, load<f64>(i) + activationOf(world, at) * load<f64>(i + shift));
  }
}

function addFour(world: World, x: i32, width: i32, directions: i32, at: i32): void {
  const a = f64x2.splat(activationOf(world, at));
  const b = f64x2.splat(activationOf(world, at + 1));
  const c = f64x2.splat(activationOf(world, at + 2));
  const d = f64x2.splat(activationOf(world, at + 3));
  const toA = directionOf(world, at, width, directions) - x;
  const toB = directionOf(world, at + 1, width, directions) - x;
  const toC = directionOf(world, at + 2, width, directions) - x;
  const toD = directionOf(world, at + 3, width, directions) - x;
  const last = x + width - 8;
  let i = x;
  for (; i < last; i += 16) {
    let sum = v128.load(i);
    sum = f64x2.add(sum, f64x2.mul(a, v128.load(i + toA)));
    sum = f64x2.add(sum, f64x2.mul(b, v128.load(i + toB)));
    sum = f64x2.add(sum, f64x2.mul(c, v128.load(i + toC)));
    sum = f64x2.add(sum, f64x2.mul(d, v128.load(i + toD)));
    v128.store(i, sum);
  }
  if (i === last) {
    let sum = load<f64>(i);
    for (let k = at; k < at + 4; k++) {
      const g = directionOf(world, k, width, directions) - x;
      sum += activationOf(world, k) * load<f64>(i + g);
    }
    store<f64>(i, sum);
  }
}

function activationOf(world: World, at: i32): f64 {
  return load<f64>(world.activation + (at << 3));
}

function directionOf(world: World, at: i32, width: i32, directions: i32): i32 {
  return directions + load<i32>(world.on + (at << 2)) * width;
}

/** Screening is exact for |ε| on the grid, where it is but once in 1e15 rows. */
function drawForest(world: World, onGrid: bool): void {
  if (onGrid) drawScreened(world, world.rootNumbers, world.roots, world.rootScreens, 1);
  else for (let root = 0; root < world.roots; root++) draw(world, root, uniform(), 1);
  for (let at = 0; at < count; at++) {
    const parent = load<i32>(world.on + (at << 2));
    const activation = load<f64>(world.activation + (at << 3));
    const byParent = world.scaleChildren ? activation / featureOf(world, parent).mean : 1;
    const start = count;
    const first = load<i32>(world.firstChild + (parent << 2));
    const end = first + load<i32>(world.childCount + (parent << 2));
    for (let child = first; child < end; child++) draw(world, child, uniform(), byParent);
    if (count - start > 1 && load<u8>(world.exclusive + parent) === 1) {
      const kept = start + below(count - start);
      put(
        world,
        start,
        load<i32>(world.on + (kept << 2)),
        load<f64>(world.activation + (kept << 3)),
      );
      count = start + 1;
    }
  }
}

function drawFree(world: World, step: i32): void {
  for (let g = 0; g < world.groups; g++) {
    const at = (g * world.grid + step) << 3;
    const rate: f64 = step < world.grid ? load<f64>(world.rates + at) : 1;
    const end = min((g + 1) * GROUP, world.memberCount);
    if (rate > DENSE_RATE && step < world.grid) {
      const first = g * GROUP;
      const screens = world.memberScreens + first * screenBytes(world);
      drawScreened(world, world.members + (first << 2), end - first, screens, rate);
    } else if (rate > DENSE_RATE) {
      for (let i = g * GROUP; i < end; i++) {
        const v = uniform();
        if (v < rate) draw(world, load<i32>(world.members + (i << 2)), v, 1);
      }
    } else if (rate > 0) {
      const logMiss = load<f64>(world.logMisses + at);
      // Skips may be longer than an integer holds.
      let i = <f64>(g * GROUP) + Math.floor(log(1 - uniform()) / logMiss);
      while (i < <f64>end) {
        draw(world, load<i32>(world.members + ((<i32>i) << 2)), uniform() * rate, 1);
        i += 1 + Math.floor(log(1 - uniform()) / logMiss);
      }
    }
  }
}

/**
 * Tries features with one number each. Few of those numbers are below the feature's probability, and float32 tells so of
 * nearly all the others: only where it cannot tell is the exact product taken.
 */
function drawScreened(world: World, numbers: i32, length: i32, screens: i32, rate: f64): void {
  screen(world, length, screens);
  const cells = world.cells;
  const bounds = world.bounds;
  // The generator in locals: globals are written and read back at every draw.
  let w0 = s0;
  let w1 = s1;
  let w2 = s2;
  let w3 = s3;
  for (let i = 0; i < length; i++) {
    let product = rotl<i32>(w1 * 5, 7) * 9;
    const high = <u64>((<u32>product) >>> 5);
    w2 ^= w0;
    w3 ^= w1;
    let shifted = w1 << 9;
    w0 ^= w3;
    w1 ^= w2;
    w2 ^= shifted;
    w3 = rotl<i32>(w3, 11);
    product = rotl<i32>(w1 * 5, 7) * 9;
    w2 ^= w0;
    w3 ^= w1;
    shifted = w1 << 9;
    w0 ^= w3;
    w1 ^= w2;
    w2 ^= shifted;
    w3 = rotl<i32>(w3, 11);
    const v = <f64>((high << 26) | (<u64>((<u32>product) >>> 6))) * UNIT;
    if (v < load<f64>(bounds + (load<i32>(cells + (i << 2)) << 3)) && v < rate) {
      s0 = w0;
      s1 = w1;
      s2 = w2;
      s3 = w3;
      draw(world, load<i32>(numbers + (i << 2)), v, 1);
      w0 = s0;
      w1 = s1;
      w2 = s2;
      w3 = s3;
    }
  }
  s0 = w0;
  s1 = w1;
  s2 = w2;
  s3 = w3;
}

/** Bytes a feature takes among screens: its start and a float32 for each shared normal. */
function screenBytes(world: World): i32 {
  return 4 + (world.rank >> 1);
}

/** The cell of ../tail-table.ts that t lies in, or one a little below: of 16 features at a time. */
function screen(world: World, length: i32, screens: i32): void {
  const end = world.shared32 + (world.rank >> 1);
  const cells = world.cells;
  let at = screens;
  for (let i = 0; i < length; i += 16) {
    let a = v128.load(at);
    let b = v128.load(at, 16);
    let c = v128.load(at, 32);
    let d = v128.load(at, 48);
    at += 64;
    for (let e = world.shared32; e < end; e += 4) {
      const factor = v128.load32_splat(e);
      a = f32x4.sub(a, f32x4.mul(factor, v128.load(at)));
      b = f32x4.sub(b, f32x4.mul(factor, v128.load(at, 16)));
      c = f32x4.sub(c, f32x4.mul(factor, v128.load(at, 32)));
      d = f32x4.sub(d, f32x4.mul(factor, v128.load(at, 48)));
      at += 64;
    }
    const cell = cells + (i << 2);
    v128.store(cell, cellsOf(a));
    v128.store(cell, cellsOf(b), 16);
    v128.store(cell, cellsOf(c), 32);
    v128.store(cell, cellsOf(d), 48);
  }
}

function cellsOf(x: v128): v128 {
  const whole = i32x4.trunc_sat_f32x4_s(x);
  return i32x4.max_s(i32x4.min_s(whole, i32x4.splat(LAST_CELL)), i32x4.splat(0));
}

/** Puts the feature on the list if it is on. */
function draw(world: World, number: i32, v: f64, byParent: f64): void {
  const feature = featureOf(world, number);
  if (!exceeds(world, feature, v)) return;
  const value = (feature.mean + feature.sd * normal()) * byParent;
  if (value > 0) put(world, count++, number, value);
}

function featureOf(world: World, number: i32): Feature {
  return changetype<Feature>(<usize>(world.features + number * world.stride));
}

function put(world: World, at: i32, feature: i32, activation: f64): void {
  store<i32>(world.on + (at << 2), feature);
  store<f64>(world.activation + (at << 3), activation);
}

function exceeds(world: World, feature: Feature, v: f64): bool {
  let ab = f64x2.splat(0);
  let cd = f64x2.splat(0);
  let u = changetype<i32>(feature) + FACTOR;
  let e = world.shared;
  const half = u + world.half;
  const end = u + world.width;
  while (u < half) {
    ab = f64x2.add(ab, f64x2.mul(v128.load(u), v128.load(e)));
    cd = f64x2.add(cd, f64x2.mul(v128.load(u, 16), v128.load(e, 16)));
    u += 32;
    e += 32;
  }
  const most = sumOf(ab, cd) + feature.rest * restLength;
  if (surelyNotBelow(world, v, (feature.threshold - most) / feature.own)) return false;
  while (u < end) {
    ab = f64x2.add(ab, f64x2.mul(v128.load(u), v128.load(e)));
    cd = f64x2.add(cd, f64x2.mul(v128.load(u, 16), v128.load(e, 16)));
    u += 32;
    e += 32;
  }
  return belowUpperTail(world, v, (feature.threshold - sumOf(ab, cd)) / feature.own);
}

function sumOf(ab: v128, cd: v128): f64 {
  return (
    f64x2.extract_lane(ab, 0) +
    f64x2.extract_lane(ab, 1) +
    (f64x2.extract_lane(cd, 0) + f64x2.extract_lane(cd, 1))
  );
}

function belowUpperTail(world: World, value: f64, t: f64): bool {
  if (!(t >= -LIMIT && t < LIMIT)) return value < upperTail(t);
  const cell = world.upperTails + ((<i32>((t + LIMIT) * STEPS)) << 3);
  if (value < load<f64>(cell, 8)) return true;
  return value < load<f64>(cell) && value < upperTail(t);
}

function surelyNotBelow(world: World, value: f64, t: f64): bool {
  if (!(t >= -LIMIT && t < LIMIT)) {
    return t >= LIMIT && value >= load<f64>(world.upperTails, LAST);
  }
  return value >= load<f64>(world.upperTails + ((<i32>((t + LIMIT) * STEPS)) << 3));
}

function bits(): u32 {
  const a = s2 ^ s0;
  const b = s3 ^ s1;
  const old = s1;
  s3 = rotl<i32>(b, 11);
  s2 = a ^ (old << 9);
  s1 = old ^ a;
  s0 = s0 ^ b;
  return <u32>(rotl<i32>(old * 5, 7) * 9);
}

function uniform(): f64 {
  const high = <u64>(bits() >>> 5);
  return <f64>((high << 26) | (<u64>(bits() >>> 6))) * UNIT;
}

function normal(): f64 {
  const kept = spare;
  if (kept === kept) {
    spare = NaN;
    return kept;
  }
  let u: f64;
  let v: f64;
  let s: f64;
  do {
    u = 2 * uniform() - 1;
    v = 2 * uniform() - 1;
    s = u * u + v * v;
  } while (s >= 1 || s === 0);
  const scale = Math.sqrt((-2 * log(s)) / s);
  spare = v * scale;
  return u * scale;
}

function below(n: i32): i32 {
  const limit = <u64>0x1_0000_0000 - (<u64>0x1_0000_0000 % <u64>n);
  let value = <u64>bits();
  while (value >= limit) value = <u64>bits();
  return <i32>(value % <u64>n);
}

/**
 * Rows of a SynthSAEBench world, draw for draw and bit for bit those of ../synth-firing.ts, which says what they are:
 * the four sums of a product are the lanes of two vectors, and nothing is fused.
 */

/** As ../tail-table.ts and ../candidates.ts have them. */
const LIMIT: f64 = 8;
const STEPS: f64 = 128;
const LAST: usize = 2048 << 3;
const GROUP: i32 = 64;
const GRID_STEP: f64 = 0.1;
const DENSE_RATE: f64 = 0.3;

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
    square += value * value;
    if (r >= world.half) rest += value * value;
  }
  restLength = Math.sqrt(rest);
  count = 0;
  drawForest(world);
  drawFree(world, Math.sqrt(square));
  world.word0 = s0;
  world.word1 = s1;
  world.word2 = s2;
  world.word3 = s3;
  world.spare = spare;
  return count;
}

function drawForest(world: World): void {
  for (let root = 0; root < world.roots; root++) draw(world, root, uniform(), 1);
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

function drawFree(world: World, length: f64): void {
  const step = <i32>Math.ceil(length / GRID_STEP);
  for (let g = 0; g < world.groups; g++) {
    const at = (g * world.grid + step) << 3;
    const rate: f64 = step < world.grid ? load<f64>(world.rates + at) : 1;
    const end = min((g + 1) * GROUP, world.memberCount);
    if (rate > DENSE_RATE) {
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
  return <f64>((high << 26) | (<u64>(bits() >>> 6))) * (1.0 / 9007199254740992.0);
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

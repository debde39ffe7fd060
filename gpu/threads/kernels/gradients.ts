/**
 * gradients: every latent's own, from the rows that selected it. A latent that no row selected has none, exactly, and costs
 * nothing. A chunk is some panels of 12 latents.
 */
import { startsFromCounts, startsFromEnds } from './select';
import { addScaled, addScaled4, copy, dot, dot4, sumOfLanes, sumOfSquares, zero } from './vector';

const LATENTS = 12;

/** Bytes of errors and inputs that stay in the cache while a panel's latents pass over them. */
const BLOCK_BYTES = 1 << 18;

@unmanaged
export class LatentsTask {
  latents: i32;
  rows: i32;
  d_in: i32;
  stride: i32;
  /** Panels of a chunk. */
  chunk_panels: i32;
  /** Panels, (d_sae / 12, d_in, 12). */
  W_enc: usize;
  W_dec: usize;
  /** (rows, stride): what the encoder multiplied. */
  centred: usize;
  /** Rows by latent: (d_sae + 1), then (entries) each. */
  start: usize;
  row: usize;
  value: usize;
  /** (levels, rows, stride): T_g. */
  errors: usize;
  prefixes: usize;
  levels: i32;
  /** Auxiliary losses: one for all latents, or one for each level's own; 0 if none. */
  aux: usize;
  auxLosses: i32;
  /** Gradients, as the parameters lie; W_dec's before projection too, if `raw` is not 0. */
  gW_enc: usize;
  gb_enc: usize;
  gW_dec: usize;
  raw: usize;
  /** Bytes: whether a panel has any gradient. Where it has none, nothing is written. */
  touched: usize;
  project: i32;
  epsilon: f32;
  /** Whether b_dec reaches the loss through the encoder; (chunks, stride): W_enc Σ δ. */
  subtracts: i32;
  encoderBias: usize;
  /** (chunks), float64: Σ squares of W_enc's, b_enc's and W_dec's. */
  squares: usize;
  usesBias: i32;
  /** (threads, 12, stride). */
  scratch: usize;
}

/** What one auxiliary loss hands back. */
@unmanaged
class Auxiliary {
  /** Rows by latent, as for the latents that were selected; 0 if nothing was chosen, or products made the gradients. */
  start: usize;
  row: usize;
  value: usize;
  /** (rows, stride) and their factor. */
  error: usize;
  scale: f32;
  /** Where products made the gradients: (d_sae) the row of a latent or -1, then (dead, stride) twice; else 0. */
  place: usize;
  W_enc: usize;
  W_dec: usize;
  /** (rows, dead): Σ over rows is the encoder bias's. */
  deltas: usize;
  dead: i32;
}

function auxiliaryOf(t: LatentsTask, j: i32): Auxiliary {
  const own = t.auxLosses == 1 ? 0 : levelOf(t, j);
  return changetype<Auxiliary>(t.aux + <usize>own * offsetof<Auxiliary>());
}

export function latentGradients(t: LatentsTask, chunk: i32, thread: i32): void {
  const bytes = (<usize>t.stride) << 2;
  const scratch = t.scratch + <usize>thread * <usize>LATENTS * bytes;
  const panels = (t.latents + LATENTS - 1) / LATENTS;
  const first = chunk * t.chunk_panels;
  const end = min(panels, first + t.chunk_panels);
  let squares: f64 = 0;
  const encoderBias = t.encoderBias + <usize>chunk * bytes;
  memory.fill(encoderBias, 0, bytes);
  for (let p = first; p < end; p++) {
    const j0 = p * LATENTS;
    const count = min(LATENTS, t.latents - j0);
    const own = anyEntries(t.start, j0, count);
    const aux = t.aux ? anyAuxiliary(t, j0, count) : false;
    store<u8>(t.touched + <usize>p, <u8>(own || aux));
    if (!own && !aux) continue;
    const gb = t.gb_enc + ((<usize>j0) << 2);
    memory.fill(scratch, 0, <usize>LATENTS * bytes);
    memory.fill(gb, 0, LATENTS << 2);
    for (let l = 0; l < count; l++) zero(t.gW_dec + <usize>(j0 + l) * bytes, t.stride);
    for (let l = 0; own && l < count; l++) {
      const j = j0 + l;
      const errors = t.errors + <usize>levelOf(t, j) * <usize>t.rows * bytes;
      const at = t.start + ((<usize>j) << 2);
      const enc = scratch + <usize>l * bytes;
      const bias = gb + ((<usize>l) << 2);
      entries(t, j, t.row, t.value, load<i32>(at), load<i32>(at, 4), errors, 1, enc, bias);
    }
    if (aux) {
      entriesPanel(t, j0, count, scratch, gb);
      for (let l = 0; l < count; l++) {
        addDense(t, j0 + l, scratch + <usize>l * bytes, gb + ((<usize>l) << 2));
      }
    }
    for (let l = 0; l < count; l++) squares += finished(t, j0 + l, scratch + <usize>l * bytes);
    const panel = (<usize>p * <usize>t.d_in * LATENTS) << 2;
    if (t.subtracts) addPanel(encoderBias, t.W_enc + panel, gb, t.d_in);
    if (!t.usesBias) memory.fill(gb, 0, LATENTS << 2);
    for (let l = 0; l < count; l++) {
      const g = <f64>load<f32>(gb + ((<usize>l) << 2));
      squares += g * g;
    }
    intoPanel(t.gW_enc + panel, scratch, t.d_in, bytes);
  }
  store<f64>(t.squares + ((<usize>chunk) << 3), squares);
}

function anyEntries(start: usize, j: i32, count: i32): bool {
  const at = start + ((<usize>j) << 2);
  return load<i32>(at) != load<i32>(at + ((<usize>count) << 2));
}

function anyAuxiliary(t: LatentsTask, j0: i32, count: i32): bool {
  for (let j = j0; j < j0 + count; j++) {
    const aux = auxiliaryOf(t, j);
    if (aux.start && anyEntries(aux.start, j, 1)) return true;
    if (aux.place && load<i32>(aux.place + ((<usize>j) << 2)) >= 0) return true;
  }
  return false;
}

/** Adds a latent's share of what products made: the encoder's at `enc`, Σ δ at `bias`, the decoder row's in place. */
function addDense(t: LatentsTask, j: i32, enc: usize, bias: usize): void {
  const aux = auxiliaryOf(t, j);
  const place = aux.place ? load<i32>(aux.place + ((<usize>j) << 2)) : -1;
  if (place < 0) return;
  const bytes = (<usize>t.stride) << 2;
  addScaled(enc, aux.W_enc + <usize>place * bytes, 1, t.stride);
  addScaled(t.gW_dec + <usize>j * bytes, aux.W_dec + <usize>place * bytes, aux.scale, t.stride);
  const width = (<usize>aux.dead) << 2;
  let delta = aux.deltas + ((<usize>place) << 2);
  let sum = load<f32>(bias);
  for (let row = 0; row < t.rows; row++) {
    sum += load<f32>(delta);
    delta += width;
  }
  store<f32>(bias, sum);
}

/**
 * What chosen entries add to a panel's gradients. A dead latent may be chosen in most rows: block by block of rows, so that
 * these are fetched once for all twelve.
 */
function entriesPanel(t: LatentsTask, j0: i32, count: i32, scratch: usize, gb: usize): void {
  const bytes = (<usize>t.stride) << 2;
  const block = max<i32>(4, BLOCK_BYTES / (t.stride << 3));
  for (let first = 0; first < t.rows; first += block) {
    const end = first + block;
    for (let l = 0; l < count; l++) {
      const j = j0 + l;
      const aux = auxiliaryOf(t, j);
      if (!aux.start) continue;
      const at = aux.start + ((<usize>j) << 2);
      const last = load<i32>(at, 4);
      const from = entryOfRow(aux.row, load<i32>(at), last, first);
      const to = entryOfRow(aux.row, from, last, end);
      const enc = scratch + <usize>l * bytes;
      const bias = gb + ((<usize>l) << 2);
      entries(t, j, aux.row, aux.value, from, to, aux.error, aux.scale, enc, bias);
    }
  }
}

/** The first of entries low..high-1, ascending by row, whose row is `row` or later. */
function entryOfRow(rows: usize, low: i32, high: i32, row: i32): i32 {
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (load<i32>(rows + ((<usize>middle) << 2)) < row) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Adds entries first..end-1 of latent j to its gradients: the encoder's at `enc`, Σ δ at `bias`, the decoder row's in place. */
function entries(
  t: LatentsTask,
  j: i32,
  rows: usize,
  values: usize,
  first: i32,
  end: i32,
  errors: usize,
  factor: f32,
  enc: usize,
  bias: usize,
): void {
  const n = t.stride;
  const bytes = (<usize>n) << 2;
  const w = t.W_dec + <usize>j * bytes;
  const g = t.gW_dec + <usize>j * bytes;
  const by = f32x4.splat(factor);
  let sum = load<f32>(bias);
  let e = first;
  for (; e + 4 <= end; e += 4) {
    const at = rows + ((<usize>e) << 2);
    const r0 = <usize>load<i32>(at) * bytes;
    const r1 = <usize>load<i32>(at, 4) * bytes;
    const r2 = <usize>load<i32>(at, 8) * bytes;
    const r3 = <usize>load<i32>(at, 12) * bytes;
    const deltas = f32x4.mul(by, dot4(errors + r0, errors + r1, errors + r2, errors + r3, w, n));
    const scaled = f32x4.mul(by, v128.load(values + ((<usize>e) << 2)));
    addScaled4(g, errors + r0, errors + r1, errors + r2, errors + r3, scaled, n);
    const c = t.centred;
    addScaled4(enc, c + r0, c + r1, c + r2, c + r3, deltas, n);
    sum += sumOfLanes(deltas);
  }
  for (; e < end; e++) {
    const at = (<usize>e) << 2;
    const row = <usize>load<i32>(rows + at) * bytes;
    const delta = factor * dot(errors + row, w, n);
    addScaled(g, errors + row, factor * load<f32>(values + at), n);
    addScaled(enc, t.centred + row, delta, n);
    sum += delta;
  }
  store<f32>(bias, sum);
}

/** Projects the decoder row's gradient where that comes first. Returns Σ squares of both. */
function finished(t: LatentsTask, j: i32, enc: usize): f64 {
  const n = t.stride;
  const bytes = (<usize>n) << 2;
  const g = t.gW_dec + <usize>j * bytes;
  if (t.raw) copy(t.raw + <usize>j * bytes, g, n);
  if (t.project) projectRow(g, t.W_dec + <usize>j * bytes, t.epsilon, n);
  return sumOfSquares(g, n) + sumOfSquares(enc, n);
}

/** The index from 0 of the first prefix that holds latent j. */
function levelOf(t: LatentsTask, j: i32): i32 {
  let g = 0;
  while (g < t.levels - 1 && load<i32>(t.prefixes + ((<usize>g) << 2)) <= j) g++;
  return g;
}

/** g ← g - (g·ŵ) ŵ with ŵ = w / (‖w‖ + epsilon). */
export function projectRow(g: usize, w: usize, epsilon: f32, n: i32): void {
  const length = sqrt<f32>(dot(w, w, n)) + epsilon;
  if (length == 0) return;
  addScaled(g, w, -(dot(g, w, n) / length) / length, n);
}

/** out ← out + panel · s for 12 factors s. */
function addPanel(out: usize, panel: usize, s: usize, d: i32): void {
  const s0 = v128.load(s);
  const s1 = v128.load(s, 16);
  const s2 = v128.load(s, 32);
  for (let i = 0; i < d; i++) {
    let sum = f32x4.mul(v128.load(panel), s0);
    sum = f32x4.add(sum, f32x4.mul(v128.load(panel, 16), s1));
    sum = f32x4.add(sum, f32x4.mul(v128.load(panel, 32), s2));
    const total =
      f32x4.extract_lane(sum, 0) +
      f32x4.extract_lane(sum, 1) +
      (f32x4.extract_lane(sum, 2) + f32x4.extract_lane(sum, 3));
    store<f32>(out, load<f32>(out) + total);
    out += 4;
    panel += 48;
  }
}

/** 12 rows into a panel. */
export function intoPanel(panel: usize, from: usize, d: i32, bytes: usize): void {
  for (let i = 0; i < d; i++) {
    let at = from + ((<usize>i) << 2);
    for (let l: usize = 0; l < 48; l += 4) {
      store<f32>(panel + l, load<f32>(at));
      at += bytes;
    }
    panel += 48;
  }
}

/** A panel into 12 rows. */
export function fromPanel(to: usize, panel: usize, d: i32, bytes: usize): void {
  for (let i = 0; i < d; i++) {
    let at = to + ((<usize>i) << 2);
    for (let l: usize = 0; l < 48; l += 4) {
      store<f32>(at, load<f32>(panel + l));
      at += bytes;
    }
    panel += 48;
  }
}

@unmanaged
export class ByLatentTask {
  rows: i32;
  latents: i32;
  /** By row. */
  start: usize;
  latent: usize;
  value: usize;
  /** By latent: (d_sae + 1), (entries), (entries). */
  latentStart: usize;
  row: usize;
  latentValue: usize;
}

/** Entries by row to entries by latent, there by row. */
export function byLatent(t: ByLatentTask): void {
  memory.fill(t.latentStart, 0, (<usize>t.latents + 1) << 2);
  const entries = load<i32>(t.start + ((<usize>t.rows) << 2));
  for (let e = 0; e < entries; e++) {
    const slot = t.latentStart + ((<usize>load<i32>(t.latent + ((<usize>e) << 2))) << 2);
    store<i32>(slot, load<i32>(slot) + 1);
  }
  startsFromCounts(t.latentStart, t.latents);
  for (let row = 0; row < t.rows; row++) {
    const end = load<i32>(t.start + ((<usize>(row + 1)) << 2));
    for (let e = load<i32>(t.start + ((<usize>row) << 2)); e < end; e++) {
      const slot = t.latentStart + ((<usize>load<i32>(t.latent + ((<usize>e) << 2))) << 2);
      const place = load<i32>(slot);
      store<i32>(slot, place + 1);
      store<i32>(t.row + ((<usize>place) << 2), row);
      store<f32>(t.latentValue + ((<usize>place) << 2), load<f32>(t.value + ((<usize>e) << 2)));
    }
  }
  startsFromEnds(t.latentStart, t.latents);
}

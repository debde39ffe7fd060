/** adam, and what a dialect does to decoder rows around it. */
import { projectRow } from './gradients';
import { dot } from './vector';

const LATENTS = 12;

@unmanaged
export class AdamTask {
  latents: i32;
  d_in: i32;
  stride: i32;
  chunk_panels: i32;
  /** Parameters and moments, each W_enc (panels), b_enc, W_dec. */
  W_enc: usize;
  b_enc: usize;
  W_dec: usize;
  mW_enc: usize;
  mb_enc: usize;
  mW_dec: usize;
  vW_enc: usize;
  vb_enc: usize;
  vW_dec: usize;
  gW_enc: usize;
  gb_enc: usize;
  gW_dec: usize;
  touched: usize;
  /** What every gradient is multiplied by. */
  clip: f32;
  /** 1 - beta1; beta2; 1 - beta2; rate / (1 - beta1^t); √(1 - beta2^t); epsilon. */
  newM: f32;
  oldV: f32;
  newV: f32;
  rate: f32;
  root: f32;
  epsilon: f32;
  /** After clipping. */
  project: i32;
  projectEpsilon: f32;
  /** 0 never, 1 before the update, 2 after it. */
  normalise: i32;
  normaliseEpsilon: f32;
  /** (d_sae): norms of the new rows. */
  norms: usize;
}

/** m ← m + (1 - β1)(g - m); v ← β2 v + (1 - β2) g²; p ← p - rate · m / (√v / root + ε), for n values; g is 0 where none. */
export function adam(t: AdamTask, p: usize, m: usize, v: usize, g: usize, n: i32): void {
  const clip = f32x4.splat(t.clip);
  const newM = f32x4.splat(t.newM);
  const oldV = f32x4.splat(t.oldV);
  const newV = f32x4.splat(t.newV);
  const rate = f32x4.splat(t.rate);
  const root = f32x4.splat(t.root);
  const epsilon = f32x4.splat(t.epsilon);
  const none = f32x4.splat(0);
  for (let i: usize = 0; i < (<usize>n) << 2; i += 16) {
    const gradient = g ? f32x4.mul(clip, v128.load(g + i)) : none;
    const m0 = v128.load(m + i);
    const m1 = f32x4.add(m0, f32x4.mul(newM, f32x4.sub(gradient, m0)));
    const v1 = f32x4.add(
      f32x4.mul(oldV, v128.load(v + i)),
      f32x4.mul(newV, f32x4.mul(gradient, gradient)),
    );
    v128.store(m + i, m1);
    v128.store(v + i, v1);
    const below = f32x4.add(f32x4.div(f32x4.sqrt(v1), root), epsilon);
    const step = f32x4.div(f32x4.mul(rate, m1), below);
    v128.store(p + i, f32x4.sub(v128.load(p + i), step));
  }
}

/** All that a chunk of latents owns. */
export function updateLatents(t: AdamTask, chunk: i32, thread: i32): void {
  const bytes = (<usize>t.stride) << 2;
  const panels = (t.latents + LATENTS - 1) / LATENTS;
  const first = chunk * t.chunk_panels;
  const end = min(panels, first + t.chunk_panels);
  for (let p = first; p < end; p++) {
    const touched = load<u8>(t.touched + <usize>p) != 0;
    const panel = (<usize>p * <usize>t.d_in * LATENTS) << 2;
    const g = touched ? t.gW_enc + panel : 0;
    adam(t, t.W_enc + panel, t.mW_enc + panel, t.vW_enc + panel, g, t.d_in * LATENTS);
    const b = (<usize>p * LATENTS) << 2;
    adam(t, t.b_enc + b, t.mb_enc + b, t.vb_enc + b, touched ? t.gb_enc + b : 0, LATENTS);
    const last = min(t.latents, (p + 1) * LATENTS);
    for (let j = p * LATENTS; j < last; j++) {
      const row = <usize>j * bytes;
      const w = t.W_dec + row;
      const gradient = touched ? t.gW_dec + row : 0;
      if (t.project && touched) projectRow(gradient, w, t.projectEpsilon, t.stride);
      if (t.normalise == 1) normaliseRow(w, t.normaliseEpsilon, t.stride);
      adam(t, w, t.mW_dec + row, t.vW_dec + row, gradient, t.stride);
      if (t.normalise == 2) normaliseRow(w, t.normaliseEpsilon, t.stride);
      if (t.norms) store<f32>(t.norms + ((<usize>j) << 2), sqrt<f32>(dot(w, w, t.stride)));
    }
  }
}

/** w ← w / (‖w‖ + epsilon). */
export function normaliseRow(w: usize, epsilon: f32, n: i32): void {
  const length = sqrt<f32>(dot(w, w, n)) + epsilon;
  const by = f32x4.splat(length);
  for (let i: usize = 0; i < (<usize>n) << 2; i += 16) {
    v128.store(w + i, f32x4.div(v128.load(w + i), by));
  }
}

/** Matrices as a library's products take them, and what it makes of them. */

const LATENTS = 12;

@unmanaged
export class UnpanelTask {
  /** Panels, (latents / 12, d_in, 12). */
  panels: usize;
  d_in: i32;
  latents: i32;
  chunk_panels: i32;
  /** (d_in, latents). */
  out: usize;
}

export function unpanel(t: UnpanelTask, chunk: i32, thread: i32): void {
  const panels = (t.latents + LATENTS - 1) / LATENTS;
  const end = min(panels, (chunk + 1) * t.chunk_panels);
  const width = (<usize>t.latents) << 2;
  for (let p = chunk * t.chunk_panels; p < end; p++) {
    const own = min(LATENTS, t.latents - p * LATENTS);
    let from = t.panels + ((<usize>p * <usize>t.d_in * LATENTS) << 2);
    let to = t.out + ((<usize>p * LATENTS) << 2);
    for (let i = 0; i < t.d_in; i++) {
      if (own == LATENTS) {
        v128.store(to, v128.load(from));
        v128.store(to, v128.load(from, 16), 16);
        v128.store(to, v128.load(from, 32), 32);
      } else memory.copy(to, from, (<usize>own) << 2);
      from += 48;
      to += width;
    }
  }
}

@unmanaged
export class BiasTask {
  rows: i32;
  width: i32;
  chunk_rows: i32;
  /** (rows, width). */
  values: usize;
  /** (width). */
  bias: usize;
}

export function addBias(t: BiasTask, chunk: i32, thread: i32): void {
  const end = min(t.rows, (chunk + 1) * t.chunk_rows);
  const bytes = (<usize>t.width) << 2;
  const whole = (<usize>(t.width & ~3)) << 2;
  for (let row = chunk * t.chunk_rows; row < end; row++) {
    const own = t.values + <usize>row * bytes;
    let i: usize = 0;
    for (; i < whole; i += 16) {
      v128.store(own + i, f32x4.add(v128.load(own + i), v128.load(t.bias + i)));
    }
    for (; i < bytes; i += 4) store<f32>(own + i, load<f32>(own + i) + load<f32>(t.bias + i));
  }
}

@unmanaged
export class SpreadTask {
  rows: i32;
  width: i32;
  chunk_rows: i32;
  /** Entries by row. */
  start: usize;
  latent: usize;
  value: usize;
  /** (d_sae): the column of a latent. */
  column: usize;
  /** (rows, width): where the values of the entries are read instead, times the factor; 0 for none. */
  from: usize;
  factor: f32;
  /** (rows, width): 0 but for the entries. */
  out: usize;
}

export function spreadRows(t: SpreadTask, chunk: i32, thread: i32): void {
  const end = min(t.rows, (chunk + 1) * t.chunk_rows);
  const bytes = (<usize>t.width) << 2;
  for (let row = chunk * t.chunk_rows; row < end; row++) {
    const out = t.out + <usize>row * bytes;
    const from = t.from ? t.from + <usize>row * bytes : 0;
    memory.fill(out, 0, bytes);
    const last = load<i32>(t.start + ((<usize>(row + 1)) << 2));
    for (let e = load<i32>(t.start + ((<usize>row) << 2)); e < last; e++) {
      const latent = load<i32>(t.latent + ((<usize>e) << 2));
      const at = (<usize>load<i32>(t.column + ((<usize>latent) << 2))) << 2;
      const value = from ? t.factor * load<f32>(from + at) : load<f32>(t.value + ((<usize>e) << 2));
      store<f32>(out + at, value);
    }
  }
}

@unmanaged
export class ColumnsTask {
  rows: i32;
  width: i32;
  chunk_rows: i32;
  /** (rows, width). */
  from: usize;
  /** (count): columns that are wanted. */
  names: usize;
  count: i32;
  /** (rows, count). */
  out: usize;
}

export function gatherColumns(t: ColumnsTask, chunk: i32, thread: i32): void {
  const end = min(t.rows, (chunk + 1) * t.chunk_rows);
  for (let row = chunk * t.chunk_rows; row < end; row++) {
    const from = t.from + ((<usize>row * <usize>t.width) << 2);
    const out = t.out + ((<usize>row * <usize>t.count) << 2);
    for (let at: usize = 0; at < (<usize>t.count) << 2; at += 4) {
      store<f32>(out + at, load<f32>(from + ((<usize>load<i32>(t.names + at)) << 2)));
    }
  }
}

/**
 * Parameters in the engine's memory, and the way there and back. W_enc lies in panels of 12 latents, (d_sae / 12, d_in, 12),
 * as the product reads it; rows of d_in are padded with zeros to a multiple of 4.
 * @module
 */
import type { SaeParams } from '../../reference/params.ts';
import type { Engine } from './engine.ts';

/** Latents of a panel. */
export const panelLatents = 12;

export interface Sizes {
  readonly d_in: number;
  readonly d_sae: number;
  /** d_in padded to a multiple of 4. */
  readonly stride: number;
  readonly panels: number;
}

export function sizesOf(d_in: number, d_sae: number): Sizes {
  return {
    d_in,
    d_sae,
    stride: Math.ceil(d_in / 4) * 4,
    panels: Math.ceil(d_sae / panelLatents),
  };
}

/** Addresses of the four parameters, or of what is shaped like them. */
export interface Blocks {
  readonly W_enc: number;
  readonly b_enc: number;
  readonly W_dec: number;
  readonly b_dec: number;
}

/** Room for what is shaped like the parameters, zero. */
export function allocBlocks(engine: Engine, { d_in, d_sae, stride, panels }: Sizes): Blocks {
  const zeros = (length: number): number => {
    const at = engine.alloc(length * 4);
    engine.f32(at, length).fill(0);
    return at;
  };
  return {
    W_enc: zeros(panels * d_in * panelLatents),
    b_enc: zeros(panels * panelLatents),
    W_dec: zeros(d_sae * stride),
    b_dec: zeros(stride),
  };
}

/** Values by parameter, row-major: W_enc (d_in, d_sae), W_dec (d_sae, d_in). */
export type Values = Readonly<Record<keyof Blocks, ArrayLike<number>>>;

export function valuesOf(params: SaeParams): Values {
  const { W_enc, b_enc, W_dec, b_dec } = params;
  return { W_enc: W_enc.data, b_enc, W_dec: W_dec.data, b_dec };
}

/** Rounds to float32. @throws {@link RangeError} on a value that is not finite. */
export function upload(engine: Engine, sizes: Sizes, blocks: Blocks, values: Values): void {
  for (const [name, list] of Object.entries(values)) {
    for (let i = 0; i < list.length; i++) {
      if (!Number.isFinite(list[i])) {
        throw new RangeError(`${name}: expected finite values, got ${list[i]} at ${i}`);
      }
    }
  }
  const { d_in, d_sae, stride, panels } = sizes;
  const W_enc = engine.f32(blocks.W_enc, panels * d_in * panelLatents);
  for (let i = 0; i < d_in; i++) {
    for (let j = 0; j < d_sae; j++) W_enc[inPanel(i, j, d_in)] = values.W_enc[i * d_sae + j];
  }
  engine.f32(blocks.b_enc, d_sae).set(values.b_enc);
  const W_dec = engine.f32(blocks.W_dec, d_sae * stride);
  for (let j = 0; j < d_sae; j++) {
    for (let i = 0; i < d_in; i++) W_dec[j * stride + i] = values.W_dec[j * d_in + i];
  }
  engine.f32(blocks.b_dec, d_in).set(values.b_dec);
}

export function download(
  engine: Engine,
  sizes: Sizes,
  blocks: Blocks,
): Record<keyof Blocks, Float32Array> {
  const { d_in, d_sae, stride, panels } = sizes;
  const panelled = engine.f32(blocks.W_enc, panels * d_in * panelLatents);
  const W_enc = new Float32Array(d_in * d_sae);
  for (let i = 0; i < d_in; i++) {
    for (let j = 0; j < d_sae; j++) W_enc[i * d_sae + j] = panelled[inPanel(i, j, d_in)];
  }
  return {
    W_enc,
    b_enc: engine.f32(blocks.b_enc, d_sae).slice(),
    W_dec: fromRows(engine, blocks.W_dec, d_sae, d_in, stride),
    b_dec: engine.f32(blocks.b_dec, d_in).slice(),
  };
}

/** Rows without their padding. */
export function fromRows(
  engine: Engine,
  at: number,
  rows: number,
  length: number,
  stride: number,
): Float32Array {
  const padded = engine.f32(at, rows * stride);
  const out = new Float32Array(rows * length);
  for (let row = 0; row < rows; row++) {
    out.set(padded.subarray(row * stride, row * stride + length), row * length);
  }
  return out;
}

/** Where W_enc[i, j] lies. */
function inPanel(i: number, j: number, d_in: number): number {
  return (Math.floor(j / panelLatents) * d_in + i) * panelLatents + (j % panelLatents);
}

/**
 * Reconstructions of every prefix, their errors and losses, and what they hand back to the latents.
 * @module
 */
import type { Dialect } from '../../reference/dialects.ts';
import type { Auxiliary } from './auxk.ts';
import type { Blocks, Sizes } from './blocks.ts';
import { type Rows, chunksOf } from './encode.ts';
import { type Engine, float } from './engine.ts';

/** Rows at every level, as they go from reconstructions to errors to what gradients need. */
export interface Levels {
  readonly task: number;
  /** (levels, rows, stride): x̂_g after {@link decode}, x̂_g - x after {@link losses}, T_g after {@link suffix}. */
  readonly at: number;
  readonly rows: number;
  readonly stride: number;
  readonly levels: number;
  readonly prefixes: number;
  /** (chunks, levels + 1), float64, written by {@link losses}. */
  readonly squares: number;
  /** (chunks, stride): Σ of T_0 over rows, written by {@link suffix}. */
  readonly bias: number;
}

/** Room for all levels. @param latents - none where reconstructions are known already. */
export function openLevels(
  engine: Engine,
  x: number,
  latents: Rows,
  { sizes, params }: { readonly sizes: Sizes; readonly params: Pick<Blocks, 'W_dec' | 'b_dec'> },
  prefixes: readonly number[],
  coefficients: Float64Array,
): Levels {
  const { stride, d_in } = sizes;
  const { rows } = latents;
  const levels = prefixes.length;
  const chunks = chunksOf(engine, rows);
  const widths = engine.alloc(levels * 4);
  engine.i32(widths, levels).set(prefixes);
  const factors = engine.alloc((levels + 1) * 4);
  engine.f32(factors, levels + 1).set(coefficients.map((c) => (2 * c) / rows));
  const squares = engine.alloc(chunks * (levels + 1) * 8);
  const bias = engine.alloc(chunks * stride * 4);
  const at = engine.alloc(levels * rows * stride * 4);
  const task = engine.task([
    rows,
    d_in,
    stride,
    engine.chunkRows,
    x,
    params.b_dec,
    params.W_dec,
    latents.start,
    latents.latent,
    latents.value,
    widths,
    levels,
    at,
    squares,
    factors,
    bias,
    0,
    float(0),
    0,
  ]);
  return { task, at, rows, stride, levels, prefixes: widths, squares, bias };
}

/** x̂_g of every prefix. */
export function decode(
  engine: Engine,
  { task, rows, stride, levels }: Levels,
  count: number,
): void {
  engine.each('decodeRows', task, chunksOf(engine, rows), (count + levels * rows) * stride * 2);
}

/** Reconstructions become errors. @returns L_0..L_G. */
export function losses(
  engine: Engine,
  { task, rows, stride, levels, squares }: Levels,
): Float64Array {
  const chunks = chunksOf(engine, rows);
  engine.each('errorRows', task, chunks, levels * rows * stride * 3);
  const parts = engine.f64(squares, chunks * (levels + 1));
  const sums = new Float64Array(levels + 1);
  for (let i = 0; i < parts.length; i++) sums[i % sums.length] += parts[i];
  return sums.map((sum) => sum / rows);
}

/** Place of `attached` among the fields of RowsTask. */
const attachedField = 16;

/** Place of `detached`. */
const detachedField = 18;

/** Errors become what each level hands back to its latents, with what auxk adds where its residual is attached. */
export function suffix(
  engine: Engine,
  { task, rows, stride, levels }: Levels,
  attached: Auxiliary | null,
  innerLevels: Dialect['loss']['innerLevels'],
): void {
  engine.i32(task, detachedField + 1)[detachedField] = Number(innerLevels === 'detached');
  if (attached !== null) {
    engine.i32(task, attachedField + 1)[attachedField] = attached.miss;
    engine.f32(task, attachedField + 2)[attachedField + 1] = attached.scale;
  }
  engine.each('suffixRows', task, chunksOf(engine, rows), levels * rows * stride * 2);
}

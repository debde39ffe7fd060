/**
 * Rows of activations in the engine's memory.
 * @module
 */
import type { Blocks, Sizes } from './blocks.ts';
import { chunksOf } from './encode.ts';
import type { Engine } from './engine.ts';

export interface Batch {
  /** (rows, stride). */
  readonly x: number;
  /** Less b_dec where the dialect subtracts it; two rows longer. */
  readonly centred: number;
}

/** Rows into the engine. @throws {@link RangeError} on a value that is not finite, or no rows. */
export function centre(
  engine: Engine,
  x: Float32Array,
  rows: number,
  { d_in, stride }: Sizes,
  params: Pick<Blocks, 'b_dec'>,
  subtracts: boolean,
): Batch {
  if (rows === 0 || !Number.isInteger(rows)) {
    throw new RangeError(`x: expected rows of d_in = ${d_in} values, got ${x.length} values`);
  }
  const from = engine.alloc(x.length * 4);
  const padded = zeros(engine, rows * stride);
  const centred = zeros(engine, (rows + 2) * stride);
  const chunks = chunksOf(engine, rows);
  const flags = zeros(engine, chunks);
  engine.f32(from, x.length).set(x);
  const task = engine.task([
    rows,
    d_in,
    stride,
    engine.chunkRows,
    from,
    subtracts ? params.b_dec : 0,
    padded,
    centred,
    flags,
  ]);
  engine.each('centreRows', task, chunks, rows * stride * 2);
  if (engine.i32(flags, chunks).some((flag) => flag !== 0)) {
    const at = x.findIndex((value) => !Number.isFinite(value));
    throw new RangeError(
      `x: expected finite values, got ${x[at]} in row ${Math.floor(at / d_in)}, column ${at % d_in}`,
    );
  }
  return { x: padded, centred };
}

export function zeros(engine: Engine, length: number): number {
  const at = engine.alloc(length * 4);
  engine.f32(at, length).fill(0);
  return at;
}

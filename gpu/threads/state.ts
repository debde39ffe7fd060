/**
 * What one training step hands to the next, in the engine's memory.
 * @module
 */
import { zeros } from './batch.ts';
import { type Blocks, type Sizes, type Values, allocBlocks, sizesOf, upload } from './blocks.ts';
import { type Hint, noHint } from './encode.ts';
import type { Engine } from './engine.ts';

/** All that one step hands to the next; the engine's memory holds what is large. */
export interface State {
  /** Steps done. */
  step: number;
  readonly sizes: Sizes;
  readonly params: Blocks;
  readonly m: Blocks;
  readonly v: Blocks;
  /** Room for gradients. */
  readonly gradients: Blocks;
  /** Bytes, (panels): which gradients were written. */
  readonly touched: number;
  /** (d_sae): norms of decoder rows. */
  readonly norms: number;
  threshold: number;
  readonly sinceFired: Int32Array;
  readonly hint: Hint;
}

/** What a state is made from; parameters and moments row-major. */
export interface Start {
  readonly step: number;
  readonly params: Values;
  readonly m: Values;
  readonly v: Values;
  readonly threshold: number;
  readonly sinceFired: ArrayLike<number>;
}

/** Rounds to float32; counts beyond 2³⁰ become 2³⁰. @throws {@link RangeError} on values that are not finite. */
export function stateFrom(engine: Engine, d_in: number, d_sae: number, start: Start): State {
  const sizes = sizesOf(d_in, d_sae);
  const [params, m, v, gradients] = [0, 0, 0, 0].map(() => allocBlocks(engine, sizes));
  upload(engine, sizes, params, start.params);
  upload(engine, sizes, m, start.m);
  upload(engine, sizes, v, start.v);
  const norms = zeros(engine, sizes.panels * 12);
  const touched = engine.alloc(sizes.panels);
  const rows = engine.f32(params.W_dec, d_sae * sizes.stride);
  const lengths = engine.f32(norms, d_sae);
  for (let j = 0; j < d_sae; j++) {
    let square = 0;
    for (let i = j * sizes.stride; i < (j + 1) * sizes.stride; i++) square += rows[i] * rows[i];
    lengths[j] = Math.sqrt(square);
  }
  return {
    step: start.step,
    sizes,
    params,
    m,
    v,
    gradients,
    touched,
    norms,
    threshold: Math.fround(start.threshold),
    sinceFired: Int32Array.from(start.sinceFired, (count) => Math.min(count, 2 ** 30)),
    hint: noHint(),
  };
}

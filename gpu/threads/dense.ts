/**
 * The products of a step that a library multiplies faster: encode, and AuxK's four among the dead latents, of which a row
 * chooses so many that leaving out the others saves nothing.
 * @module
 */
import { type Input, type Rows, chunksOf } from './encode.ts';
import { type Engine, float } from './engine.ts';
import { type Products, view } from './products.ts';

/** The library, where a batch is large enough for it. */
export function productsFor(
  engine: Engine,
  rows: number,
  d_in: number,
  d_sae: number,
): Products | null {
  const { products } = engine;
  return products !== null && 2 * rows * d_in * d_sae >= products.from ? products : null;
}

/** x W_enc + b_enc of all latents, before ReLU: address of (rows, latents). */
export function preActivations(engine: Engine, products: Products, input: Input): number {
  const { rows, d_in, stride, latents } = input;
  const W_enc = engine.alloc(stride * latents * 4);
  engine.f32(W_enc + d_in * latents * 4, (stride - d_in) * latents).fill(0);
  const panels = Math.ceil(latents / 12);
  const unpanel = engine.task([input.W_enc, d_in, latents, engine.chunkPanels, W_enc]);
  engine.each('unpanel', unpanel, Math.ceil(panels / engine.chunkPanels), latents * d_in);
  const out = engine.alloc(rows * latents * 4);
  const bias = engine.task([rows, latents, engine.chunkRows, out, input.b_enc]);
  products.multiply(
    view(engine, input.centred, rows, stride),
    view(engine, W_enc, stride, latents),
    engine.f32(out, rows * latents),
  );
  engine.each('addBias', bias, chunksOf(engine, rows), rows * latents);
  return out;
}

/** What AuxK chose, as matrices over the dead latents alone. */
export interface DenseChoice {
  /** How many are dead. */
  readonly dead: number;
  /** (d_sae): the place of a latent among the dead, or -1. */
  readonly place: number;
  /** (rows, dead): values of the chosen, else 0. */
  readonly chosen: number;
  /** (dead, stride). */
  readonly W_dec: number;
}

/** A row may choose this many times fewer than there are dead before the sparse way is faster. */
export const densest = 12;

/** @param names - the dead latents. @returns null where the library is not in use, or would multiply mostly zeros. */
export function denseChoice(
  engine: Engine,
  { d_in, stride }: Pick<Input, 'd_in' | 'stride'>,
  { d_sae, W_dec }: { readonly d_sae: number; readonly W_dec: number },
  names: readonly number[],
  latents: Rows,
): DenseChoice | null {
  const dead = names.length;
  const { rows } = latents;
  if (productsFor(engine, rows, d_in, d_sae) === null) return null;
  if (latents.count * densest < rows * dead) return null;
  const place = engine.alloc(d_sae * 4);
  const chosen = engine.alloc(rows * dead * 4);
  const own = engine.alloc(dead * stride * 4);
  const places = engine.i32(place, d_sae).fill(-1);
  const all = engine.f32(W_dec, d_sae * stride);
  const to = engine.f32(own, dead * stride);
  names.forEach((j, i) => {
    places[j] = i;
    to.set(all.subarray(j * stride, (j + 1) * stride), i * stride);
  });
  const choice = { dead, place, chosen, W_dec: own };
  spread(engine, latents, choice);
  return choice;
}

/** Entries to `chosen`: their values, or those of a (rows, dead) matrix times a factor. */
function spread(engine: Engine, latents: Rows, choice: DenseChoice, from = 0, factor = 1): void {
  const { rows, start, latent, value, count } = latents;
  const { dead, place, chosen } = choice;
  const { chunkRows } = engine;
  const task = engine.task([
    rows,
    dead,
    chunkRows,
    start,
    latent,
    value,
    place,
    from,
    float(factor),
    chosen,
  ]);
  engine.each('spreadRows', task, chunksOf(engine, rows), rows * dead + 4 * count);
}

/** ê of every row to `out`: (rows, stride). */
export function decodeChoice(
  engine: Engine,
  choice: DenseChoice,
  rows: number,
  stride: number,
  out: number,
): void {
  engine.products!.multiply(
    view(engine, choice.chosen, rows, choice.dead),
    view(engine, choice.W_dec, choice.dead, stride),
    engine.f32(out, rows * stride),
  );
}

/** AuxK's share of the gradients of dead latents; W_dec's is still to be multiplied by auxk's scale. */
export interface DenseGradients {
  /** (dead, stride). */
  readonly W_enc: number;
  readonly W_dec: number;
}

/**
 * Leaves what reaches the pre-activations of the chosen in `choice.chosen`.
 * @param miss - (rows, stride): ê - e.
 * @param centred - (rows, stride): what the encoder multiplied.
 */
export function choiceGradients(
  engine: Engine,
  choice: DenseChoice,
  latents: Rows,
  miss: number,
  scale: number,
  centred: number,
  stride: number,
): DenseGradients {
  const { dead, chosen } = choice;
  const { rows } = latents;
  const [W_enc, W_dec] = [0, 0].map(() => engine.alloc(dead * stride * 4));
  const deltas = engine.alloc(rows * dead * 4);
  const { multiply } = engine.products!;
  const missed = view(engine, miss, rows, stride);
  multiply(view(engine, chosen, rows, dead), missed, engine.f32(W_dec, dead * stride), 'a');
  const rowsOf = view(engine, choice.W_dec, dead, stride);
  multiply(missed, rowsOf, engine.f32(deltas, rows * dead), 'b');
  spread(engine, latents, choice, deltas, scale);
  const kept = view(engine, chosen, rows, dead);
  const inputs = view(engine, centred, rows, stride);
  multiply(kept, inputs, engine.f32(W_enc, dead * stride), 'a');
  return { W_enc, W_dec };
}

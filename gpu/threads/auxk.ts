/**
 * auxk: dead latents are encoded again, side by side, the best of each row are decoded, and what they leave of the residual
 * is handed back to them.
 * @module
 */
import { auxkCount } from '../../reference/auxk.ts';
import type { Dialect } from '../../reference/dialects.ts';
import { groups } from '../../reference/prefixes.ts';
import type { TrainConfig } from '../../reference/train-step.ts';
import { type DenseChoice, decodeChoice, denseChoice } from './dense.ts';
import { chunksOf, selectRows, type Input, type Rows } from './encode.ts';
import type { Engine } from './engine.ts';
import { panelLatents } from './blocks.ts';

export interface Auxiliary {
  /** Before alpha. */
  readonly loss: number;
  readonly latents: Rows;
  /** (rows, stride): ê - e; times `scale` it is the gradient for ê. */
  readonly miss: number;
  readonly scale: number;
  /** The choice as matrices, where products are a library's. */
  readonly dense: DenseChoice | null;
}

/** One for all dead latents, or one for each level's own, null where none of them is dead. */
export type Losses = readonly (Auxiliary | null)[];

/** @param errors - (levels, rows, stride): x̂_g - x. @throws {@link RangeError} as the reference's auxk. */
export function auxiliaries(
  engine: Engine,
  input: Input,
  { W_dec, d_sae, error: errors }: Residual,
  dead: Uint8Array,
  { prefixes, auxkAlpha, dialect }: TrainConfig,
): Losses {
  const last = prefixes.length - 1;
  return groups(prefixes).flatMap(({ start, end }, g) => {
    const all = dialect.auxk.levels === 'last';
    if (all && g < last) return [];
    const own = all ? dead : dead.map((flag, j) => (j >= start && j < end ? flag : 0));
    if (!own.includes(1)) return all ? [] : [null];
    const residual = { W_dec, d_sae, error: errors + g * input.rows * input.stride * 4 };
    const k = auxkCount(own, input.d_in, dialect);
    return [auxiliary(engine, input, residual, own, k, auxkAlpha, dialect)];
  });
}

interface Residual {
  readonly W_dec: number;
  readonly d_sae: number;
  /** (rows, stride): x̂_G - x, the residual with its sign turned. */
  readonly error: number;
}

/**
 * @param input - what is encoded; where its acts are known they are those of all latents.
 * @param dead - (d_sae), not all 0.
 * @param k - how many of a row are chosen.
 * @throws {@link RangeError} as the reference's auxk.
 */
export function auxiliary(
  engine: Engine,
  input: Input,
  residual: Residual,
  dead: Uint8Array,
  k: number,
  alpha: number,
  dialect: Dialect,
): Auxiliary {
  const names = [...dead.keys()].filter((j) => dead[j] === 1);
  const at = engine.alloc(names.length * 4);
  engine.i32(at, names.length).set(names);
  const only =
    input.known === 0 ? columns(engine, input, names, at) : known(engine, input, names, at);
  const latents = selectRows(engine, only, k, dialect.auxk.values === 'acts', at);

  const { rows, stride, d_in } = input;
  const dense = denseChoice(engine, input, residual, names, latents);
  const chunks = chunksOf(engine, rows);
  const sums = engine.alloc(chunks * 24);
  const columnSums = engine.alloc(chunks * stride * 4);
  const mean = engine.alloc(stride * 4);
  const miss = engine.alloc(rows * stride * 4);
  const task = engine.task([
    rows,
    d_in,
    stride,
    engine.chunkRows,
    residual.W_dec,
    latents.start,
    latents.latent,
    latents.value,
    residual.error,
    mean,
    miss,
    sums,
    columnSums,
    Number(dense !== null),
  ]);
  engine.each('errorColumns', task, chunks, rows * stride * 2);
  const totals = new Float64Array(stride);
  const parts = engine.f32(columnSums, chunks * stride);
  for (let i = 0; i < parts.length; i++) totals[i % stride] += parts[i];
  engine.f32(mean, stride).set(totals.map((total) => total / rows));
  if (dense !== null) decodeChoice(engine, dense, rows, stride, miss);
  engine.each('missRows', task, chunks, (latents.count + 4 * rows) * stride * 2);

  let missed = 0;
  let varied = 0;
  let decodes = false;
  const chunkSums = engine.f64(sums, chunks * 3);
  for (let c = 0; c < chunks; c++) {
    missed += chunkSums[3 * c];
    varied += chunkSums[3 * c + 1];
    decodes ||= chunkSums[3 * c + 2] !== 0;
  }
  if (dialect.auxk.whenNothingDecodes === 'is-zero' && !decodes) {
    return { loss: 0, latents, miss, scale: 0, dense };
  }
  const equal =
    dialect.auxk.normaliser === 'residual-variance' && haveEqualRows(engine, input, residual.error);
  const factor = factorOf(d_in, names.length, equal ? 0 : varied / rows, rows, dialect);
  return {
    loss: (factor * missed) / rows,
    latents,
    miss,
    scale: (2 * alpha * factor) / rows,
    dense,
  };
}

/** Whether every row is the first one again: then rounding alone would be its variance. */
function haveEqualRows(engine: Engine, { rows, stride }: Input, error: number): boolean {
  const values = engine.f32(error, rows * stride);
  for (let i = stride; i < values.length; i++) {
    if (values[i] !== values[i - stride]) return false;
  }
  return true;
}

/** What the mean squared miss is multiplied by. */
function factorOf(
  d_in: number,
  dead: number,
  variance: number,
  rows: number,
  { auxk: { overDimensions, scale, normaliser } }: Dialect,
): number {
  let factor = overDimensions === 'mean' ? 1 / d_in : 1;
  if (scale === 'dead-fraction') {
    const half = Math.floor(d_in / 2);
    if (half === 0) {
      throw new RangeError(
        `auxk: expected d_in >= 2 to scale the loss by dead latents over floor(d_in / 2), got ${d_in}`,
      );
    }
    factor *= Math.min(dead / half, 1);
  }
  if (normaliser === 'none') return factor;
  if (variance === 0) {
    throw new RangeError(
      `auxk: the residual has no variance over the batch's ${rows} row(s), so the loss has no value; expected rows that differ`,
    );
  }
  return factor / variance;
}

/** The dead latents' encoder columns as an input of their own. */
function columns(engine: Engine, input: Input, names: readonly number[], at: number): Input {
  const panels = Math.ceil(names.length / panelLatents);
  const W_enc = engine.alloc(panels * input.d_in * panelLatents * 4);
  const [b_enc, norms] = [0, 0].map(() => engine.alloc(panels * panelLatents * 4));
  const task = engine.task([
    at,
    names.length,
    input.d_in,
    engine.chunkPanels,
    input.W_enc,
    input.b_enc,
    input.norms,
    W_enc,
    b_enc,
    norms,
  ]);
  engine.each(
    'gatherDead',
    task,
    Math.ceil(panels / engine.chunkPanels),
    names.length * input.d_in * 2,
  );
  return { ...input, W_enc, b_enc, norms: input.norms === 0 ? 0 : norms, latents: names.length };
}

/** The dead latents' columns of what is known of all. */
function known(engine: Engine, input: Input, names: readonly number[], at: number): Input {
  const out = engine.alloc(input.rows * names.length * 4);
  const norms = input.norms === 0 ? 0 : engine.alloc(names.length * 4);
  if (norms !== 0) {
    const all = engine.f32(input.norms, input.latents);
    engine.f32(norms, names.length).set(names.map((j) => all[j]));
  }
  const { rows, latents } = input;
  const task = engine.task([rows, latents, engine.chunkRows, input.known, at, names.length, out]);
  engine.each('gatherColumns', task, chunksOf(engine, rows), 2 * rows * names.length);
  return { ...input, known: out, norms, latents: names.length };
}

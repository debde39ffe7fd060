/**
 * One training step on the engine, in the reference's order. Of the five products of a dense step only encode is one;
 * everything after selection touches selected latents alone, and parameters once for Adam.
 * @module
 */
import { learningRate, power } from '../../reference/adam.ts';
import { auxkCount } from '../../reference/auxk.ts';
import type { Dialect } from '../../reference/dialects.ts';
import { deadMask } from '../../reference/dead-latents.ts';
import { geometricMedian } from '../../reference/geometric-median.ts';
import { levelCoefficients, reconstructionLoss as reconstruction } from '../../reference/loss.ts';
import { matrix } from '../../reference/matrix.ts';
import { selectionCount } from '../../reference/select.ts';
import { updateThreshold } from '../../reference/threshold.ts';
import type { TrainConfig } from '../../reference/train-step.ts';
import { auxiliary, type Auxiliary } from './auxk.ts';
import type { Blocks, Sizes } from './blocks.ts';
import {
  chunksOf,
  selectBatch,
  selectRows,
  smallest,
  type Hint,
  type Input,
  type Rows,
} from './encode.ts';
import { float, type Engine } from './engine.ts';

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

export interface StepReport {
  readonly loss: number;
  readonly l0: number;
  readonly dead: number;
  /** Before clipping. */
  readonly gradientNorm: number;
}

/** What a step found on its way; its addresses are good until the next one. */
export interface StepDetails extends StepReport {
  readonly latents: Rows;
  /** L_0..L_G. */
  readonly levelLosses: Float64Array;
  readonly reconstructionLoss: number;
  readonly deadLatents: Uint8Array;
  readonly auxk: Auxiliary | null;
  /** What every gradient was multiplied by. */
  readonly clip: number;
  readonly learningRate: number;
}

/** Told of what is in memory within a step, while it is there: how a step is certified. */
export interface Watch {
  /** Reconstructions, (levels, rows, stride). */
  readonly decoded?: (latents: Rows, reconstructions: number) => void;
  /** Errors, likewise, and what auxk made of the last. */
  readonly auxk?: (auxk: Auxiliary | null, errors: number) => void;
  /** Once gradients are there, before the update. @param raw - W_dec's, before projection. */
  readonly gradients?: (raw: number, clip: number, rate: number) => void;
}

/**
 * @param state - changed in place, and left as it was by a step that throws.
 * @param x - (rows, d_in), float32.
 * @throws {@link RangeError} on values that are not finite, and what the reference's operators refuse.
 */
export function trainStep(
  engine: Engine,
  state: State,
  x: Float32Array,
  config: TrainConfig,
  watch: Watch = {},
): StepDetails {
  const mark = engine.mark();
  try {
    return step(engine, state, x, config, watch);
  } finally {
    engine.release(mark);
  }
}

function step(
  engine: Engine,
  state: State,
  x: Float32Array,
  config: TrainConfig,
  watch: Watch,
): StepDetails {
  const { dialect, prefixes } = config;
  const { sizes, params } = state;
  const rows = x.length / sizes.d_in;
  const b_dec = engine.f32(params.b_dec, sizes.stride);
  const kept = b_dec.slice(0, sizes.d_in);
  if (state.step === 0 && dialect.initialise.b_dec === 'geometric-median') {
    b_dec.set(geometricMedian(matrix(rows, sizes.d_in, Float64Array.from(x))));
  }
  try {
    const batch = centre(engine, x, rows, sizes, params, dialect.encode.subtractsDecoderBias);
    const scores = dialect.select.score === 'acts-times-decoder-norm';
    if (scores) requireNorms(engine.f32(state.norms, sizes.d_sae));
    const input: Input = {
      centred: batch.centred,
      rows,
      d_in: sizes.d_in,
      stride: sizes.stride,
      W_enc: params.W_enc,
      b_enc: dialect.encode.usesEncoderBias ? params.b_enc : zeros(engine, sizes.panels * 12),
      latents: sizes.d_sae,
      norms: scores ? state.norms : 0,
      known: 0,
    };
    const latents =
      config.selection === 'batch'
        ? selectBatch(engine, input, selectionCount(config.k, rows, sizes.d_sae), state.hint)
        : selectRows(engine, input, config.k);

    let { threshold } = state;
    if (state.step > config.thresholdStartStep) {
      const least = latents.count === 0 ? null : smallest(engine, latents);
      threshold = Math.fround(updateThreshold(threshold, least, dialect));
    }

    const coefficients = levelCoefficients(config.levelWeights, sizes.d_in, dialect);
    const decoded = openLevels(engine, batch.x, latents, state, prefixes, coefficients);
    decode(engine, decoded, latents.count);
    watch.decoded?.(latents, decoded.at);
    const levelLosses = losses(engine, decoded);
    const reconstructionLoss = reconstruction(levelLosses, coefficients);

    const sinceFired = state.sinceFired.slice();
    age(sinceFired, engine.i32(latents.latent, latents.count), rows, config);
    const counts = dialect.deadLatents.mask === 'this-step' ? sinceFired : state.sinceFired;
    const deadLatents = deadMask(Float64Array.from(counts), config.deadAfter, dialect);
    const dead = deadLatents.reduce((sum, flag) => sum + flag, 0);
    const auxk =
      dead === 0
        ? null
        : auxiliary(
            engine,
            input,
            {
              W_dec: params.W_dec,
              error: decoded.at + (prefixes.length - 1) * rows * sizes.stride * 4,
            },
            deadLatents,
            auxkCount(deadLatents, sizes.d_in, dialect),
            config.auxkAlpha,
            dialect,
          );

    watch.auxk?.(auxk, decoded.at);
    suffix(engine, decoded, dialect.auxk.residual === 'attached' ? auxk : null);
    const rate = learningRate(state.step, config, dialect);
    const { clip, gradientNorm } = gradientsOf(
      engine,
      state,
      batch,
      latents,
      decoded,
      auxk,
      config,
      watch,
      rate,
    );
    update(engine, state, clip, rate, config);

    state.step += 1;
    state.threshold = threshold;
    state.sinceFired.set(sinceFired);
    return {
      loss: reconstructionLoss + config.auxkAlpha * (auxk?.loss ?? 0),
      l0: latents.count / rows,
      dead,
      gradientNorm,
      latents,
      levelLosses,
      reconstructionLoss,
      deadLatents,
      auxk,
      clip,
      learningRate: rate,
    };
  } catch (error) {
    engine.f32(params.b_dec, sizes.d_in).set(kept);
    throw error;
  }
}

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

/** @throws {@link RangeError} on a decoder row without length, which no score can be scaled by. */
function requireNorms(norms: Float32Array): void {
  const row = norms.findIndex((norm) => norm === 0);
  if (row >= 0) {
    throw new RangeError(
      `W_dec: expected non-zero rows to rescale acts by, got norm 0 in row ${row}`,
    );
  }
}

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

/** Errors become what each level hands back to its latents, with what auxk adds where its residual is attached. */
export function suffix(
  engine: Engine,
  { task, rows, stride, levels }: Levels,
  attached: Auxiliary | null,
): void {
  if (attached !== null) {
    engine.i32(task, attachedField + 1)[attachedField] = attached.miss;
    engine.f32(task, attachedField + 2)[attachedField + 1] = attached.scale;
  }
  engine.each('suffixRows', task, chunksOf(engine, rows), levels * rows * stride * 2);
}

interface ByLatent {
  readonly start: number;
  readonly row: number;
  readonly value: number;
}

function byLatent(engine: Engine, rows: Rows, d_sae: number): ByLatent {
  const start = engine.alloc((d_sae + 1) * 4);
  const [row, value] = [0, 0].map(() => engine.alloc(rows.count * 4));
  engine.kernels.byLatent(
    engine.task([rows.rows, d_sae, rows.start, rows.latent, rows.value, start, row, value]),
  );
  return { start, row, value };
}

/** Gradients of all parameters in `state.gradients`, their norm, and what clipping multiplies them by. */
export function gradientsOf(
  engine: Engine,
  state: State,
  batch: Batch,
  latents: Rows,
  decoded: Levels,
  auxk: Auxiliary | null,
  { dialect }: Pick<TrainConfig, 'dialect'>,
  watch: Watch,
  rate = 0,
): { clip: number; gradientNorm: number } {
  const { sizes, params, gradients } = state;
  const { d_in, d_sae, stride, panels } = sizes;
  const { subtractsDecoderBias, usesEncoderBias } = dialect.encode;
  const own = byLatent(engine, latents, d_sae);
  const aux = auxk === null ? null : byLatent(engine, auxk.latents, d_sae);
  const chunks = Math.ceil(panels / engine.chunkPanels);
  const encoderBias = engine.alloc(chunks * stride * 4);
  const squares = engine.alloc(chunks * 8);
  const raw = watch.gradients === undefined ? 0 : zeros(engine, d_sae * stride);
  const task = engine.task([
    d_sae,
    latents.rows,
    d_in,
    stride,
    engine.chunkPanels,
    params.W_enc,
    params.W_dec,
    batch.centred,
    own.start,
    own.row,
    own.value,
    decoded.at,
    decoded.prefixes,
    decoded.levels,
    aux?.start ?? 0,
    aux?.row ?? 0,
    aux?.value ?? 0,
    auxk?.miss ?? 0,
    float(auxk?.scale ?? 0),
    gradients.W_enc,
    gradients.b_enc,
    gradients.W_dec,
    raw,
    state.touched,
    Number(dialect.decoderNorm.project === 'before-clip'),
    float(dialect.decoderNorm.projectEpsilon),
    Number(subtractsDecoderBias),
    encoderBias,
    squares,
    Number(usesEncoderBias),
    engine.alloc(engine.threads * 12 * stride * 4),
  ]);
  const entries = latents.count + (auxk?.latents.count ?? 0);
  engine.each('latentGradients', task, chunks, entries * stride * 6);

  // b_dec: what reaches it through the decoder, less what reaches it through the encoder.
  const bias = new Float64Array(stride);
  addChunks(bias, engine.f32(decoded.bias, chunksOf(engine, latents.rows) * stride), 1);
  if (subtractsDecoderBias) addChunks(bias, engine.f32(encoderBias, chunks * stride), -1);
  const gb_dec = engine.f32(gradients.b_dec, stride);
  gb_dec.set(bias);

  let square = engine.f64(squares, chunks).reduce((sum, part) => sum + part, 0);
  for (const value of gb_dec) square += value * value;
  const gradientNorm = Math.sqrt(square);
  if (!Number.isFinite(gradientNorm)) {
    throw new RangeError(`gradients: expected a finite norm, got ${gradientNorm}`);
  }
  const clip = clipFactor(gradientNorm, dialect.clip.maxNorm);
  watch.gradients?.(raw, clip, rate);
  return { gradientNorm, clip };
}

/** min(1, maxNorm / (norm + 1e-6)). */
export function clipFactor(norm: number, maxNorm: number): number {
  return Math.min(1, maxNorm / (norm + 1e-6));
}

function addChunks(sum: Float64Array, parts: Float32Array, factor: number): void {
  for (let i = 0; i < parts.length; i++) sum[i % sum.length] += factor * parts[i];
}

/** 0 for what fired, else the batch's rows more, or 1 where steps are counted; counts stop at 2³⁰. */
export function age(
  sinceFired: Int32Array,
  fired: Int32Array,
  rows: number,
  { dialect }: Pick<TrainConfig, 'dialect'>,
): void {
  const passed = dialect.deadLatents.unit === 'tokens' ? rows : 1;
  for (let j = 0; j < sinceFired.length; j++) {
    sinceFired[j] = Math.min(sinceFired[j] + passed, 2 ** 30);
  }
  for (const latent of fired) sinceFired[latent] = 0;
}

/** Clips, updates and rescales in one pass over the parameters. */
function update(
  engine: Engine,
  state: State,
  clip: number,
  rate: number,
  { dialect }: TrainConfig,
): void {
  const { sizes, params, m, v, gradients } = state;
  const task = adamTask(engine, state, clip, state.step, rate, dialect);
  const chunks = Math.ceil(sizes.panels / engine.chunkPanels);
  engine.each('updateLatents', task, chunks, sizes.d_sae * sizes.stride * 30);
  engine.kernels.adam(task, params.b_dec, m.b_dec, v.b_dec, gradients.b_dec, sizes.stride);
}

/** One update, for all latents or through `kernels.adam` for any values. @param step - updates done before it. */
export function adamTask(
  engine: Engine,
  { sizes, params, m, v, gradients, touched, norms }: State,
  clip: number,
  step: number,
  rate: number,
  { adam: { beta1, beta2, epsilon }, decoderNorm, select }: Dialect,
): number {
  const { project, projectEpsilon, normalise, normaliseEpsilon } = decoderNorm;
  return engine.task([
    sizes.d_sae,
    sizes.d_in,
    sizes.stride,
    engine.chunkPanels,
    ...[params, m, v, gradients].flatMap(({ W_enc, b_enc, W_dec }) => [W_enc, b_enc, W_dec]),
    touched,
    float(clip),
    float(1 - beta1),
    float(beta2),
    float(1 - beta2),
    float(rate / (1 - power(beta1, step + 1))),
    float(Math.sqrt(1 - power(beta2, step + 1))),
    float(epsilon),
    Number(project === 'after-clip'),
    float(projectEpsilon),
    { never: 0, 'before-update': 1, 'after-update': 2 }[normalise],
    float(normaliseEpsilon),
    select.score === 'acts' ? 0 : norms,
  ]);
}

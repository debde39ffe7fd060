/**
 * Gradients of all parameters, from selected latents alone.
 * @module
 */
import type { TrainConfig } from '../../reference/train-step.ts';
import type { Losses } from './auxk.ts';
import { type Batch, zeros } from './batch.ts';
import type { Sizes } from './blocks.ts';
import type { Levels } from './decode.ts';
import { choiceGradients } from './dense.ts';
import { type Rows, chunksOf } from './encode.ts';
import { type Engine, type Field, float } from './engine.ts';
import type { State } from './state.ts';
import type { Watch } from './train-step.ts';

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
  auxk: Losses,
  { dialect }: Pick<TrainConfig, 'dialect'>,
  watch: Watch,
  rate = 0,
): { clip: number; gradientNorm: number } {
  const { sizes, params, gradients } = state;
  const { d_in, d_sae, stride, panels } = sizes;
  const { subtractsDecoderBias, usesEncoderBias } = dialect.encode;
  const own = byLatent(engine, latents, d_sae);
  const aux = auxiliaryFields(engine, auxk, batch.centred, sizes);
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
    aux.length === 0 ? 0 : engine.task(aux),
    auxk.length,
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
  const chosen = auxk.reduce((sum, one) => sum + (one?.latents.count ?? 0), 0);
  const entries = latents.count + chosen;
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

/** Fields of each auxiliary loss, in the order of their class; none where nothing is dead. */
function auxiliaryFields(
  engine: Engine,
  auxk: Losses,
  centred: number,
  { d_sae, stride }: Sizes,
): Field[] {
  if (auxk.every((one) => one === null)) return [];
  return auxk.flatMap((one): Field[] => {
    if (one === null) return [0, 0, 0, 0, float(0), 0, 0, 0, 0, 0];
    const { latents, miss, scale, dense } = one;
    if (dense === null) {
      const { start, row, value } = byLatent(engine, latents, d_sae);
      return [start, row, value, miss, float(scale), 0, 0, 0, 0, 0];
    }
    const { W_enc, W_dec } = choiceGradients(engine, dense, latents, miss, scale, centred, stride);
    const { place, chosen, dead } = dense;
    return [0, 0, 0, miss, float(scale), place, W_enc, W_dec, chosen, dead];
  });
}

/** min(1, maxNorm / (norm + 1e-6)). */
export function clipFactor(norm: number, maxNorm: number): number {
  return Math.min(1, maxNorm / (norm + 1e-6));
}

function addChunks(sum: Float64Array, parts: Float32Array, factor: number): void {
  for (let i = 0; i < parts.length; i++) sum[i % sum.length] += factor * parts[i];
}

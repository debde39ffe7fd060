/**
 * The activations and the start of a benchmark, as raw float32 files that every side reads.
 * @module
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { matrix } from '../../reference/matrix.ts';
import { paramNames, valuesOf, type SaeParams } from '../../reference/params.ts';
import type { TrainConfig } from '../../reference/train-step.ts';
import { createRng } from '../../synthetic/rng.ts';
import { seededState } from '../../training/start-state.ts';
import type { Shape } from './shape.ts';

/** Batches in a file: as many as fit in 32 MiB, after which it is read from its start again. */
const MOST_BATCHES = 16;
const LEAST_BATCHES = 4;
const FILE_BYTES = 2 ** 25;

/** Amplitudes of features are 1 + |N(0, SPREAD)|; every value carries N(0, NOISE) besides. */
const SPREAD = 0.5;
const NOISE = 0.01;

export interface Activations {
  readonly path: string;
  readonly batches: number;
}

/**
 * Activations as SAEs meet them: each row a sum of about k of d_sae features, some far more frequent than others, along
 * random unit directions of d_in.
 * @param folder - where `activations.f32` is written: (batches · batch, d_in), row-major, little-endian.
 */
export async function writeActivations(
  folder: string,
  { d_in, d_sae, batch, k }: Shape,
  seed: number,
): Promise<Activations> {
  const fitting = Math.floor(FILE_BYTES / (batch * d_in * 4));
  const batches = Math.max(LEAST_BATCHES, Math.min(MOST_BATCHES, fitting));
  const rng = createRng(seed).split('features');
  const directions = new Float32Array(d_sae * d_in);
  for (let f = 0; f < d_sae; f++) {
    let square = 0;
    for (let i = f * d_in; i < (f + 1) * d_in; i++) square += (directions[i] = rng.normal()) ** 2;
    for (let i = f * d_in; i < (f + 1) * d_in; i++) directions[i] /= Math.sqrt(square);
  }
  const x = new Float32Array(batches * batch * d_in);
  const draw = createRng(seed).split('rows');
  for (let at = 0; at < x.length; at += d_in) {
    for (let i = 0; i < d_in; i++) x[at + i] = NOISE * draw.normal();
    for (let n = 0; n < k; n++) {
      // The square of a uniform number: density falls as one over the root of the rank.
      const feature = Math.floor(d_sae * draw.uniform() ** 2) * d_in;
      const amplitude = 1 + Math.abs(SPREAD * draw.normal());
      for (let i = 0; i < d_in; i++) x[at + i] += amplitude * directions[feature + i];
    }
  }
  const path = join(folder, 'activations.f32');
  await writeFile(path, new Uint8Array(x.buffer));
  return { path, batches };
}

/**
 * One latent in so many starts with a short encoder column: often positive, seldom selected, so that it dies and AuxK has
 * something to decode. Every second of them has a bias besides that keeps it below 0: dead however long a run takes.
 */
const FAINT_EVERY = 8;
const FAINT = 1 / 8;
const MUTE = -0.5;

/** W_enc, b_enc, W_dec, b_dec in a row, as the dialect draws them, but some latents faint. @returns the file's path. */
export async function writeParams(
  folder: string,
  config: TrainConfig,
  seed: number,
): Promise<string> {
  const { params } = seededState(config, seed);
  const { d_in, d_sae } = config;
  for (let j = FAINT_EVERY - 1; j < d_sae; j += FAINT_EVERY) {
    for (let i = 0; i < d_in; i++) params.W_enc.data[i * d_sae + j] *= FAINT;
    if ((j + 1) % (2 * FAINT_EVERY) === 0) params.b_enc[j] = MUTE;
  }
  const path = join(folder, `${config.dialect.name}.f32`);
  const parts = paramNames.map(
    (name) => new Uint8Array(new Float32Array(valuesOf(params, name)).buffer),
  );
  await writeFile(path, Buffer.concat(parts));
  return path;
}

/** What {@link writeParams} wrote. */
export async function readParams(
  path: string,
  { d_in, d_sae }: Pick<Shape, 'd_in' | 'd_sae'>,
): Promise<SaeParams> {
  const values = await readFloat32(path, 2 * d_in * d_sae + d_sae + d_in);
  let at = 0;
  const take = (length: number): Float64Array =>
    new Float64Array(values.subarray(at, (at += length)));
  return {
    W_enc: matrix(d_in, d_sae, take(d_in * d_sae)),
    b_enc: take(d_sae),
    W_dec: matrix(d_sae, d_in, take(d_sae * d_in)),
    b_dec: take(d_in),
  };
}

/** @throws {@link RangeError} if the file holds another number of values. */
export async function readFloat32(path: string, length: number): Promise<Float32Array> {
  const bytes = await readFile(path);
  if (bytes.length !== 4 * length) {
    throw new RangeError(`${path}: expected ${length} float32 values, got ${bytes.length / 4}`);
  }
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

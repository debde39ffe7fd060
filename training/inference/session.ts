/**
 * What computes latents and reconstructions of a trained SAE: own kernels on all processors, the TensorFlow.js port, or the
 * reference in float64.
 * @module
 */
import { availableParallelism } from 'node:os';
import { openBackend } from '../../gpu/backend.ts';
import { choose, type ComputeName } from '../../gpu/choose.ts';
import { portInference } from '../../gpu/infer.ts';
import { centre } from '../../gpu/threads/batch.ts';
import { allocBlocks, fromRows, sizesOf, upload } from '../../gpu/threads/blocks.ts';
import { decode, openLevels } from '../../gpu/threads/decode.ts';
import { preActivations, productsFor } from '../../gpu/threads/dense.ts';
import {
  noHint,
  selectAbove,
  selectBatch,
  type Input,
  type Rows,
} from '../../gpu/threads/encode.ts';
import { describeEngine, openEngine } from '../../gpu/threads/engine.ts';
import { tensorflowProducts } from '../../gpu/threads/products.ts';
import { decode as decodeDense } from '../../reference/decode.ts';
import { dictionaryLearning } from '../../reference/dialects.ts';
import { preActivations as referencePre, relu } from '../../reference/encode.ts';
import { matrix } from '../../reference/matrix.ts';
import type { SaeParams } from '../../reference/params.ts';
import { aboveThreshold, batchTopK, selectionCount } from '../../reference/select.ts';
import { filtered, fromDense, type Latents } from './latents.ts';
import type { InferenceModel } from './model.ts';

/** Which latents of a batch are kept: those above the threshold, row by row, or the k · rows largest of the batch. */
export type Gate =
  | { readonly by: 'threshold'; readonly threshold: InferenceModel['threshold'] }
  | { readonly by: 'batch'; readonly k: number };

/** A trained SAE in the memory of what computes. */
export interface Session {
  /** For people: what computes, and why no better one was taken. */
  readonly notes: readonly string[];
  /**
   * @param x - (rows, d_in), finite.
   * @throws {@link RangeError} on values that are not finite, and on k outside 0..d_sae.
   */
  encode(x: Float32Array, rows: number, gate: Gate): Promise<Latents>;
  /** x̂ from latents below `prefix`: (rows, d_in). */
  decode(latents: Latents, prefix: number): Promise<Float32Array>;
  close(): Promise<void>;
}

/**
 * @param backend - `auto` for the best that works; another never answers in its place.
 * @throws {@link UsageError} if it does not work.
 */
export async function openSession(
  model: InferenceModel,
  backend: ComputeName | 'auto' | 'reference' = 'auto',
): Promise<Session> {
  if (backend === 'reference') return referenceSession(model);
  const { name, better } = await choose(backend);
  const passed = better.map(({ rank, reason, remedy }) => `not ${rank}: ${reason} (${remedy})`);
  const own = name === 'threads' || name === 'threads+tensorflow';
  const session = own ? await threadsSession(model, name) : await portSession(model, name);
  return { ...session, notes: [...session.notes, ...passed] };
}

/** The least cut of a gate by threshold, and the exact one for what lies above it. */
function cuts({ threshold }: { readonly threshold: InferenceModel['threshold'] }): {
  readonly least: number;
  readonly exact: (latents: Latents) => Latents;
} {
  if (typeof threshold === 'number') return { least: threshold, exact: (latents) => latents };
  const least = threshold.reduce((most, one) => Math.min(most, one), Infinity);
  return { least, exact: (latents) => filtered(latents, (j, value) => value > threshold[j]) };
}

async function threadsSession(
  model: InferenceModel,
  name: 'threads' | 'threads+tensorflow',
): Promise<Session> {
  const threads = availableParallelism();
  const products = name === 'threads' ? null : await tensorflowProducts(threads);
  const engine = openEngine({ threads, products });
  const { d_in, d_sae, subtractsDecoderBias, W_enc, b_enc, W_dec, b_dec } = model;
  const sizes = sizesOf(d_in, d_sae);
  const params = allocBlocks(engine, sizes);
  upload(engine, sizes, params, { W_enc, b_enc, W_dec, b_dec });
  const scratch = <T>(use: () => T): T => {
    const mark = engine.mark();
    try {
      return use();
    } finally {
      engine.release(mark);
    }
  };
  const read = ({ rows, count, start, latent, value }: Rows): Latents => ({
    rows,
    start: engine.i32(start, rows + 1).slice(),
    latent: engine.i32(latent, count).slice(),
    value: engine.f32(value, count).slice(),
  });
  return {
    notes: [`backend ${name}: ${describeEngine(engine, threads)}`],
    encode: async (x, rows, gate) =>
      scratch(() => {
        const { centred } = centre(engine, x, rows, sizes, params, subtractsDecoderBias);
        const { stride } = sizes;
        const own = { W_enc: params.W_enc, b_enc: params.b_enc, norms: 0, known: 0 };
        const plain: Input = { centred, rows, d_in, stride, latents: d_sae, ...own };
        const library = productsFor(engine, rows, d_in, d_sae);
        const input =
          library === null ? plain : { ...plain, known: preActivations(engine, library, plain) };
        if (gate.by === 'batch') {
          const K = selectionCount(gate.k, rows, d_sae);
          return read(selectBatch(engine, input, K, noHint()));
        }
        const { least, exact } = cuts(gate);
        return exact(read(selectAbove(engine, input, least)));
      }),
    decode: async ({ rows, start, latent, value }, prefix) =>
      scratch(() => {
        const count = latent.length;
        const [starts, latents, values] = [rows + 1, count, count].map((n) => engine.alloc(n * 4));
        engine.i32(starts, rows + 1).set(start);
        engine.i32(latents, count).set(latent);
        engine.f32(values, count).set(value);
        const chosen = { rows, count, start: starts, latent: latents, value: values, score: 0 };
        const state = { sizes, params };
        const levels = openLevels(engine, 0, chosen, state, [prefix], new Float64Array(2));
        decode(engine, levels, count);
        return fromRows(engine, levels.at, rows, d_in, sizes.stride);
      }),
    close: () => engine.close(),
  };
}

async function portSession(
  model: InferenceModel,
  name: Exclude<ComputeName, 'threads' | 'threads+tensorflow'>,
): Promise<Session> {
  const { device } = await openBackend(name);
  const port = portInference(model);
  const { d_sae } = model;
  return {
    notes: [`backend ${name}: ${device}`],
    async encode(x, rows, gate) {
      if (gate.by === 'batch') return fromDense(await port.largest(x, rows, gate.k), rows, d_sae);
      const { least, exact } = cuts(gate);
      return exact(fromDense(await port.above(x, rows, least), rows, d_sae));
    },
    decode: ({ rows, ...latents }, prefix) =>
      port.decode(toDense(latents, new Float32Array(rows * d_sae), d_sae, prefix), rows),
    close: async () => port.dispose(),
  };
}

/** Entries of latents below `prefix` into `out`, (rows, d_sae) of zeros. */
function toDense<T extends Float32Array | Float64Array>(
  { start, latent, value }: Omit<Latents, 'rows'>,
  out: T,
  d_sae: number,
  prefix: number,
): T {
  for (let row = 0; row + 1 < start.length; row++) {
    for (let e = start[row]; e < start[row + 1]; e++) {
      if (latent[e] < prefix) out[row * d_sae + latent[e]] = value[e];
    }
  }
  return out;
}

function referenceSession(model: InferenceModel): Session {
  const { d_in, d_sae } = model;
  const params: SaeParams = {
    W_enc: matrix(d_in, d_sae, Float64Array.from(model.W_enc)),
    b_enc: Float64Array.from(model.b_enc),
    W_dec: matrix(d_sae, d_in, Float64Array.from(model.W_dec)),
    b_dec: Float64Array.from(model.b_dec),
  };
  const { subtractsDecoderBias } = model;
  const encode = { ...dictionaryLearning.encode, subtractsDecoderBias };
  const dialect = { ...dictionaryLearning, encode };
  return {
    notes: ['backend reference: plain TypeScript, float64'],
    async encode(x, rows, gate) {
      const acts = relu(referencePre(matrix(rows, d_in, Float64Array.from(x)), params, dialect));
      if (gate.by === 'batch') return fromDense(batchTopK(acts, gate.k).data, rows, d_sae);
      const { least, exact } = cuts(gate);
      return exact(fromDense(aboveThreshold(acts, least).data, rows, d_sae));
    },
    async decode({ rows, ...entries }, prefix) {
      const latents = matrix(rows, d_sae);
      toDense(entries, latents.data, d_sae, prefix);
      return Float32Array.from(decodeDense(latents, params).data);
    },
    close: async () => {},
  };
}

/**
 * A finished SAE: a folder with `sae.safetensors` and `cfg.json`. `cfg.json` is removed before and written after the
 * weights, so a folder that has one holds a whole SAE.
 *
 * `sae.safetensors`, all F32, row-major: `W_enc` [d_in, d_sae], `b_enc` [d_sae], `W_dec` [d_sae, d_in] (unit rows in most dialects),
 * `b_dec` [d_in], `threshold` [] (one cut for all latents). They apply to activations as collected: an input
 * normalisation is folded in. Use:
 *
 *     acts = relu((x - b_dec) W_enc + b_enc);  latents = acts where acts > threshold, else 0;  x̂ = latents W_dec + b_dec
 *
 * and for a smaller SAE from the same weights, only the latents below one of `prefixes`.
 * @module
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeTextAtomically } from '../atomic-file.ts';
import { rowNorms } from '../../reference/decoder-norm.ts';
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { matrix } from '../../reference/matrix.ts';
import type { DialectJson } from '../dialect-file.ts';
import type { Evaluations } from '../evaluate.ts';
import { fileError } from '../file-error.ts';
import { UsageError } from '../usage-error.ts';
import {
  openSafetensors,
  readTensor,
  writeSafetensors,
  type LazyTensor,
} from './safetensors-file.ts';
import { tensorNamed } from './safetensors-header.ts';

export const SAE_WEIGHTS = 'sae.safetensors';
export const SAE_CONFIG = 'cfg.json';

/** What `cfg.json` says. */
export interface SaeConfig {
  readonly format: 'matryoshka-sae 1';
  readonly architecture: 'batchtopk' | 'matryoshka_batchtopk';
  /** Whose choices training followed: a name in reference/dialects.ts, or every decision of one's own. */
  readonly dialect: string | DialectJson;
  readonly d_in: number;
  readonly d_sae: number;
  /** Mean number of latents kept per row in training. */
  readonly k: number;
  /** Widths of the nested SAEs; the last is d_sae. */
  readonly prefixes: readonly number[];
  readonly dtype: 'float32';
  /** The same number as in the weights; below 0: never set, and inference is a plain ReLU. */
  readonly threshold: number;
  readonly training: {
    /** What computed. */
    readonly kernel: string;
    readonly steps: number;
    readonly tokens: number;
    readonly batch: number;
    readonly seed: number;
    readonly learningRate: number;
    readonly warmupSteps: number;
    readonly decayStart: number | null;
    readonly auxkAlpha: number;
    readonly deadAfter: number;
    readonly thresholdStartStep: number;
    /** What inputs were divided by in training; folded into the weights already. */
    readonly normFactor: number;
    /** Of the last step; null if there was none. */
    readonly loss: number | null;
    readonly sources: readonly SourceFile[];
  };
  /** On rows that were not trained on, by each way of choosing latents; null if there were none. */
  readonly metrics: (Evaluations & { readonly sources: readonly SourceFile[] }) | null;
  /** Of the program that wrote it. */
  readonly version: string;
}

/** A file of activations, known again by its content. */
export interface SourceFile {
  /** Name without its folders. */
  readonly file: string;
  readonly tensor: string;
  readonly dtype: string;
  readonly rows: number;
  /** See fingerprint.ts. */
  readonly hash: string;
}

const count = z.int().nonnegative();
const size = z.int().positive();
const evaluation = z.object({
  explainedVariance: z.number(),
  l0: z.number(),
  dead: count,
  rows: size,
});
const sources = z.array(
  z.object({
    file: z.string(),
    tensor: z.string(),
    dtype: z.string(),
    rows: size,
    hash: z.string(),
  }),
);

const schema: z.ZodType<SaeConfig> = z
  .object({
    format: z.literal('matryoshka-sae 1'),
    architecture: z.enum(['batchtopk', 'matryoshka_batchtopk']),
    dialect: z.union([z.string(), z.looseObject({ name: z.string(), extends: z.string() })]),
    d_in: size,
    d_sae: size,
    k: z.number().nonnegative(),
    prefixes: z.array(size).min(1),
    dtype: z.literal('float32'),
    threshold: z.number(),
    training: z.object({
      kernel: z.string(),
      steps: count,
      tokens: count,
      batch: size,
      seed: count,
      learningRate: z.number(),
      warmupSteps: count,
      decayStart: count.nullable(),
      auxkAlpha: z.number(),
      deadAfter: z.number(),
      thresholdStartStep: z.int(),
      normFactor: z.number().positive(),
      loss: z.number().nullable(),
      sources,
    }),
    metrics: z.object({ threshold: evaluation, batch: evaluation, sources }).nullable(),
    version: z.string(),
  })
  .refine(({ prefixes, d_sae }) => prefixes[prefixes.length - 1] === d_sae, {
    path: ['prefixes'],
    message: 'the last is not d_sae',
  });

/** Weights as their names in the file; `state` may hold more tensors than these. */
const weights = ['W_enc', 'b_enc', 'W_dec', 'b_dec', 'threshold'] as const;

/** A finished SAE in memory, float32. */
export interface Sae {
  readonly config: SaeConfig;
  /** (d_in, d_sae). */
  readonly W_enc: Float32Array;
  /** (d_sae). */
  readonly b_enc: Float32Array;
  /** (d_sae, d_in). */
  readonly W_dec: Float32Array;
  /** (d_in). */
  readonly b_dec: Float32Array;
  readonly threshold: number;
}

/**
 * The tensors to write, from a training state: rounded to float32, with the input normalisation folded in as
 * `foldInputScale` in reference/input-norm.ts does, and, in dialects whose latents are acts times decoder norm, decoder
 * norms as `foldDecoderNorm` in reference/decoder-norm.ts does. Nothing is fetched before it is written.
 * @param state - of a trainer, F32 or F64.
 * @param normFactor - what inputs were divided by in training.
 */
export function saeTensors(
  state: readonly LazyTensor[],
  normFactor: number,
  dialect: Dialect = dictionaryLearning,
): LazyTensor[] {
  const tensorOf = (name: string): LazyTensor => {
    const tensor = state.find((one) => one.name === name);
    if (tensor === undefined) throw new RangeError(`saeTensors: the state has no "${name}"`);
    return tensor;
  };
  const read = async (name: string): Promise<Float32Array | Float64Array> =>
    (await tensorOf(name).read()) as Float32Array | Float64Array;
  const factors = factorsOf(normFactor, dialect);
  const foldsNorms = dialect.inference.values === 'acts-times-decoder-norm';
  return weights.map((name) => ({
    ...tensorOf(name),
    dtype: 'F32',
    read: async () => {
      const values = await read(name);
      const factor = factors[name];
      const isKept = factor === 1 && (!foldsNorms || name === 'b_dec' || name === 'threshold');
      if (isKept) return values instanceof Float32Array ? values : new Float32Array(values);
      if (!foldsNorms || name === 'b_dec' || name === 'threshold') {
        return Float32Array.from(values, (value) =>
          name === 'threshold' && value < 0 ? value : value * factor,
        );
      }
      const [d_sae, d_in] = tensorOf('W_dec').shape;
      const decoder = matrix(d_sae, d_in, Float64Array.from(await read('W_dec')));
      const norms = rowNorms(decoder).map((norm) => Math.max(norm * factors.W_dec, 1e-8));
      return Float32Array.from(values, (value, i) =>
        name === 'W_dec'
          ? (value * factor) / norms[Math.floor(i / d_in)]
          : value * factor * norms[i % d_sae],
      );
    },
  }));
}

/** What each tensor is multiplied by to undo the scaling of inputs. */
function factorsOf(
  normFactor: number,
  { input, select }: Dialect,
): Readonly<Record<(typeof weights)[number], number>> {
  if (input.folds === 'into-biases') {
    return { W_enc: 1, b_enc: normFactor, W_dec: 1, b_dec: normFactor, threshold: normFactor };
  }
  const threshold = select.score === 'acts-times-decoder-norm' ? normFactor : 1;
  return { W_enc: 1 / normFactor, b_enc: 1, W_dec: normFactor, b_dec: normFactor, threshold };
}

/** @throws {@link UsageError} for a full disk and the like. */
export async function writeSae(
  folder: string,
  config: SaeConfig,
  tensors: readonly LazyTensor[],
): Promise<void> {
  await rm(join(folder, SAE_CONFIG), { force: true });
  await writeSafetensors(join(folder, SAE_WEIGHTS), tensors, { format: config.format });
  await writeTextAtomically(
    join(folder, SAE_CONFIG),
    `${JSON.stringify(schema.parse(config), null, 2)}\n`,
  );
}

/**
 * @throws {@link UsageError} naming the file and field if the folder does not hold a whole SAE of this format.
 */
export async function readSae(folder: string): Promise<Sae> {
  const config = await readConfig(join(folder, SAE_CONFIG));
  const { d_in, d_sae } = config;
  const path = join(folder, SAE_WEIGHTS);
  const file = await openSafetensors(path);
  const values = async (name: string, ...shape: number[]): Promise<Float32Array> => {
    const tensor = tensorNamed(file, name, path);
    if (tensor.dtype !== 'F32' || tensor.shape.join() !== shape.join()) {
      throw new UsageError(
        `${path}: tensor "${name}" is ${tensor.dtype} of shape [${tensor.shape.join(', ')}], expected F32 of shape [${shape.join(', ')}] by ${SAE_CONFIG}`,
      );
    }
    return (await readTensor(file, tensor)) as Float32Array;
  };
  try {
    return {
      config,
      W_enc: await values('W_enc', d_in, d_sae),
      b_enc: await values('b_enc', d_sae),
      W_dec: await values('W_dec', d_sae, d_in),
      b_dec: await values('b_dec', d_in),
      threshold: (await values('threshold'))[0],
    };
  } finally {
    await file.close();
  }
}

async function readConfig(path: string): Promise<SaeConfig> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) throw new UsageError(`${path}: not JSON`);
    throw fileError(error, path);
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new UsageError(
    `${path}: ${issue.path.map(String).join('.') || 'content'}: ${issue.message.replace(/\s+/g, ' ')}`,
  );
}

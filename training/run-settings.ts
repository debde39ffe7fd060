/**
 * What a user asks of a training run, and what that comes to once the activations are known.
 * @module
 */
import type { ComputeName } from '../gpu/choose.ts';
import { decided, decisionList, dictionaryLearning, type Dialect } from '../reference/dialects.ts';
import { prefixesFromFractions } from '../reference/prefixes.ts';
import { trainConfig } from '../reference/train-config.ts';
import type { TrainConfig } from '../reference/train-step.ts';
import type { ActivationShards } from './activation-shards.ts';
import type { RunIdentity } from './checkpoint.ts';
import { isPublished, requireBatchTopK } from './dialect-file.ts';
import { requireRows } from './shuffled-batches.ts';
import { usage, UsageError } from './usage-error.ts';

/** Group sizes of the paper as fractions of d_sae: prefixes 1/32, 3/32, 7/32, 15/32 and 1. */
export const PAPER_FRACTIONS: readonly number[] = [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2 + 1 / 32];

/** Fields left undefined take the default named. */
export interface RunSettings {
  /** Shards to train on, and to evaluate on afterwards (may be none). */
  readonly activations: readonly string[];
  readonly heldout: readonly string[];
  /** The tensor in each; default `activations`, or the only float matrix. */
  readonly tensor?: string | undefined;
  /** Folder of checkpoint, weights and cfg.json. */
  readonly out: string;
  readonly backend: ComputeName | 'auto' | 'reference';
  /** Default dictionary_learning's. */
  readonly dialect?: Dialect | undefined;
  readonly architecture: 'batchtopk' | 'matryoshka';
  /** Default 8 · d_in. */
  readonly d_sae?: number | undefined;
  readonly k: number;
  /** One of the two for a Matryoshka SAE; default {@link PAPER_FRACTIONS}. */
  readonly prefixes?: readonly number[] | undefined;
  readonly fractions?: readonly number[] | undefined;
  /** One of the two; default one pass over the activations. */
  readonly steps?: number | undefined;
  readonly tokens?: number | undefined;
  readonly batchRows: number;
  /** Default the dialect's; dictionary_learning's is 2e-4 / √(d_sae / 16384). */
  readonly learningRate?: number | undefined;
  /** Default a tenth of the steps, at most the dialect's, such as 1000. */
  readonly warmupSteps?: number | undefined;
  /** Default none. */
  readonly decayStart?: number | undefined;
  /** Default the dialect's, such as 1/32. */
  readonly auxkAlpha?: number | undefined;
  /** Default half of the steps, at most the dialect's, such as 1000. */
  readonly thresholdStartStep?: number | undefined;
  /** Tokens, or steps where the dialect counts them; default the dialect's, such as 10 million tokens. */
  readonly deadAfter?: number | undefined;
  /** Whether inputs are scaled in training, as the dialect estimates it. */
  readonly normalise: boolean;
  readonly seed: number;
  readonly checkpointEvery: number;
  /** Continue a checkpoint in `out` if there is one, demand one, or start over. */
  readonly resume: 'auto' | 'required' | 'never';
  /** Rows per shuffle buffer; default 256 MiB worth. */
  readonly bufferRows?: number | undefined;
}

/**
 * @returns the settings of the train step.
 * @throws {@link UsageError} naming the field and its value.
 */
export function resolveConfig(settings: RunSettings, activations: ActivationShards): TrainConfig {
  const { d_in, rows } = activations;
  requireRows(activations, settings.batchRows);
  const d_sae = settings.d_sae ?? 8 * d_in;
  const steps = resolveSteps(settings, rows);
  const { dialect = dictionaryLearning } = settings;
  requireBatchTopK(dialect, 'train');
  const { defaults } = dialect;
  const config = usage(() =>
    trainConfig({
      dialect,
      d_in,
      d_sae,
      k: settings.k,
      steps,
      prefixes: resolvePrefixes(settings, d_sae),
      warmupSteps: settings.warmupSteps ?? Math.min(defaults.warmupSteps, Math.floor(steps / 10)),
      decayStart: settings.decayStart ?? null,
      thresholdStartStep:
        settings.thresholdStartStep ?? Math.min(defaults.thresholdStartStep, Math.floor(steps / 2)),
      ...given({
        learningRate: settings.learningRate,
        auxkAlpha: settings.auxkAlpha,
        deadAfter: settings.deadAfter,
      }),
    }),
  );
  if (config.thresholdStartStep >= steps - 1) {
    throw new UsageError(
      `--threshold-start ${config.thresholdStartStep}: the run has only ${steps} steps, so the inference threshold would never be set: give a smaller one, or more --steps`,
    );
  }
  return config;
}

/**
 * What a checkpoint must agree on, by the options' names. Files are known by content, not by path; `--steps` may grow
 * as long as no decay depends on it.
 * @param kernel - what computes.
 */
export function runIdentity(
  settings: RunSettings,
  config: TrainConfig,
  activations: ActivationShards,
  kernel: string,
): RunIdentity {
  return {
    '--backend': kernel,
    '--activations': activations.shards.map(({ facts: { hash, tensor } }) => `${tensor} ${hash}`),
    dialect: config.dialect.name,
    ...decisionsOf(config.dialect),
    d_in: config.d_in,
    '--d-sae': config.d_sae,
    '--k': config.k,
    '--prefixes': config.prefixes,
    '--batch': settings.batchRows,
    '--lr': config.learningRate,
    '--warmup': config.warmupSteps,
    '--decay-start': config.decayStart,
    ...(config.decayStart === null ? {} : { '--steps': config.steps }),
    '--auxk-alpha': config.auxkAlpha,
    '--dead-after': config.deadAfter,
    '--threshold-start': config.thresholdStartStep,
    '--normalise': settings.normalise,
    '--seed': settings.seed,
    '--buffer-rows': settings.bufferRows ?? 'default',
  };
}

/** Every decision of a dialect that no name stands for. */
function decisionsOf(dialect: Dialect): RunIdentity {
  if (isPublished(dialect)) return {};
  return Object.fromEntries(
    decisionList.map(({ path }) => [`dialect.${path}`, decided(dialect, path)]),
  );
}

function resolveSteps({ steps, tokens, batchRows }: RunSettings, rows: number): number {
  if (steps !== undefined && tokens !== undefined) {
    throw new UsageError(`--steps ${steps} and --tokens ${tokens}: give one of them`);
  }
  if (tokens !== undefined) return Math.ceil(tokens / batchRows);
  return steps ?? Math.max(1, Math.floor(rows / batchRows));
}

function resolvePrefixes(settings: RunSettings, d_sae: number): readonly number[] {
  const { architecture, prefixes, fractions } = settings;
  if (architecture === 'batchtopk') {
    if (prefixes !== undefined || fractions !== undefined) {
      throw new UsageError(
        `${prefixes === undefined ? '--fractions' : '--prefixes'}: a batchtopk SAE has one prefix, d_sae: leave it out, or give --arch matryoshka`,
      );
    }
    return [d_sae];
  }
  if (prefixes !== undefined && fractions !== undefined) {
    throw new UsageError('--prefixes and --fractions: give one of them');
  }
  return prefixes ?? prefixesFromFractions(fractions ?? PAPER_FRACTIONS, d_sae);
}

/** The fields that are not undefined. */
function given<T extends Record<string, unknown>>(
  fields: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/**
 * Settings of the tree experiment, checked, and the figures it is compared with.
 * @module
 */
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { requirePrefixes } from '../../reference/prefixes.ts';
import { trainConfig } from '../../reference/train-config.ts';
import type { TrainConfig } from '../../reference/train-step.ts';
import {
  dialectOfRecord,
  dialectRecord,
  requireBatchTopK,
  type DialectJson,
} from '../../training/dialect-file.ts';
import { UsageError } from '../../training/usage-error.ts';
import { nabeshimaTree } from '../worlds/feature-tree.ts';
import { wholeBatches } from '../train.ts';

export interface TreeSettings {
  /** Training seeds. */
  readonly seeds: readonly number[];
  /** Worlds, each one draw of directions; every training seed runs in every world. */
  readonly worldSeeds: readonly number[];
  /** A published dialect's name, or every decision of one's own. */
  readonly dialect: string | DialectJson;
  readonly d_sae: number;
  /** Mean latents per row, for both architectures. */
  readonly k: number;
  readonly steps: number;
  /** Rows per step. */
  readonly batch: number;
  readonly learningRate: number;
  readonly warmupSteps: number;
  readonly thresholdStartStep: number;
  /** Tokens, or steps where the dialect counts them, without firing after which the auxiliary loss takes a latent for dead. */
  readonly deadAfter: number;
  /** Of the Matryoshka architecture. */
  readonly prefixes: readonly number[];
  /** Fresh rows behind the final metrics, and behind each point of a curve. */
  readonly evaluationSamples: number;
  readonly curveSamples: number;
}

/** What a caller may choose; the rest follows. Seeds run from `seed` upwards, and so do worlds. */
export interface TreeOptions {
  readonly seeds?: number;
  readonly seed?: number;
  readonly worlds?: number;
  readonly dialect?: Dialect;
  readonly k?: number;
  readonly steps?: number;
  readonly batch?: number;
  readonly prefixes?: readonly number[];
}

/** One side of the comparison. */
export interface TreeArchitecture {
  readonly name: ArchitectureName;
  readonly prefixes: readonly number[];
}

export type ArchitectureName = 'BatchTopK' | 'Matryoshka BatchTopK';

const D_SAE = 20;
const LEAST_BATCH = 16;
/** 10 M of the 500 M tokens that Bussmann et al. 2025 train on. */
const DEAD_SHARE = 0.02;

/**
 * Defaults: five seeds in one world, k = the tree's expected L0, 4,000 steps of 512 rows at rate 5e-3 as the SAELens
 * runs it is compared with, canonical dialect. Warm-up and the threshold's start are the dialect's, or a quarter of a
 * short run; the wait before a latent counts as dead is the paper's share of a run, since its 10 M tokens are more
 * than all of this one.
 * @throws {@link UsageError} naming the field and its value.
 */
export function treeSettings(options: TreeOptions = {}): TreeSettings {
  const { dialect = dictionaryLearning } = options;
  requireBatchTopK(dialect, 'synthetic tree');
  const { seeds = 5, seed = 0, worlds = 1, k = 1.12, steps = 4000, batch = 512 } = options;
  const prefixes = options.prefixes ?? [3, 5, 8, 12, 16, 20];
  requireWhole('seeds', seeds, 1);
  requireWhole('worlds', worlds, 1);
  requireWhole('seed', seed, 0);
  requireWhole('steps', steps, 1);
  // With fewer, a batch of equal rows is likely enough to meet: it has no geometric median, where b_dec starts.
  requireWhole('batch', batch, LEAST_BATCH);
  requireK(k, batch);
  requireTreePrefixes(prefixes);
  requireWhole('seed + seeds + worlds', seed + seeds + worlds, 0);
  const { defaults, deadLatents } = dialect;
  const quarter = Math.floor(steps / 4);
  return {
    seeds: Array.from({ length: seeds }, (_, i) => seed + i),
    worldSeeds: Array.from({ length: worlds }, (_, i) => seed + i),
    dialect: dialectRecord(dialect),
    d_sae: D_SAE,
    k,
    steps,
    batch,
    learningRate: 5e-3,
    warmupSteps: Math.min(defaults.warmupSteps, quarter),
    thresholdStartStep: Math.min(defaults.thresholdStartStep, quarter),
    deadAfter: Math.ceil(DEAD_SHARE * steps * (deadLatents.unit === 'tokens' ? batch : 1)),
    prefixes,
    evaluationSamples: wholeBatches(20_000, batch),
    curveSamples: wholeBatches(2_000, batch),
  };
}

/** BatchTopK is the Matryoshka SAE with a single prefix: everything else is equal. */
export function treeArchitectures(settings: TreeSettings): TreeArchitecture[] {
  return [
    { name: 'BatchTopK', prefixes: [settings.d_sae] },
    { name: 'Matryoshka BatchTopK', prefixes: settings.prefixes },
  ];
}

export function treeTrainConfig(
  settings: TreeSettings,
  architecture: TreeArchitecture,
): TrainConfig {
  return trainConfig({
    dialect: dialectOfRecord(settings.dialect),
    d_in: nabeshimaTree.d_in,
    d_sae: settings.d_sae,
    k: settings.k,
    steps: settings.steps,
    prefixes: architecture.prefixes,
    learningRate: settings.learningRate,
    warmupSteps: settings.warmupSteps,
    thresholdStartStep: settings.thresholdStartStep,
    deadAfter: settings.deadAfter,
  });
}

function requireWhole(field: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least) {
    throw new UsageError(`${field}: expected a whole number >= ${least}, got ${value}`);
  }
}

function requireK(k: number, batch: number): void {
  if (!(k > 0) || k > D_SAE) {
    throw new UsageError(`k: expected a number above 0 and at most d_sae = ${D_SAE}, got ${k}`);
  }
  if (Math.trunc(k * batch) < 1) {
    throw new UsageError(
      `k: expected at least one latent per batch of ${batch}, got ${k}: raise k or batch`,
    );
  }
}

function requireTreePrefixes(prefixes: readonly number[]): void {
  if (prefixes.length < 2) {
    throw new UsageError(
      `prefixes: expected at least 2 (one alone is plain BatchTopK), got ${prefixes.length}`,
    );
  }
  try {
    requirePrefixes(prefixes, D_SAE);
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

/**
 * What `cfg.json` says of a run. Nothing in it depends on time, machine or paths, so equal runs write equal files.
 * @module
 */
import { basename } from 'node:path';
import type { TrainConfig } from '../reference/train-step.ts';
import { version } from '../reference/version.ts';
import { dialectRecord } from './dialect-file.ts';
import type { ActivationShards } from './activation-shards.ts';
import type { Evaluations } from './evaluate.ts';
import type { SaeConfig, SourceFile } from './formats/sae.ts';
import type { RunSettings } from './run-settings.ts';

export function saeConfig(
  settings: RunSettings,
  config: TrainConfig,
  data: { readonly activations: ActivationShards; readonly heldout: ActivationShards | null },
  kernel: string,
  result: {
    readonly normFactor: number;
    readonly loss: number | null;
    readonly threshold: number;
    readonly evaluations: Evaluations | null;
  },
): SaeConfig {
  const { normFactor, loss, threshold, evaluations } = result;
  const { batchRows, seed, architecture } = settings;
  return {
    format: 'matryoshka-sae 1',
    architecture: architecture === 'matryoshka' ? 'matryoshka_batchtopk' : architecture,
    dialect: dialectRecord(config.dialect),
    d_in: config.d_in,
    d_sae: config.d_sae,
    k: config.k,
    prefixes: config.prefixes,
    dtype: 'float32',
    threshold,
    training: {
      kernel,
      steps: config.steps,
      tokens: config.steps * batchRows,
      batch: batchRows,
      seed,
      learningRate: config.learningRate,
      warmupSteps: config.warmupSteps,
      decayStart: config.decayStart,
      auxkAlpha: config.auxkAlpha,
      deadAfter: config.deadAfter,
      thresholdStartStep: config.thresholdStartStep,
      normFactor,
      loss,
      sources: sourcesOf(data.activations),
    },
    metrics:
      evaluations === null || data.heldout === null
        ? null
        : { ...evaluations, sources: sourcesOf(data.heldout) },
    version,
  };
}

function sourcesOf({ shards }: ActivationShards): SourceFile[] {
  return shards.map(({ facts: { path, tensor, dtype, rows, hash } }) => ({
    file: basename(path),
    tensor,
    dtype,
    rows,
    hash,
  }));
}

/**
 * A peer's settings, as its script wrote them, and the same settings of ours.
 * @module
 */
import { z } from 'zod';
import {
  nabeshima,
  saelens,
  saelensRelu,
  withDecision,
  type Dialect,
} from '../../reference/dialects.ts';
import { trainConfig } from '../../reference/train-config.ts';
import type { TrainConfig } from '../../reference/train-step.ts';

const run = { d_sae: z.int(), steps: z.int(), batch: z.int(), learning_rate: z.number() };

export const saelensSettings: z.ZodType<SaelensSettings> = z.object({
  ...run,
  architecture: z.enum(['relu', 'batchtopk', 'matryoshka']),
  k: z.number(),
  widths: z.array(z.int()),
  l1: z.number(),
  level_aux: z.boolean(),
});

export const nabeshimaSettings: z.ZodType<NabeshimaSettings> = z.object({
  ...run,
  architecture: z.enum(['nabeshima-vanilla', 'nabeshima-matryoshka']),
  target_l0: z.number(),
  sparsity_start: z.number(),
  prefixes_a_step: z.int(),
  permute_latents: z.boolean(),
});

interface RunLength {
  readonly d_sae: number;
  readonly steps: number;
  /** Rows per step. */
  readonly batch: number;
  readonly learning_rate: number;
}

/** saelens_saes.py, Settings. */
export interface SaelensSettings extends RunLength {
  readonly architecture: 'relu' | 'batchtopk' | 'matryoshka';
  readonly k: number;
  readonly widths: readonly number[];
  readonly l1: number;
  readonly level_aux: boolean;
}

/** nabeshima_runs.py, settings_of. */
export interface NabeshimaSettings extends RunLength {
  readonly architecture: 'nabeshima-vanilla' | 'nabeshima-matryoshka';
  readonly target_l0: number;
  readonly sparsity_start: number;
  readonly prefixes_a_step: number;
  readonly permute_latents: boolean;
}

export type PeerSettings = SaelensSettings | NabeshimaSettings;

/** What a peer's script leaves beside its tensors: runs.json. */
export const peerRuns: z.ZodType<PeerRuns> = z.object({
  peer: z.string(),
  versions: z.record(z.string(), z.string()),
  world: z.string(),
  world_seed: z.int(),
  evaluation_batch: z.int(),
  settings: z.union([saelensSettings, nabeshimaSettings]),
  runs: z.array(z.object({ seed: z.int(), metrics: z.record(z.string(), z.unknown()) })),
});

export interface PeerRuns {
  readonly peer: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly world: string;
  readonly world_seed: number;
  readonly evaluation_batch: number;
  readonly settings: PeerSettings;
  readonly runs: readonly { seed: number; metrics: Readonly<Record<string, unknown>> }[];
}

/** Ours with a peer's settings: its dialect, and of the dialect's options those its script chose. */
export function configOfPeer(settings: PeerSettings, d_in: number): TrainConfig {
  const { d_sae, steps, learning_rate: learningRate } = settings;
  const common = { d_in, d_sae, steps, learningRate };
  switch (settings.architecture) {
    case 'relu':
      return trainConfig({
        ...common,
        dialect: saelensRelu,
        k: 0,
        sparsityCoefficient: settings.l1,
      });
    case 'batchtopk':
      return trainConfig({ ...common, dialect: saelens, k: settings.k });
    case 'matryoshka': {
      const { level_aux } = settings;
      const dialect = level_aux ? withDecision(saelens, 'auxk.levels', 'each') : saelens;
      return trainConfig({ ...common, dialect, k: settings.k, prefixes: settings.widths });
    }
    case 'nabeshima-vanilla':
    case 'nabeshima-matryoshka':
      return trainConfig({
        ...common,
        dialect: orderedAs(settings),
        k: 0,
        sparsityCoefficient: settings.sparsity_start,
        targetL0: settings.target_l0,
      });
  }
}

function orderedAs({ permute_latents }: NabeshimaSettings): Dialect {
  return permute_latents ? nabeshima : withDecision(nabeshima, 'latentOrder.permute', 'never');
}

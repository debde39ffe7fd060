/** What the configuration of dictionary_learning's operator recordings holds. */
import type { Recording } from '../../golden-vectors.ts';

export interface StepCase {
  readonly id: string;
  readonly active_groups: number;
  readonly group_weights: readonly number[];
  readonly changed: Readonly<Record<string, readonly number[]>>;
}

export interface Config {
  readonly geometric_median: readonly { readonly id: string }[];
  readonly lr_multipliers: readonly {
    readonly id: string;
    readonly steps: number;
    readonly warmup_steps: number;
    readonly decay_start: number | null;
    readonly error?: string;
  }[];
  readonly group_sizes: readonly {
    readonly group_fractions: readonly number[];
    readonly d_sae: number;
    readonly group_sizes?: readonly number[];
  }[];
  readonly update_threshold: readonly {
    readonly id: string;
    readonly threshold_beta?: number;
    readonly error?: string;
  }[];
  readonly encode: {
    readonly k: number;
    readonly group_sizes: readonly number[];
    readonly k_above_d_sae: { readonly k: number; readonly d_sae: number };
  };
  readonly batch_top_k: readonly {
    readonly id: string;
    readonly k: number;
    readonly fired: readonly boolean[];
  }[];
  readonly step: {
    readonly group_sizes: readonly number[];
    readonly k: number;
    readonly auxk_alpha: number;
    readonly dead_feature_threshold: number;
    readonly cases: readonly StepCase[];
  };
  readonly scale_biases: { readonly scale: number };
  readonly defaults: Defaults;
}

export interface Adam {
  readonly adam_betas: readonly [number, number];
  readonly adam_eps: number;
}

export interface Defaults extends Adam {
  readonly auxk_alpha: number;
  readonly warmup_steps: number;
  readonly threshold_beta: number;
  readonly threshold_start_step: number;
  readonly lr: Readonly<Record<string, number>>;
  readonly clip_norm: number;
  readonly dead_feature_threshold: number;
  readonly decay_start: number | null;
  readonly k_aux: Readonly<Record<string, number>>;
  readonly group_weights: Readonly<Record<string, readonly number[]>>;
  readonly architectures: {
    readonly jumprelu: Adam & {
      readonly lr: number;
      readonly bandwidth: number;
      readonly sparsity_penalty: number;
      readonly target_l0: number;
      readonly warmup_steps: number;
      readonly sparsity_warmup_steps: number;
    };
    readonly 'standard-april': Adam & {
      readonly lr: number;
      readonly l1_penalty: number;
      readonly warmup_steps: number;
      readonly sparsity_warmup_steps: number;
    };
  };
}

export const configOf = ({ config }: Recording): Config => config as unknown as Config;

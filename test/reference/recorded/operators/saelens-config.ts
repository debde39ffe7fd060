/** What the configuration of SAELens's operator recordings holds. */
import type { Recording } from '../../golden-vectors.ts';

export interface StepCase {
  readonly id: string;
  readonly aux_loss_coefficient: number;
  readonly k: number;
  readonly apply_b_dec_to_input: boolean;
  readonly rescale_acts_by_decoder_norm: boolean;
  readonly use_matryoshka_aux_loss: boolean;
  readonly changed: Readonly<Record<string, readonly number[]>>;
}

export interface Rates {
  readonly id: string;
  readonly scheduler_name: string;
  readonly training_steps: number;
  readonly warm_up_steps: number;
  readonly decay_steps: number;
  readonly lr: number;
  readonly lr_end: number;
  readonly error?: string;
}

export interface Trainer {
  readonly lr: number;
  readonly lr_scheduler_name: string;
  readonly lr_warm_up_steps: number;
  readonly lr_decay_steps: number;
  readonly adam_beta1: number;
  readonly adam_beta2: number;
  readonly dead_feature_window: number;
}

export interface Config {
  readonly batch_top_k: readonly { readonly id: string; readonly k: number }[];
  readonly selected_counts: readonly {
    readonly k: number;
    readonly rows: number;
    readonly selected: number;
  }[];
  readonly top_k: { readonly k: number };
  readonly update_threshold: readonly {
    readonly id: string;
    readonly topk_threshold_lr: number;
  }[];
  readonly step: { readonly prefixes: readonly number[]; readonly cases: readonly StepCase[] };
  readonly encode: { readonly pre_activations_at_the_threshold: number };
  readonly export_and_scale: { readonly scale: number };
  readonly scaling_factor: { readonly scaling_factor: number };
  readonly widths: readonly {
    readonly matryoshka_widths: readonly number[];
    readonly d_sae: number;
    readonly prefixes?: readonly number[];
  }[];
  readonly jumprelu: { readonly bandwidth: number; readonly default_bandwidth: number };
  readonly learning_rates: readonly Rates[];
  readonly defaults: {
    readonly sae: {
      readonly topk_threshold_lr: number;
      readonly aux_loss_coefficient: number;
      readonly rescale_acts_by_decoder_norm: boolean;
      readonly use_matryoshka_aux_loss: boolean;
      readonly decoder_init_norm: number;
      readonly apply_b_dec_to_input: boolean;
      readonly normalize_activations: string;
    };
    readonly trainer: Trainer;
    readonly jumprelu: {
      readonly jumprelu_init_threshold: number;
      readonly jumprelu_bandwidth: number;
      readonly jumprelu_sparsity_loss_mode: string;
      readonly l0_coefficient: number;
      readonly l0_warm_up_steps: number;
      readonly jumprelu_ste_to_input: boolean;
      readonly decoder_init_norm: number;
    };
    readonly standard: {
      readonly l1_coefficient: number;
      readonly l1_warm_up_steps: number;
      readonly lp_norm: number;
      readonly decoder_init_norm: number;
    };
    readonly adam_betas: readonly [number, number];
    readonly adam_eps: number;
    readonly clip_norm: number;
    readonly threshold: number;
  };
}

export const configOf = ({ config }: Recording): Config => config as unknown as Config;

/**
 * An architecture as data: what `--arch` names. Everything that a training run depends on but the world, its sizes and
 * its seed.
 * @module
 */
import type { Dialect } from '../../reference/dialects.ts';
import type { TrainConfig } from '../../reference/train-step.ts';

export interface Architecture {
  /** What tables call it. */
  readonly name: string;
  /** What `--arch` calls it. */
  readonly slug: string;
  /** In a line: what it is and where it comes from. */
  readonly meaning: string;
  /** The published dialect it is trained in, unless another is asked for. */
  readonly dialect: string;
  readonly selection: Dialect['defaults']['selection'];
  /** One prefix (a plain SAE), the world's levels, or as many as asked, drawn anew for every step. */
  readonly prefixes: 'one' | 'levels' | 'random';
  /** What brings L0 to its target. */
  readonly sparsity: Sparsity;
  /** Of the dialect's decisions and a run's settings, those that differ. */
  readonly options: ArchitectureOptions;
}

/**
 * `k`: selection keeps that many. `target`: the penalty is least at the target, and pulls from either side.
 * `controller`: the penalty's coefficient follows L0 (controlled-penalty.ts). `dialect`: the dialect has a controller of
 * its own. `fixed`: a coefficient that is given, and L0 is what it comes out as.
 */
export type Sparsity = 'k' | 'target' | 'controller' | 'dialect' | 'fixed';

export interface ArchitectureOptions {
  /** Settings of the run, by the names of `TrainConfig`. */
  readonly train?: Partial<
    Pick<
      TrainConfig,
      | 'auxkAlpha'
      | 'deadAfter'
      | 'decayStart'
      | 'learningRate'
      | 'sparsityCoefficient'
      | 'sparsityWarmupSteps'
      | 'thresholdStartStep'
      | 'warmupSteps'
    >
  >;
  /** Decisions of the dialect by path, such as `auxk.levels`. */
  readonly decisions?: Readonly<Record<string, string | number | boolean>>;
  /** Weight of every level but the last, which has 1: level g of G has innerWeight^(G - g) ("balance"). */
  readonly innerWeight?: number;
  /** k starts at this multiple of its target and falls to it, linearly, over the share of the run. */
  readonly fallingK?: { readonly from: number; readonly share: number };
}

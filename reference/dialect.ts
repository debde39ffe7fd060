/**
 * A dialect: one published trainer as data, a value for every decision. What each means is in decisions.ts.
 * @module
 */
import type { Section } from './decisions.ts';

/** Sizes, k and step counts belong to a run: see `TrainConfig` in train-step.ts. */
export interface Dialect {
  readonly name: string;
  /** The published class, and where it is. */
  readonly source: string;
  /** File and function that each section's values were read from; a user's own dialect may have none. */
  readonly readFrom?: Readonly<Partial<Record<Section, string>>>;
  readonly input: {
    readonly normaliser: 'none' | 'each-row' | 'running-mean-norm';
    readonly epsilon: number;
    readonly decay: number;
    readonly estimate: 'root-mean-square-norm' | 'mean-norm-to-sqrt-d_in' | 'none';
    readonly folds: 'into-biases' | 'into-weights';
  };
  readonly encode: {
    readonly subtractsDecoderBias: boolean;
    readonly usesEncoderBias: boolean;
    readonly refinement: number;
  };
  readonly select: {
    readonly score: 'acts' | 'acts-times-decoder-norm';
  };
  readonly inference: {
    readonly gate: 'threshold' | 'latent-thresholds' | 'none';
    readonly values: 'acts' | 'acts-times-decoder-norm';
  };
  readonly threshold: {
    readonly start: number;
    readonly first: 'assign' | 'average';
    readonly decay: number;
    readonly whenEmpty: 'decay' | 'keep';
  };
  readonly prefixes: {
    readonly drawn: 'once' | 'each-step';
    readonly power: number;
  };
  readonly loss: {
    readonly emptyPrefix: boolean;
    readonly overDimensions: 'sum' | 'mean';
    readonly overLevels: 'sum' | 'mean';
    readonly defaultWeight: 'one-over-levels' | 'one';
    readonly innerLevels: 'attached' | 'detached';
    readonly tilt: number;
  };
  readonly penalty: {
    readonly kind: 'none' | 'l1' | 'log' | 'l0' | 'l0-to-target';
    readonly on: 'latents' | 'latents-times-decoder-norm';
    readonly overPrefixes: boolean;
    readonly coefficient: 'constant' | 'warmed-up' | 'controlled';
    readonly controllerStep: number;
  };
  readonly auxk: {
    readonly values: 'acts' | 'pre-activations' | 'none';
    readonly levels: 'last' | 'each';
    readonly residual: 'detached' | 'attached';
    readonly normaliser: 'residual-variance' | 'none';
    readonly overDimensions: 'sum' | 'mean';
    readonly k: 'half-d_in' | number;
    readonly scale: 'dead-fraction' | 'none';
    readonly whenNothingDecodes: 'counts' | 'is-zero';
  };
  readonly deadLatents: {
    readonly unit: 'tokens' | 'steps';
    readonly test: 'at-least' | 'above';
    readonly mask: 'this-step' | 'previous-steps';
  };
  readonly jumpRelu: {
    readonly bandwidth: number;
    readonly start: number;
    readonly inputGradient: 'gate' | 'gate-and-window';
    readonly keepsThresholds: 'as-trained' | 'at-least-zero';
    readonly counts: 'pre-activations' | 'latents';
  };
  readonly decoderNorm: {
    readonly project: 'before-clip' | 'after-clip' | 'never';
    readonly projectEpsilon: number;
    readonly normalise: 'after-update' | 'before-update' | 'never';
    readonly normaliseEpsilon: number;
  };
  readonly clip: {
    readonly maxNorm: number;
  };
  readonly adam: {
    readonly beta1: number;
    readonly beta2: number;
    readonly epsilon: number;
  };
  readonly learningRate: {
    readonly base: number;
    readonly scalesWithWidth: boolean;
    readonly warmup: 't-over-w' | 't-plus-one-over-w';
    readonly decay: 'linear-to-zero' | 'cool-down';
  };
  readonly latentOrder: {
    readonly permute: 'never' | 'by-mean-square' | 'by-frequency';
    readonly decay: number;
  };
  readonly initialise: {
    readonly draw: 'W_dec-uniform' | 'W_enc-uniform' | 'W_enc-normal';
    readonly decoderNorm: number;
    readonly normEpsilon: number;
    readonly encoder: 'decoder-transposed' | 'as-drawn';
    readonly b_dec: 'geometric-median' | 'zero';
  };
  readonly defaults: {
    readonly selection: 'batch' | 'row' | 'all' | 'jump';
    readonly auxkAlpha: number;
    readonly deadAfter: number;
    readonly thresholdStartStep: number;
    readonly warmupSteps: number;
    readonly decayFraction: number;
    readonly sparsityCoefficient: number;
    readonly sparsityWarmup: number;
    readonly targetL0: number;
  };
}

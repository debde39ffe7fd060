/**
 * Worlds as plain JSON: what a world file holds, what travels to worker threads and into results. With a seed it is the
 * world (see `createWorld` in presets.ts).
 * @module
 */
import type { TreeNode } from './feature-tree.ts';

export type WorldParams = TreeParams | ParentChildParams | SynthParams;

/** A tree of probabilities with orthogonal directions and activations of 1: tree-world.ts. */
export interface TreeParams {
  readonly kind: 'tree';
  readonly name: string;
  /** Width of x, at least the number of features. */
  readonly d_in: number;
  /** Standard deviation of the directions' lengths, relative to each node's norm. */
  readonly normSpread: number;
  readonly root: TreeNode;
}

/** A few features with orthonormal directions, each with at most one parent: parent-child.ts. */
export interface ParentChildParams {
  readonly kind: 'parent-child';
  readonly name: string;
  /** Width of x, at least the number of features. */
  readonly d_in: number;
  readonly features: readonly ToyFeature[];
  /** Of the Gaussians behind the features' firing; null: independent. Not together with parents. */
  readonly correlation: PairCorrelation | RandomCorrelation | null;
  /** Of the activation of a feature that fires: max(0, N(mean, sd²)). */
  readonly magnitude: { readonly mean: number; readonly sd: number };
}

export interface ToyFeature {
  /** P(on), or P(on | parent on). */
  readonly probability: number;
  /** Index of the parent, or null. */
  readonly parent: number | null;
  /** P(on | parent off). Above 0 the feature does not need its parent, and is no edge of the world. */
  readonly withoutParent: number;
}

/** Gaussian correlation of the named pairs; 0 for all others. */
export interface PairCorrelation {
  readonly kind: 'pairs';
  readonly pairs: readonly {
    readonly first: number;
    readonly second: number;
    readonly rho: number;
  }[];
}

/** Random correlations, drawn once per world and clipped to the nearest positive definite spectrum. */
export interface RandomCorrelation {
  readonly kind: 'random';
  /** |rho| is uniform in [min, max]. */
  readonly min: number;
  readonly max: number;
  /** P(a pair is correlated at all). */
  readonly correlated: number;
  /** P(a correlated pair's rho > 0). */
  readonly positive: number;
}

/** Many features in fewer dimensions, as SynthSAEBench has them: synth-world.ts. */
export interface SynthParams {
  readonly kind: 'synth';
  readonly name: string;
  /** F. */
  readonly features: number;
  /** Width of x. */
  readonly d_in: number;
  /** Zipf's law between p_max (feature 0) and p_min (the last). */
  readonly firing: { readonly exponent: number; readonly p_max: number; readonly p_min: number };
  /** Null: no feature has a parent. */
  readonly forest: ForestParams | null;
  /** Low-rank Gaussian correlation, rms about scale² √rank; null: independent. */
  readonly correlation: { readonly rank: number; readonly scale: number } | null;
  readonly magnitudes: {
    /** Mean activation, linear from the first feature to the last. */
    readonly first: number;
    readonly last: number;
    /** A feature's own standard deviation is |N(mean, sd²)|, drawn once per world. */
    readonly spread: { readonly mean: number; readonly sd: number };
  };
  /** Adam steps that push the directions apart. */
  readonly orthogonalisation: { readonly steps: number; readonly learningRate: number };
  /** Length of b. */
  readonly bias: number;
  /**
   * Rows that share a source of random numbers, so that threads can draw a run's rows side by side; 0: all of them.
   */
  readonly rowsPerBlock: number;
}

export interface ForestParams {
  readonly roots: number;
  /** Children of a node: a number, or uniform in a range. */
  readonly branching: number | { readonly min: number; readonly max: number };
  /** Levels below the roots. */
  readonly depth: number;
  readonly exclusive: {
    /** Share of the eligible parents whose children exclude each other. */
    readonly portion: number;
    /** Depths of eligible parents; roots are at 0, null has no end. */
    readonly minDepth: number;
    readonly maxDepth: number | null;
  };
  /**
   * Whether a child's firing makes up for its parent's silence and its siblings' exclusion, and what becomes of a
   * probability that would have to reach 1: it is refused, or set to 1 with a warning.
   */
  readonly compensate: 'no' | 'refuse' | 'clamp';
  /** Whether a child's activation is multiplied by its parent's, divided by the parent's mean. */
  readonly scaleChildren: boolean;
}

/** What an experiment on a world takes where nothing else is said. */
export interface WorldDefaults {
  readonly d_sae: number;
  /** Mean number of active latents aimed at. */
  readonly k: number;
  /** Of the Matryoshka, ascending to d_sae; one entry where the world has one level. */
  readonly prefixes: readonly number[];
  readonly steps: number;
  readonly batch: number;
  readonly learningRate: number;
  readonly evaluationSamples: number;
}

/**
 * What an experiment found, as plain JSON: `results.json`. Equal settings give equal results, whatever the number of
 * threads or shards: no dates, no durations.
 * @module
 */
import type { DialectJson } from '../../training/dialect-file.ts';
import type { Interval, PairedDifference } from '../bootstrap.ts';
import type { Control } from '../controls.ts';
import type { MatchedCosines } from '../evaluate.ts';
import type { ParentAbsorption } from '../metrics/absorption.ts';
import type { WorldStatistics } from '../worlds/world.ts';

export interface ExperimentResults {
  readonly schema: 'matryoshka-sae/synthetic-results/1';
  readonly experiment: 'run' | 'claims';
  /** Of this package. */
  readonly version: string;
  readonly world: WorldRecord;
  /** Training seeds; every one runs in every world. */
  readonly seeds: readonly number[];
  readonly worldSeeds: readonly number[];
  readonly evaluationSamples: number;
  /** In the order of the tables; the first is what others are compared with. */
  readonly architectures: readonly ArchitectureRecord[];
  readonly cells: readonly Cell[];
  /** One for each architecture and L0. */
  readonly summaries: readonly Summary[];
  readonly comparisons: readonly Comparison[];
  /** Of `claims`; empty for `run`. */
  readonly claims: readonly Claim[];
  readonly acceptance: readonly Acceptance[];
  readonly controls: readonly Control[];
}

export interface WorldRecord {
  readonly name: string;
  /** What made it, so that another machine can make it again. */
  readonly parameters: unknown;
  readonly d_in: number;
  readonly features: readonly string[];
  readonly edges: readonly { readonly parent: number; readonly child: number }[];
  readonly statistics: WorldStatistics;
  /** By world seed: max cosine between the d_sae most frequent true directions, what a perfect dictionary scores. */
  readonly maxCosineFloor: readonly (number | null)[];
  readonly warnings: readonly string[];
}

/** One side of a comparison: all that training depends on but world and seed. */
export interface ArchitectureRecord {
  /** What tables call it, no two alike. */
  readonly name: string;
  /** What `--arch` calls it. */
  readonly slug: string;
  readonly dialect: string | DialectJson;
  readonly selection: 'batch' | 'row' | 'all' | 'jump';
  readonly d_sae: number;
  /** Those trained with; for drawn ones, those evaluated. */
  readonly prefixes: readonly number[];
  readonly drawnPrefixes: boolean;
  /** L0s aimed for: one cell of each seed for each. */
  readonly targetL0s: readonly number[];
  readonly steps: number;
  readonly batch: number;
  readonly learningRate: number;
  /** Every other setting that is not the dialect's default. */
  readonly settings: Readonly<Record<string, number | string | boolean | null | readonly number[]>>;
}

/** One training run. */
export interface Cell {
  readonly architecture: string;
  readonly targetL0: number;
  readonly worldSeed: number;
  readonly seed: number;
  /** What computed it. */
  readonly kernel: string;
  readonly samples: number;
  /** By name of `metricList`; null where not defined. */
  readonly metrics: Readonly<Record<string, number | null>>;
  /** Measured L0 within 3 % of the target. */
  readonly l0Matched: boolean;
  readonly parents: readonly ParentAbsorption[];
  /** For worlds of at most 64 features. */
  readonly cosines: MatchedCosines | null;
  /** The same of encoder columns, rows in the same order. */
  readonly encoderCosines: MatchedCosines | null;
  readonly erasure: readonly ErasureCurve[];
  /** Per latent: what precision and recall are drawn from. */
  readonly detectors: readonly Detector[];
  /** The same SAE cut to each of its prefixes. */
  readonly prefixes: readonly PrefixMetrics[];
  readonly curve: readonly CurveRecord[];
  /** Trained threshold; null while never set. */
  readonly threshold: number | null;
  readonly mccDrift: number | null;
  /** MCC moved by at most 0.01 over the last fifth of the steps. */
  readonly converged: boolean;
}

export interface ErasureCurve {
  readonly parent: number;
  /** Latents ablated, and the drop of the probe's accuracy after each. */
  readonly n: readonly number[];
  readonly drop: readonly number[];
}

export interface Detector {
  readonly latent: number;
  /** Feature it is judged on, or -1. */
  readonly feature: number;
  readonly precision: number;
  readonly recall: number;
  /** Share of samples in which it is active. */
  readonly rate: number;
}

export interface PrefixMetrics {
  readonly prefix: number;
  readonly metrics: Readonly<Record<string, number | null>>;
}

export interface CurveRecord {
  readonly step: number;
  readonly l0: number;
  readonly mcc: number | null;
  readonly fullAbsorption: number | null;
  readonly deadLatents: number;
  readonly loss: number | null;
}

export interface Summary {
  readonly architecture: string;
  readonly targetL0: number;
  readonly metrics: Readonly<Record<string, Interval | null>>;
  readonly unconverged: number;
  /** Cells whose L0 is further than 3 % from the target. */
  readonly unmatchedL0: number;
}

/** One architecture minus another at one L0, paired by world and seed. */
export interface Comparison {
  readonly architecture: string;
  readonly baseline: string;
  readonly targetL0: number;
  readonly differences: Readonly<Record<string, PairedDifference | null>>;
}

export interface Claim {
  readonly number: 1 | 2 | 3 | 4 | 5;
  /** As the paper claims it, a line. */
  readonly claim: string;
  readonly verdict: 'shown' | 'not reproduced' | 'undecided';
  /** Whether published or observed runs on this world show it: a world where they do not is no failure. */
  readonly expected: boolean;
  readonly evidence: readonly ClaimEvidence[];
}

export interface ClaimEvidence {
  readonly metric: string;
  readonly baseline: string;
  readonly treatment: string;
  /** Treatment minus baseline. */
  readonly difference: PairedDifference | null;
  readonly baselineInterval: Interval | null;
  readonly treatmentInterval: Interval | null;
  readonly verdict: 'shown' | 'not reproduced' | 'undecided';
}

/** Ours beside what another implementation gave with the same settings. */
export interface Acceptance {
  readonly architecture: string;
  readonly metric: string;
  readonly ours: number | null;
  readonly theirs: number;
  readonly tolerance: number;
  readonly holds: boolean;
  readonly source: string;
}

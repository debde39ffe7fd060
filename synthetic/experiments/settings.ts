/**
 * What an experiment is, before anything is computed: plain data that travels to worker threads and names its folder's
 * contents. Equal settings give equal results.
 * @module
 */
import { version } from '../../reference/version.ts';
import type { WorldParams } from '../worlds/params.ts';
import type { ArchitectureRecord, ExperimentResults } from './results.ts';

export interface ExperimentSettings {
  readonly experiment: ExperimentResults['experiment'];
  /** Of this package. */
  readonly version: string;
  readonly world: { readonly name: string; readonly parameters: WorldParams };
  readonly architectures: readonly ArchitectureRecord[];
  /** Name of the dialect in place of each architecture's own; left out where they have their own. */
  readonly dialect?: string;
  /** By slug: `reference`, `threads`, or what `--kernel` was given. */
  readonly kernels: Readonly<Record<string, string>>;
  readonly runs: readonly Run[];
  readonly evaluationSamples: number;
  /** Architectures that are compared, treatment and baseline by slug. */
  readonly pairs: readonly Pair[];
}

/** Where architectures meet the same data. */
export interface Run {
  readonly worldSeed: number;
  readonly seed: number;
}

export interface Pair {
  readonly treatment: string;
  readonly baseline: string;
}

/** One training run of the experiment. */
export interface CellJob extends Run {
  /** Name of its file, without ending. */
  readonly key: string;
  readonly world: WorldParams;
  readonly architecture: ArchitectureRecord;
  readonly kernel: string;
  readonly targetL0: number;
  readonly evaluationSamples: number;
}

export type OpenSettings = Omit<ExperimentSettings, 'version'>;

export function experimentSettings(settings: OpenSettings): ExperimentSettings {
  return { ...settings, version };
}

/** Every cell, those that meet the same data side by side. */
export function cellJobs(settings: ExperimentSettings): CellJob[] {
  const { runs, architectures, world, kernels, evaluationSamples } = settings;
  return runs.flatMap(({ worldSeed, seed }) =>
    architectures.flatMap((architecture) =>
      architecture.targetL0s.map((targetL0) => ({
        key: `${architecture.slug}-l0-${targetL0}-world-${worldSeed}-seed-${seed}`,
        worldSeed,
        seed,
        world: world.parameters,
        architecture,
        kernel: kernels[architecture.slug],
        targetL0,
        evaluationSamples,
      })),
    ),
  );
}

/** Every training seed in every world. */
export function crossed(worldSeeds: readonly number[], seeds: readonly number[]): Run[] {
  return worldSeeds.flatMap((worldSeed) => seeds.map((seed) => ({ worldSeed, seed })));
}

/** A world of its own for every training seed. */
export function paired(seeds: readonly number[]): Run[] {
  return seeds.map((seed) => ({ worldSeed: seed, seed }));
}

/** `BatchTopK, L0 1.12, world 42, seed 0`. */
export function cellLabel({ architecture, targetL0, worldSeed, seed }: CellJob): string {
  return `${architecture.name}, L0 ${targetL0}, world ${worldSeed}, seed ${seed}`;
}

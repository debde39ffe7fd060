/**
 * The check's experiment: BatchTopK against Matryoshka BatchTopK on the tree at the same L0, on the same rows, from the
 * same seeds. The toy behind the claim of Bussmann et al. 2025, arXiv:2503.17547, section 4.1: a plain SAE's parent
 * latent falls silent whenever a child is on, a Matryoshka SAE's does not.
 * @module
 */
import { availableParallelism } from 'node:os';
import { dictionaryLearning } from '../reference/dialects.ts';
import { architectureNamed } from '../synthetic/architectures/catalogue.ts';
import { activationOf, architectureRecord } from '../synthetic/architectures/record.ts';
import { allCells, runExperiment } from '../synthetic/experiments/experiment.ts';
import type { ExperimentResults } from '../synthetic/experiments/results.ts';
import {
  cellJobs,
  crossed,
  experimentSettings,
  type CellJob,
  type ExperimentSettings,
} from '../synthetic/experiments/settings.ts';
import { resultsOf } from '../synthetic/experiments/summarise.ts';
import { createWorld, worldDefaults, worldNamed } from '../synthetic/worlds/presets.ts';
import { UsageError } from '../training/usage-error.ts';

/** Half of the world's own steps: absorption has settled by then. */
const STEPS = 2000;
/** The baseline, then what must absorb less. */
const PAIR = ['batchtopk', 'matryoshka'] as const;
/**
 * Whatever the backend asked for: this check shows what the definition does, so that its figures do not depend on what
 * is checked. That a backend computes what is defined is for the laws to say, and that it trains, for the run on real
 * activations.
 */
const KERNEL = 'reference';

export interface AbsorptionOptions {
  /** Of the world, and the first of training. */
  readonly seed: number;
  readonly seeds: number;
  readonly steps?: number;
  readonly batch?: number;
}

/** @throws {@link UsageError} where seeds would run beyond whole numbers. */
export function absorptionSettings(options: AbsorptionOptions): ExperimentSettings {
  const { seed, seeds } = options;
  if (!Number.isSafeInteger(seed + seeds)) {
    throw new UsageError(`--seed: expected with --seeds at most 2^53 - 1, got ${seed} + ${seeds}`);
  }
  const parameters = worldNamed('tree');
  const world = createWorld(parameters, seed);
  const defaults = worldDefaults['tree'];
  const { steps = STEPS, batch = defaults.batch } = options;
  const sizes = { ...defaults, steps, batch, d_in: world.d_in, activation: activationOf(world) };
  const [baseline, treatment] = PAIR;
  return experimentSettings({
    experiment: 'run',
    world: { name: world.name, parameters },
    architectures: PAIR.map((slug) =>
      architectureRecord(architectureNamed(slug), sizes, [defaults.k], dictionaryLearning),
    ),
    kernels: Object.fromEntries(PAIR.map((slug) => [slug, KERNEL])),
    runs: crossed(
      [seed],
      Array.from({ length: seeds }, (_, i) => seed + i),
    ),
    evaluationSamples: defaults.evaluationSamples,
    pairs: [{ treatment, baseline }],
  });
}

export interface AbsorptionRunOptions {
  /** Worker threads; the machine's processors if left out. */
  readonly threads?: number;
  readonly signal?: AbortSignal;
  /** Live: a run's steps done. */
  readonly onProgress?: (progress: AbsorptionProgress) => void;
}

export interface AbsorptionProgress {
  readonly job: CellJob;
  readonly steps: number;
  /** In all. */
  readonly runs: number;
}

/** @throws as `runExperiment`. */
export async function runAbsorption(
  settings: ExperimentSettings,
  { threads = availableParallelism(), signal, onProgress }: AbsorptionRunOptions = {},
): Promise<ExperimentResults> {
  const runs = cellJobs(settings).length;
  const cells = await runExperiment(settings, {
    threads,
    ...(signal && { signal }),
    onProgress: (job, steps) => onProgress?.({ job, steps, runs }),
  });
  return resultsOf(settings, allCells(settings, cells)!);
}

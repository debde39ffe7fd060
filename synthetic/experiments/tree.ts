/**
 * Does nesting reduce absorption? BatchTopK against Matryoshka BatchTopK on Nabeshima's tree, at the same k, on the
 * same data stream, from the same seeds. The toy behind the claim of Bussmann et al. 2025, arXiv:2503.17547, section
 * 4.1: a plain SAE's parent latent falls silent whenever a child is on, a Matryoshka SAE's does not.
 * @module
 */
import { availableParallelism } from 'node:os';
import { norm, row } from '../../reference/matrix.ts';
import { version } from '../../reference/version.ts';
import {
  meanInterval,
  pairedDifference,
  type Interval,
  type PairedDifference,
} from '../bootstrap.ts';
import { runControls, type Control } from '../controls.ts';
import { maxCosineFloor } from '../metrics/max-decoder-cosine.ts';
import { streamsOf } from '../train.ts';
import { runInWorkers } from '../worker-pool.ts';
import { nabeshimaTree, treeStatistics } from '../worlds/feature-tree.ts';
import { treeWorld } from '../worlds/tree-world.ts';
import { createSampler, type WorldStatistics } from '../worlds/world.ts';
import { treeMetrics, type TreeCell, type TreeJob, type TreeMetric } from './tree-cell.ts';
import {
  treeArchitectures,
  type ArchitectureName,
  type TreeArchitecture,
  type TreeSettings,
} from './tree-settings.ts';

/** Everything a run found, as plain JSON. Equal settings give equal results, whatever the number of threads. */
export interface TreeResults {
  readonly experiment: 'tree';
  /** Of this package. */
  readonly version: string;
  readonly settings: TreeSettings;
  readonly tree: { readonly name: string; readonly features: readonly string[] } & WorldStatistics;
  readonly worlds: readonly WorldFacts[];
  readonly architectures: readonly ArchitectureSummary[];
  /** Matryoshka BatchTopK minus BatchTopK, paired by world and seed. */
  readonly differences: Readonly<Record<TreeMetric, PairedDifference | null>>;
  readonly verdict: TreeVerdict;
  readonly controls: readonly Control[];
  readonly comparison: Comparison;
  readonly cells: readonly TreeCell[];
}

export interface WorldFacts {
  readonly seed: number;
  readonly directionNorms: readonly number[];
  /** Max cosine between the true directions themselves: what a perfect dictionary scores. */
  readonly maxCosineFloor: number | null;
}

export interface ArchitectureSummary extends TreeArchitecture {
  readonly metrics: Readonly<Record<TreeMetric, Interval | null>>;
  /** Runs whose MCC still moved at the end. */
  readonly unconverged: number;
}

export interface TreeVerdict {
  /** Both of the next two. */
  readonly shown: boolean;
  /** Full absorption is lower, and the two intervals do not touch. */
  readonly absorptionReduced: boolean;
  /** The mean MCC is not lower. */
  readonly mccAtLeastAsHigh: boolean;
  /** Measured L0 of both within 3 % of k. Not part of `shown`; if false, part of a difference may be sparsity's. */
  readonly equalL0: boolean;
  /** Every control came out at its exact values. */
  readonly controlsHold: boolean;
}

/** How far a measured L0 may be from k to count as equal. */
export const L0_TOLERANCE = 0.03;

/** Metrics that the runs of {@link saelensRuns} were read for. */
export type ComparedMetric =
  | 'l0'
  | 'mcc'
  | 'f1'
  | 'recall'
  | 'explainedVariance'
  | 'maxDecoderCosine'
  | 'fullAbsorption'
  | 'edgeGap'
  | 'childLeak';

export interface Comparison extends Readonly<
  Record<ArchitectureName, Readonly<Record<ComparedMetric, number>>>
> {
  readonly source: string;
}

/**
 * Means over three seeds of SAELens runs with the same tree, k, prefixes, steps, batch and rate. Its trainer differs
 * from the canonical dialect: decoder norms free and folded into the scores, unweighted sum of levels, decoder rows of
 * norm 0.1 at the start, no warm-up, dead latents revived after 1,000 silent steps.
 */
export const saelensRuns: Comparison = {
  source:
    'SAELens 6.54.12 on the same tree: k = 1.12, prefixes 3/5/8/12/16/20, 4,000 steps of 512, rate 5e-3, 3 seeds, 20,000 evaluation samples',
  BatchTopK: {
    l0: 1.06,
    mcc: 0.898,
    f1: 0.886,
    recall: 0.881,
    explainedVariance: 0.999,
    maxDecoderCosine: 0.31,
    fullAbsorption: 0.298,
    edgeGap: 0.254,
    childLeak: 0.39,
  },
  'Matryoshka BatchTopK': {
    l0: 1.12,
    mcc: 0.932,
    f1: 0.944,
    recall: 0.957,
    explainedVariance: 0.97,
    maxDecoderCosine: 0.115,
    fullAbsorption: 0.068,
    edgeGap: 0.059,
    childLeak: 0.034,
  },
};

export interface TreeRunOptions {
  /** Worker threads; the machine's processors if left out. */
  readonly threads?: number;
  readonly signal?: AbortSignal;
  /** Live: a cell's steps done. */
  readonly onProgress?: (progress: TreeProgress) => void;
}

export interface TreeProgress {
  /** Index into the cells, and how many there are. */
  readonly cell: number;
  readonly cells: number;
  readonly architecture: ArchitectureName;
  readonly worldSeed: number;
  readonly seed: number;
  readonly steps: number;
}

/**
 * @param settings - from `treeSettings`.
 * @throws The signal's reason if aborted; what a cell throws, with its message. No thread is left behind.
 */
export async function runTree(
  settings: TreeSettings,
  options: TreeRunOptions = {},
): Promise<TreeResults> {
  const { signal, onProgress, threads = availableParallelism() } = options;
  const architectures = treeArchitectures(settings);
  const jobs: TreeJob[] = settings.worldSeeds.flatMap((worldSeed) =>
    settings.seeds.flatMap((seed) =>
      architectures.map((architecture) => ({ settings, architecture, worldSeed, seed })),
    ),
  );
  const cells = await runInWorkers<TreeJob, TreeCell>(
    new URL('./tree-worker', import.meta.url),
    jobs,
    {
      threads,
      ...(signal === undefined ? {} : { signal }),
      onProgress: (cell, steps) => {
        const { architecture, worldSeed, seed } = jobs[cell];
        onProgress?.({
          cell,
          cells: jobs.length,
          architecture: architecture.name,
          worldSeed,
          seed,
          steps,
        });
      },
    },
  );
  return summarise(settings, cells);
}

/** Means, intervals, differences, controls and verdict from the cells. */
export function summarise(settings: TreeSettings, cells: readonly TreeCell[]): TreeResults {
  const statistics = treeStatistics(nabeshimaTree);
  const worlds = settings.worldSeeds.map((seed) => treeWorld(nabeshimaTree, seed));
  const [first] = settings.seeds;
  const controlSample = createSampler(worlds[0], streamsOf(first).evaluate).next(
    settings.evaluationSamples,
  );
  const controls = runControls(controlSample, worlds[0]);

  const cellsOf = (name: ArchitectureName): TreeCell[] =>
    cells.filter((cell) => cell.architecture === name);
  const architectures = treeArchitectures(settings).map((architecture): ArchitectureSummary => {
    const own = cellsOf(architecture.name);
    const metrics = eachMetric((metric) =>
      meanInterval(
        own.map((cell) => cell.metrics[metric]).filter((value) => value !== null),
        first,
      ),
    );
    return { ...architecture, metrics, unconverged: own.filter((cell) => !cell.converged).length };
  });
  const [plain, nested] = architectures;
  return {
    experiment: 'tree',
    version,
    settings,
    tree: {
      name: nabeshimaTree.name,
      features: nabeshimaTree.features.map((node) => node.name),
      ...statistics,
    },
    worlds: worlds.map(({ seed, directions }) => ({
      seed,
      directionNorms: Array.from({ length: directions.rows }, (_, f) => norm(row(directions, f))),
      maxCosineFloor: maxCosineFloor(directions, statistics.marginals, settings.d_sae),
    })),
    architectures,
    differences: eachMetric((metric) =>
      pairedBySeed(cellsOf(nested.name), cellsOf(plain.name), metric, first),
    ),
    verdict: judge(plain, nested, settings.k, controls),
    controls,
    comparison: saelensRuns,
    cells,
  };
}

function judge(
  plain: ArchitectureSummary,
  nested: ArchitectureSummary,
  k: number,
  controls: readonly Control[],
): TreeVerdict {
  const absorption = [plain.metrics.fullAbsorption, nested.metrics.fullAbsorption];
  const mcc = [plain.metrics.mcc, nested.metrics.mcc];
  const absorptionReduced =
    absorption[0] !== null && absorption[1] !== null && absorption[1].high < absorption[0].low;
  const mccAtLeastAsHigh = mcc[0] !== null && mcc[1] !== null && mcc[1].mean >= mcc[0].mean;
  return {
    shown: absorptionReduced && mccAtLeastAsHigh,
    absorptionReduced,
    mccAtLeastAsHigh,
    equalL0: [plain, nested].every(({ metrics }) => {
      const l0 = metrics.l0?.mean ?? NaN;
      return Math.abs(l0 - k) <= L0_TOLERANCE * k;
    }),
    controlsHold: controls.every(({ checks }) => checks.every(({ holds }) => holds)),
  };
}

/** Both lists run over worlds and seeds in the same order. A pair with an undefined value is left out. */
function pairedBySeed(
  a: readonly TreeCell[],
  b: readonly TreeCell[],
  metric: TreeMetric,
  seed: number,
): PairedDifference | null {
  const pairs = a.flatMap((cell, i) => {
    const [x, y] = [cell.metrics[metric], b[i].metrics[metric]];
    return x === null || y === null ? [] : [[x, y] as const];
  });
  return pairedDifference(
    pairs.map(([x]) => x),
    pairs.map(([, y]) => y),
    seed,
  );
}

function eachMetric<T>(make: (metric: TreeMetric) => T): Record<TreeMetric, T> {
  const names = Object.keys(treeMetrics) as TreeMetric[];
  return Object.fromEntries(names.map((name) => [name, make(name)])) as Record<TreeMetric, T>;
}

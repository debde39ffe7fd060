/**
 * From cells to results: means with intervals, differences paired by world and seed, controls, and the world's own facts.
 * @module
 */
import { meanInterval, pairedDifference, type PairedDifference } from '../bootstrap.ts';
import { runControls } from '../controls.ts';
import { maxCosineFloor } from '../metrics/max-decoder-cosine.ts';
import { streamsOf } from '../train.ts';
import { createWorld } from '../worlds/presets.ts';
import { createSampler, type World } from '../worlds/world.ts';
import type {
  Acceptance,
  Cell,
  Claim,
  Comparison,
  ExperimentResults,
  Summary,
  WorldRecord,
} from './results.ts';
import type { ExperimentSettings, Pair } from './settings.ts';

/** What `claims` adds to an experiment. */
export interface Verdicts {
  readonly claims: readonly Claim[];
  readonly acceptance: readonly Acceptance[];
}

/**
 * @param cells - all of them, in the order of `cellJobs`.
 * @param judge - what else is concluded from summaries and comparisons.
 */
export function resultsOf(
  settings: ExperimentSettings,
  cells: readonly Cell[],
  judge: (results: ExperimentResults) => Verdicts = () => ({ claims: [], acceptance: [] }),
): ExperimentResults {
  const seeds = distinct(settings.runs.map(({ seed }) => seed));
  const worldSeeds = distinct(settings.runs.map(({ worldSeed }) => worldSeed));
  const worlds = worldSeeds.map((seed) => createWorld(settings.world.parameters, seed));
  const results: ExperimentResults = {
    schema: 'matryoshka-sae/synthetic-results/1',
    experiment: settings.experiment,
    version: settings.version,
    world: worldRecord(settings, worlds),
    seeds,
    worldSeeds,
    evaluationSamples: settings.evaluationSamples,
    architectures: settings.architectures,
    cells,
    summaries: settings.architectures.flatMap(({ name, targetL0s }) =>
      targetL0s.map((targetL0) => summaryOf(cells, name, targetL0, seeds[0])),
    ),
    comparisons: settings.pairs.flatMap((pair) => comparisonsOf(settings, cells, pair)),
    claims: [],
    acceptance: [],
    controls: runControls(
      createSampler(worlds[0], streamsOf(seeds[0]).evaluate).next(settings.evaluationSamples),
      worlds[0],
    ),
  };
  return { ...results, ...judge(results) };
}

function worldRecord(settings: ExperimentSettings, worlds: readonly World[]): WorldRecord {
  const { d_in, features, edges, statistics } = worlds[0];
  const d_sae = Math.max(...settings.architectures.map((architecture) => architecture.d_sae));
  return {
    name: settings.world.name,
    parameters: settings.world.parameters,
    d_in,
    features,
    edges,
    statistics,
    maxCosineFloor: worlds.map(({ directions }) =>
      maxCosineFloor(directions, statistics.marginals, d_sae),
    ),
    warnings: worlds[0].warnings ?? [],
  };
}

/** Cells of one architecture and L0. */
export function cellsOf(cells: readonly Cell[], architecture: string, targetL0: number): Cell[] {
  return cells.filter((cell) => cell.architecture === architecture && cell.targetL0 === targetL0);
}

function summaryOf(
  all: readonly Cell[],
  architecture: string,
  targetL0: number,
  seed: number,
): Summary {
  const cells = cellsOf(all, architecture, targetL0);
  return {
    architecture,
    targetL0,
    metrics: eachMetric(cells, (metric) =>
      meanInterval(
        cells.map((cell) => cell.metrics[metric]).filter((value) => value !== null),
        seed,
      ),
    ),
    unconverged: cells.filter((cell) => !cell.converged).length,
    unmatchedL0: cells.filter((cell) => !cell.l0Matched).length,
  };
}

function comparisonsOf(
  { architectures, runs }: ExperimentSettings,
  cells: readonly Cell[],
  { treatment, baseline }: Pair,
): Comparison[] {
  const [a, b] = [treatment, baseline].map((slug) =>
    architectures.find((architecture) => architecture.slug === slug)!,
  );
  return a.targetL0s
    .filter((targetL0) => b.targetL0s.includes(targetL0))
    .map((targetL0) => {
      const own = cellsOf(cells, a.name, targetL0);
      const theirs = cellsOf(cells, b.name, targetL0);
      return {
        architecture: a.name,
        baseline: b.name,
        targetL0,
        differences: eachMetric(own, (metric) => differenceOf(own, theirs, metric, runs[0].seed)),
      };
    });
}

/** Paired by world and seed; a pair with an undefined value is left out. */
function differenceOf(
  own: readonly Cell[],
  theirs: readonly Cell[],
  metric: string,
  seed: number,
): PairedDifference | null {
  const pairs = own.flatMap((cell) => {
    const other = theirs.find((one) => one.worldSeed === cell.worldSeed && one.seed === cell.seed);
    const [x, y] = [cell.metrics[metric], other?.metrics[metric] ?? null];
    return x === null || y === null ? [] : [[x, y] as const];
  });
  return pairedDifference(
    pairs.map(([x]) => x),
    pairs.map(([, y]) => y),
    seed,
  );
}

function eachMetric<T>(cells: readonly Cell[], make: (metric: string) => T): Record<string, T> {
  const names = Object.keys(cells[0]?.metrics ?? {});
  return Object.fromEntries(names.map((name) => [name, make(name)]));
}

function distinct(values: readonly number[]): number[] {
  return [...new Set(values)];
}

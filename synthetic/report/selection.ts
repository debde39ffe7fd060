/**
 * Which runs of an experiment its pictures show: not all fit, and none may be picked for its looks.
 * @module
 */
import type { ArchitectureRecord, Cell, ExperimentResults } from '../experiments/results.ts';
import { ARCHITECTURE_STYLES } from '../plot-colours.ts';

/** A training seed in a world: what cells are paired by. */
export interface Run {
  readonly worldSeed: number;
  readonly seed: number;
}

/** As many architectures as there are colours, those that are compared with one another next to one another. */
export function drawnArchitectures(results: ExperimentResults): ArchitectureRecord[] {
  const paired = results.comparisons.flatMap(({ baseline, architecture }) => [
    baseline,
    architecture,
  ]);
  const names = [...new Set([...paired, ...results.architectures.map(({ name }) => name)])];
  return names
    .flatMap((name) => results.architectures.filter((each) => each.name === name))
    .slice(0, ARCHITECTURE_STYLES.length);
}

/** Of the L0s aimed for, the one closest to the world's own. */
export function shownL0(results: ExperimentResults, { targetL0s }: ArchitectureRecord): number {
  const distance = (l0: number): number =>
    Math.abs(Math.log(l0 / results.world.statistics.expectedL0));
  return targetL0s.reduce((best, l0) => (distance(l0) < distance(best) ? l0 : best));
}

/** All runs of an architecture at an L0. */
export function cellsOf(results: ExperimentResults, name: string, targetL0: number): Cell[] {
  return results.cells.filter((cell) => cell.architecture === name && cell.targetL0 === targetL0);
}

/** All runs of an architecture at its {@link shownL0}. */
export function shownCells(results: ExperimentResults, architecture: ArchitectureRecord): Cell[] {
  return cellsOf(results, architecture.name, shownL0(results, architecture));
}

/**
 * The run in which the first architecture has its median absorption (MCC where nothing can be absorbed): neither the
 * best nor the worst example of what the others are compared with.
 */
export function typicalRun(results: ExperimentResults): Run | undefined {
  const value = ({ metrics }: Cell): number => metrics.fullAbsorption ?? metrics.mcc ?? 0;
  const sorted = shownCells(results, results.architectures[0]).sort((a, b) => value(a) - value(b));
  return sorted[Math.floor((sorted.length - 1) / 2)];
}

/** An architecture's cell of that run; none where it was not computed. */
export function typicalCell(
  results: ExperimentResults,
  architecture: ArchitectureRecord,
): Cell | undefined {
  const run = typicalRun(results);
  return shownCells(results, architecture).find(
    ({ worldSeed, seed }) => worldSeed === run?.worldSeed && seed === run.seed,
  );
}

/** "BatchTopK, seed 3", with the world and the L0 where there are several. */
export function runLabel(results: ExperimentResults, cell: Cell): string {
  const world = results.worldSeeds.length > 1 ? `, world ${cell.worldSeed}` : '';
  const l0 = new Set(results.cells.map(({ targetL0 }) => targetL0)).size > 1;
  return `${cell.architecture}, ${l0 ? `L0 ${cell.targetL0}, ` : ''}seed ${cell.seed}${world}`;
}

/**
 * Runs an experiment's cells on worker threads, keeping each as it ends.
 * @module
 */
import { runInWorkers } from '../worker-pool.ts';
import type { Cell } from './results.ts';
import { cellJobs, type CellJob, type ExperimentSettings } from './settings.ts';

/** One of n shares of the cells: those whose place leaves i - 1 when divided by n. */
export interface Shard {
  readonly i: number;
  readonly n: number;
}

export interface ExperimentOptions {
  readonly threads: number;
  readonly shard?: Shard;
  /** Cells that need not be computed again, by key. */
  readonly done?: ReadonlyMap<string, Cell>;
  readonly signal?: AbortSignal;
  /** Live: a cell's steps done. */
  readonly onProgress?: (job: CellJob, steps: number) => void;
  /** A cell that has just been computed. */
  readonly onCell?: (job: CellJob, cell: Cell, seconds: number) => void | Promise<void>;
}

/** Cells that a call with these options would compute. */
export function openJobs(
  settings: ExperimentSettings,
  { shard, done }: Pick<ExperimentOptions, 'shard' | 'done'>,
): CellJob[] {
  return cellJobs(settings)
    .filter((_, place) => shard === undefined || place % shard.n === shard.i - 1)
    .filter(({ key }) => !done?.has(key));
}

/**
 * @returns every cell computed or done before, by key.
 * @throws The signal's reason if aborted; what a cell throws, with its message. No thread is left behind.
 */
export async function runExperiment(
  settings: ExperimentSettings,
  options: ExperimentOptions,
): Promise<Map<string, Cell>> {
  const { threads, signal, onProgress, onCell } = options;
  const jobs = openJobs(settings, options);
  const cells = new Map(options.done);
  const started = new Map<number, number>();
  await runInWorkers<CellJob, Cell>(new URL('./cell-worker', import.meta.url), jobs, {
    threads,
    ...(signal === undefined ? {} : { signal }),
    onProgress: (place, steps) => {
      if (!started.has(place)) started.set(place, performance.now());
      onProgress?.(jobs[place], steps);
    },
    onResult: (place, result) => {
      const cell = result as Cell;
      const seconds = (performance.now() - (started.get(place) ?? performance.now())) / 1000;
      cells.set(jobs[place].key, cell);
      return onCell?.(jobs[place], cell, seconds);
    },
  });
  return cells;
}

/** All cells in the order of `cellJobs`; null while some are missing. */
export function allCells(
  settings: ExperimentSettings,
  cells: ReadonlyMap<string, Cell>,
): Cell[] | null {
  const all = cellJobs(settings).map(({ key }) => cells.get(key));
  return all.every((cell) => cell !== undefined) ? all : null;
}

/**
 * Runs an experiment's cells on worker threads, keeping each as it ends.
 * @module
 */
import { runInWorkers } from '../worker-pool.ts';
import type { SentJob } from './cell.ts';
import type { Cell } from './results.ts';
import { cellJobs, type CellJob, type ExperimentSettings } from './settings.ts';

/** One of n shares of the cells: those whose place leaves i - 1 when divided by n. */
export interface Shard {
  readonly i: number;
  readonly n: number;
}

/** How long a cell took. */
export interface CellTime {
  readonly seconds: number;
  /** Of training alone: world and final evaluation take the same time however many steps there are. Null for too few. */
  readonly secondsPerStep: number | null;
}

export interface ExperimentOptions {
  readonly threads: number;
  /** Beside each of them, for its rows; none if left out. */
  readonly rowThreads?: number;
  readonly shard?: Shard;
  /** Cells that need not be computed again, by key. */
  readonly done?: ReadonlyMap<string, Cell>;
  readonly signal?: AbortSignal;
  /** File in which a cell's run is kept while it lasts; none if left out. */
  readonly unfinished?: (job: CellJob) => string;
  /** Live: a cell's steps done. */
  readonly onProgress?: (job: CellJob, steps: number) => void;
  /** A cell that has just been computed. */
  readonly onCell?: (job: CellJob, cell: Cell, time: CellTime) => void | Promise<void>;
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
  const { threads, rowThreads = 0, signal, unfinished, onProgress, onCell } = options;
  const jobs: readonly SentJob[] = openJobs(settings, options).map((job) =>
    unfinished === undefined
      ? { ...job, rowThreads }
      : { ...job, rowThreads, unfinished: unfinished(job) },
  );
  const cells = new Map(options.done);
  const times = new Map<number, Mark[]>();
  await runInWorkers<SentJob, Cell>(new URL('./cell-worker', import.meta.url), jobs, {
    threads,
    ...(signal === undefined ? {} : { signal }),
    onProgress: (place, steps) => {
      const marks = times.get(place) ?? [];
      times.set(place, [...marks, { steps, at: performance.now() }]);
      onProgress?.(jobs[place], steps);
    },
    onResult: (place, result) => {
      const cell = result as Cell;
      cells.set(jobs[place].key, cell);
      return onCell?.(jobs[place], cell, timeOf(times.get(place) ?? []));
    },
  });
  return cells;
}

interface Mark {
  readonly steps: number;
  /** In milliseconds. */
  readonly at: number;
}

/** Up to now, the first mark being the start. */
function timeOf(marks: readonly Mark[]): CellTime {
  const now = performance.now();
  const [first, last] = [marks[1], marks[marks.length - 1]];
  const steps = marks.length < 3 ? 0 : last.steps - first.steps;
  return {
    seconds: (now - (marks[0]?.at ?? now)) / 1000,
    secondsPerStep: steps === 0 ? null : (last.at - first.at) / 1000 / steps,
  };
}

/** All cells in the order of `cellJobs`; null while some are missing. */
export function allCells(
  settings: ExperimentSettings,
  cells: ReadonlyMap<string, Cell>,
): Cell[] | null {
  const all = cellJobs(settings).map(({ key }) => cells.get(key));
  return all.every((cell) => cell !== undefined) ? all : null;
}

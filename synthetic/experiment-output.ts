/**
 * What the experiment commands share: cells computed with progress on stderr, then files and a table.
 * @module
 */
import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { writeTextAtomically } from '../training/atomic-file.ts';
import { UsageError } from '../training/usage-error.ts';
import { showCellProgress } from './cell-progress.ts';
import { allCells, openJobs, runExperiment, type Shard } from './experiments/experiment.ts';
import type { Cell, ExperimentResults } from './experiments/results.ts';
import { cellJobs, type ExperimentSettings } from './experiments/settings.ts';
import { openStore } from './experiments/store.ts';
import { isPort } from './kernels/open.ts';
import { intervalText, metricLabel } from './report/words.ts';

/** Options that every experiment takes. */
export interface ComputeFlags {
  readonly out?: string;
  readonly threads?: number;
  readonly shard?: Shard;
  readonly json?: true;
}

/** In the terminal's table; report and JSON hold all of them. */
const TABLE: readonly string[] = [
  'l0',
  'thresholdL0',
  'mcc',
  'f1',
  'explainedVariance',
  'fullAbsorption',
  'maxDecoderCosine',
  'probeTop1',
  'erasure1',
  'deadLatents',
];

/** For commander: `2/8`. @throws {@link UsageError} unless 1 <= i <= n. */
export function shardOf(text: string): Shard {
  const match = /^(\d+)\/(\d+)$/.exec(text);
  const [i, n] = match ? [Number(match[1]), Number(match[2])] : [0, 0];
  if (i < 1 || i > n) {
    throw new UsageError(`--shard: expected i/n with 1 <= i <= n, got ${JSON.stringify(text)}`);
  }
  return { i, n };
}

/**
 * Computes what the folder lacks.
 * @param tell - prints a line on stderr.
 * @returns all cells, or null where other shards have the rest.
 */
export async function compute(
  settings: ExperimentSettings,
  folder: string,
  { threads: wish, shard }: ComputeFlags,
  tell: (line: string) => void,
): Promise<Cell[] | null> {
  const threads =
    wish ?? (Object.values(settings.kernels).some(isPort) ? 1 : availableParallelism());
  const store = await openStore(folder, settings);
  const done = store.cells;
  const jobs = openJobs(settings, { done, ...(shard && { shard }) });
  const total = cellJobs(settings).length;
  const running = Math.min(threads, Math.max(jobs.length, 1));
  const rowThreads = spareThreads(settings, running);
  const found = done.size > 0 ? `, ${done.size} found in ${folder}` : '';
  tell(
    `${settings.experiment} on ${settings.world.name}: ${jobs.length} of ${total} cells to train on ${running} threads${rowThreads > 0 ? `, ${rowThreads} more for the rows of each` : ''}${found}`,
  );
  const progress = showCellProgress(jobs, tell);
  const cells = await runExperiment(settings, {
    threads,
    rowThreads,
    done: new Map(done),
    ...(shard && { shard }),
    unfinished: store.unfinished,
    onProgress: progress.steps,
    onCell: async (job, cell, time) => {
      await store.keep(job, cell, time);
      progress.done(job, time.seconds);
    },
  }).finally(progress.end);
  const all = allCells(settings, cells);
  if (all === null) {
    tell(
      `${cells.size} of ${total} cells in ${folder}; when all shards are done: matryoshka synthetic merge DIR... --out DIR`,
    );
  }
  return all;
}

/** Processors that would wait, for each run; none where all rows of a run are one stream. */
function spareThreads({ world }: ExperimentSettings, running: number): number {
  const { parameters } = world;
  const blocks = parameters.kind === 'synth' && parameters.rowsPerBlock > 0;
  return blocks ? Math.max(0, Math.floor(availableParallelism() / running) - 1) : 0;
}

/**
 * results.json, report.html and pictures/*.svg.
 * @param command - one that gives the same results again.
 * @param outlook - a sentence for the page's lead: times are in no results.
 */
export async function writeExperiment(
  results: ExperimentResults,
  folder: string,
  command: string,
  outlook: string | null = null,
): Promise<void> {
  await writeTextAtomically(join(folder, 'results.json'), `${JSON.stringify(results, null, 1)}\n`);
  // Loaded here: the plotting library is slow to start, and not every command draws.
  const { experimentReport } = await import('./report/report.ts');
  const { experimentPictures } = await import('./report/pictures.ts');
  const page = experimentReport(results, command, outlook);
  await writeTextAtomically(join(folder, 'report.html'), page);
  await mkdir(join(folder, 'pictures'), { recursive: true });
  for (const [name, svg] of experimentPictures(results)) {
    const file = name.endsWith('.svg') ? name : `${name}.svg`;
    await writeTextAtomically(join(folder, 'pictures', file), svg);
  }
}

/**
 * Means with intervals, a column for each architecture and L0; one below the other where they are wider than this.
 * @param most - characters of a line.
 */
export function metricTable(
  { summaries }: Pick<ExperimentResults, 'summaries'>,
  most: number = process.stdout.columns ?? 160,
): string {
  const several = new Set(summaries.map(({ targetL0 }) => targetL0)).size > 1;
  const rows = [
    ['', ...summaries.map((one) => one.architecture + (several ? `, L0 ${one.targetL0}` : ''))],
    ...TABLE.map((metric) => [
      metricLabel(metric),
      ...summaries.map((one) => intervalText(one.metrics[metric])),
    ]),
  ];
  const width = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (row: readonly string[], columns: readonly number[]): string =>
    columns
      .map((column) => row[column].padEnd(width[column]))
      .join('  ')
      .trimEnd();
  return foldedColumns(width, most)
    .map((columns) => rows.map((row) => line(row, [0, ...columns])).join('\n'))
    .join('\n\n');
}

/** Columns after the first, as many beside each other as fit, and one at least. */
function foldedColumns(width: readonly number[], most: number): number[][] {
  const parts: number[][] = [];
  let left = 0;
  for (let column = 1; column < width.length; column++) {
    left -= width[column] + 2;
    if (left < 0 || parts.length === 0) {
      parts.push([]);
      left = most - width[0] - width[column] - 2;
    }
    parts[parts.length - 1].push(column);
  }
  return parts;
}

/** Lines on what weakens a comparison. */
function warningsOf({ summaries, controls }: ExperimentResults): string[] {
  return [
    ...summaries
      .filter(({ unmatchedL0 }) => unmatchedL0 > 0)
      .map(
        ({ architecture, targetL0, unmatchedL0 }) =>
          `note: ${architecture}: measured L0 further than 3 % from ${targetL0} in ${unmatchedL0} runs`,
      ),
    ...summaries
      .filter(({ unconverged }) => unconverged > 0)
      .map(
        ({ architecture, unconverged }) =>
          `note: ${architecture}: ${unconverged} runs still moving`,
      ),
    ...controls
      .filter(({ checks }) => checks.some(({ holds }) => !holds))
      .map(({ name }) => `control ${name} misses its exact value: do not trust these numbers`),
  ];
}

/**
 * What a person reads at the end: the table, what else was concluded, what weakens it, and where the rest is.
 * @param concluded - lines between the table and the notes.
 */
export function experimentText(
  results: ExperimentResults,
  folder: string,
  concluded: readonly string[] = [],
): string {
  return [
    '',
    metricTable(results),
    '',
    ...concluded,
    ...warningsOf(results),
    `results  ${join(folder, 'results.json')}`,
    `report   ${join(folder, 'report.html')}`,
  ].join('\n');
}

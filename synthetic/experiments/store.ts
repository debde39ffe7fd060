/**
 * An experiment's folder: its settings, one file for each finished cell, how long each took. A run that is ended at any
 * moment loses only what was being computed.
 * @module
 */
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { requireWritableFolder, writeTextAtomically } from '../../training/atomic-file.ts';
import { fileError } from '../../training/file-error.ts';
import { UsageError } from '../../training/usage-error.ts';
import { removeRun } from '../saved-run.ts';
import type { CellTime } from './experiment.ts';
import type { Cell } from './results.ts';
import { cellJobs, type CellJob, type ExperimentSettings } from './settings.ts';

export interface Store {
  readonly folder: string;
  /** Cells found, by key. */
  readonly cells: ReadonlyMap<string, Cell>;
  readonly keep: (job: CellJob, cell: Cell, time: CellTime | undefined) => Promise<void>;
  /** Where a run is kept while it lasts: see saved-run.ts. */
  readonly unfinished: (job: CellJob) => string;
}

/**
 * Makes the folder or takes up what is in it.
 * @throws {@link UsageError} if the folder holds another experiment, naming the first setting that differs; if a file in
 *   it cannot be read or written.
 */
export async function openStore(folder: string, settings: ExperimentSettings): Promise<Store> {
  await requireWritableFolder(folder, '--out');
  const path = join(folder, 'settings.json');
  const before = await readJson(path);
  if (before === undefined) await writeTextAtomically(path, jsonText(settings));
  else requireSame(settings, before, folder);
  await mkdir(join(folder, 'cells'), { recursive: true });
  const cells = new Map(await readCells(folder, settings));
  const timing = await readTiming(folder);
  const unfinished = ({ key }: CellJob): string => join(folder, 'cells', `${key}.unfinished`);
  return {
    folder,
    cells,
    unfinished,
    async keep(job, cell, time) {
      await writeTextAtomically(join(folder, 'cells', `${job.key}.json`), jsonText(cell));
      await removeRun(unfinished(job));
      cells.set(job.key, cell);
      if (time !== undefined) timing.set(job.key, time);
      await writeTextAtomically(timingOf(folder), jsonText(Object.fromEntries(timing)));
    },
  };
}

/**
 * The kernels of an experiment that the folder holds already, if it is this one but for kernels: `auto` must not choose
 * others half-way.
 */
export async function kernelsBefore(
  folder: string,
  settings: ExperimentSettings,
): Promise<ExperimentSettings['kernels'] | undefined> {
  const before = await readJson(join(folder, 'settings.json')).catch(() => undefined);
  if (!isRecord(before)) return undefined;
  const { kernels } = before as Partial<ExperimentSettings>;
  const differs = firstDifference({ ...plain(settings), kernels }, before, '');
  return differs === null ? kernels : undefined;
}

/** What several folders hold together. */
export interface Stores {
  readonly settings: ExperimentSettings;
  /** By key. */
  readonly cells: Map<string, Cell>;
  readonly times: Map<string, CellTime>;
}

/**
 * Settings and cells of finished folders, put together.
 * @throws {@link UsageError} if a folder holds no experiment, or another one than the first.
 */
export async function readStores(folders: readonly string[]): Promise<Stores> {
  const cells = new Map<string, Cell>();
  const times = new Map<string, CellTime>();
  let settings: ExperimentSettings | undefined;
  for (const folder of folders) {
    const own = (await readJson(join(folder, 'settings.json'))) as ExperimentSettings | undefined;
    if (own === undefined) throw new UsageError(`${folder}: holds no settings.json`);
    if (settings === undefined) settings = own;
    else requireSame(settings, own, folder);
    for (const [key, cell] of await readCells(folder, own)) cells.set(key, cell);
    for (const [key, time] of await readTiming(folder)) times.set(key, time);
  }
  if (settings === undefined) throw new UsageError('merge: expected at least one folder, got none');
  return { settings, cells, times };
}

async function readCells(folder: string, settings: ExperimentSettings): Promise<[string, Cell][]> {
  const files = new Set(await readdir(join(folder, 'cells')).catch(() => []));
  const cells: [string, Cell][] = [];
  for (const { key } of cellJobs(settings)) {
    if (!files.has(`${key}.json`)) continue;
    cells.push([key, (await readJson(join(folder, 'cells', `${key}.json`))) as Cell]);
  }
  return cells;
}

/** By key. */
async function readTiming(folder: string): Promise<Map<string, CellTime>> {
  const found = ((await readJson(timingOf(folder))) ?? {}) as Record<string, CellTime>;
  return new Map(Object.entries(found));
}

/** Undefined if there is no such file. @throws {@link UsageError} if it cannot be read, or is no JSON. */
async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fileError(error, path);
  }
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new UsageError(`${path}: expected JSON: remove the file to have it made anew`, {
      cause: error,
    });
  }
}

/** @throws {@link UsageError} naming the first field that differs, and both values. */
function requireSame(settings: ExperimentSettings, found: unknown, folder: string): void {
  const differs = firstDifference(plain(settings), found, '');
  if (differs === null) return;
  const { path, expected, got } = differs;
  throw new UsageError(
    `${folder}: holds an experiment with other settings: ${path} is ${shown(got)} there and ${shown(expected)} here; choose another folder`,
  );
}

/** As it is read again from a file. */
const plain = (settings: ExperimentSettings): Record<string, unknown> =>
  JSON.parse(JSON.stringify(settings)) as Record<string, unknown>;

interface Difference {
  readonly path: string;
  readonly expected: unknown;
  readonly got: unknown;
}

/** Of plain JSON, in the order of the first. */
function firstDifference(expected: unknown, got: unknown, path: string): Difference | null {
  if (!isRecord(expected) || !isRecord(got)) {
    return expected === got ? null : { path, expected, got };
  }
  for (const key of new Set([...Object.keys(expected), ...Object.keys(got)])) {
    const inner = firstDifference(expected[key], got[key], path === '' ? key : `${path}.${key}`);
    if (inner !== null) return inner;
  }
  return null;
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'missing';
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

const timingOf = (folder: string): string => join(folder, 'timing.json');

const jsonText = (value: unknown): string => `${JSON.stringify(value, null, 1)}\n`;

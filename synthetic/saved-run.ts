/**
 * A training run on its way, in a file: one that is ended at any moment goes on from there, to the same bits. For this
 * machine and version alone; what a run leaves for others is its results.
 * @module
 */
import { readFile, rm } from 'node:fs/promises';
import { deserialize, serialize } from 'node:v8';
import type { TrainState } from '../reference/train-step.ts';
import { writeAtomically } from '../training/atomic-file.ts';
import { UsageError } from '../training/usage-error.ts';
import type { RngState } from './rng.ts';
import type { CurvePoint } from './train.ts';

export interface SavedRun {
  readonly state: TrainState;
  /** Where its streams of random numbers are. */
  readonly streams: Readonly<Record<'train' | 'prefixes', RngState>>;
  /** L0 of every step so far: schedules follow from them. */
  readonly l0s: readonly number[];
  readonly curve: readonly CurvePoint[];
  /** Of the steps since the curve's last point. */
  readonly lossSum: number;
}

/** Where a run is kept while it lasts. */
export interface RunFile {
  /** Null if there is none. @throws {@link UsageError} if it cannot be read. */
  readonly load: () => Promise<SavedRun | null>;
  readonly save: (run: SavedRun) => Promise<void>;
  /** Milliseconds between two saves, at least. */
  readonly every: number;
}

/** Large states take a second to write. */
const EVERY = 60_000;

export function runFile(path: string, every: number = EVERY): RunFile {
  return {
    every,
    async load() {
      let bytes: Buffer;
      try {
        bytes = await readFile(path);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw error;
      }
      try {
        return deserialize(bytes) as SavedRun;
      } catch (error) {
        throw new UsageError(`${path}: not a saved run: remove the file to start this run anew`, {
          cause: error,
        });
      }
    },
    save(run) {
      const bytes = serialize(run);
      return writeAtomically(path, bytes.length, (handle) => handle.writeFile(bytes));
    },
  };
}

export const removeRun = (path: string): Promise<void> => rm(path, { force: true });

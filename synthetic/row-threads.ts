/**
 * A run's rows drawn on threads of their own, ahead of the steps that take them: for worlds whose rows come in blocks, and
 * kernels that would wait for rows. The same bits for any number of threads.
 * @module
 */
import type { Worker } from 'node:worker_threads';
import { matrix, type Matrix } from '../reference/matrix.ts';
import { startWorker } from './worker-pool.ts';
import type { WorldParams } from './worlds/params.ts';
import type { World } from './worlds/world.ts';

/** Where a run's batches come from, one after another. */
export interface RowSource {
  /** @param over - the batch before, which is not needed any more. */
  readonly next: (over?: Matrix) => Matrix | Promise<Matrix>;
  readonly close: () => Promise<void>;
}

/** What a thread needs to know of the run. */
export interface RowsJob {
  readonly params: WorldParams;
  readonly worldSeed: number;
  /** (features, d_in): slow to make, and too large for a copy on every thread. */
  readonly directions: Float64Array;
  /** Of training. */
  readonly seed: number;
  readonly batch: number;
  /** (batch, d_in) each, shared with the thread that takes them. */
  readonly slots: readonly Float64Array[];
}

/** A batch to be drawn: rows step · batch and on. */
export interface RowsRequest {
  readonly step: number;
  readonly slot: number;
}

/** Batches that a thread has drawn or is drawing. */
const AHEAD = 2;

/**
 * @param first - steps done before.
 * @param threads - 1 or more.
 */
export function openRowThreads(
  world: World,
  { params, seed, batch }: Pick<RowsJob, 'params' | 'seed' | 'batch'>,
  first: number,
  threads: number,
): RowSource {
  const { d_in } = world;
  const slots = Array.from({ length: AHEAD * threads }, () => shared(batch * d_in));
  const directions = shared(world.directions.data.length);
  directions.set(world.directions.data);
  const job: RowsJob = { params, worldSeed: world.seed, directions, seed, batch, slots };
  const drawn = new Set<number>();
  let arrived = (): void => {};
  let failure: Error | undefined;
  const fail = (error: Error): void => {
    failure ??= error;
    arrived();
  };
  const workers: Worker[] = Array.from({ length: threads }, () => {
    const worker = startWorker(new URL('./row-worker', import.meta.url));
    worker.on('message', ({ result }: { readonly result: number }) => {
      drawn.add(result);
      arrived();
    });
    worker.on('error', fail);
    worker.on('exit', (code) => fail(new Error(`thread of rows ended early, code ${code}`)));
    worker.postMessage(job);
    return worker;
  });
  const ask = (step: number): void => {
    const request: RowsRequest = { step, slot: step % slots.length };
    workers[step % threads].postMessage(request);
  };
  let step = first;
  for (let ahead = 0; ahead < slots.length; ahead++) ask(first + ahead);
  return {
    async next() {
      // The batch before is done with, and its slot is free.
      if (step > first) ask(step - 1 + slots.length);
      while (!drawn.has(step)) {
        if (failure !== undefined) throw failure;
        await new Promise<void>((resolve) => (arrived = resolve));
      }
      drawn.delete(step);
      return matrix(batch, d_in, slots[step++ % slots.length]);
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}

function shared(length: number): Float64Array {
  return new Float64Array(new SharedArrayBuffer(8 * length));
}

/**
 * Worker thread that draws batches of a run: row-threads.ts.
 * @module
 */
import { matrix, type Matrix } from '../reference/matrix.ts';
import type { RowsJob, RowsRequest } from './row-threads.ts';
import type { Rng } from './rng.ts';
import { streamsOf } from './train.ts';
import { serveJobs } from './worker-pool.ts';
import { createWorld } from './worlds/presets.ts';
import { createSampler, type World } from './worlds/world.ts';

let run:
  { readonly world: World; readonly rng: Rng; readonly slots: readonly Matrix[] } | undefined;

/** The job comes first, once; it is answered with -1. */
serveJobs((message: RowsJob | RowsRequest): number => {
  if ('params' in message) {
    const { params, worldSeed, directions, seed, batch, slots } = message;
    const d_in = slots[0].length / batch;
    const made = matrix(directions.length / d_in, d_in, directions);
    run = {
      world: createWorld(params, worldSeed, made),
      rng: streamsOf(seed).train,
      slots: slots.map((slot) => matrix(batch, d_in, slot)),
    };
    return -1;
  }
  if (run === undefined) throw new Error('row-worker: expected the job before its batches');
  const { world, rng, slots } = run;
  const x = slots[message.slot];
  createSampler(world, rng, message.step * x.rows).nextX(x.rows, x);
  return message.step;
});

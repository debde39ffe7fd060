/**
 * One cell of an experiment: one architecture at one L0, in one world, from one seed, trained and judged on fresh rows.
 * @module
 */
import { configOf, scheduleOf } from '../architectures/record.ts';
import { openSteps } from '../kernels/open.ts';
import { openRowThreads } from '../row-threads.ts';
import { trainedCode } from '../trained-code.ts';
import { runFile } from '../saved-run.ts';
import { streamsOf, trainOnWorld, wholeBatches, type TrainingRun } from '../train.ts';
import { createWorld } from '../worlds/presets.ts';
import type { WorldParams } from '../worlds/params.ts';
import { createSampler, type World } from '../worlds/world.ts';
import { judgeCode } from './judge.ts';
import type { Cell } from './results.ts';
import type { CellJob } from './settings.ts';
import { L0_TOLERANCE } from './tolerance.ts';

/** Rows behind a point of a curve. */
const CURVE_SAMPLES = 2000;

/** A cell's job on its way to a thread. */
export interface SentJob extends CellJob {
  /** Where the run is kept while it lasts; nowhere if left out. */
  readonly unfinished?: string;
  /** Threads that draw its rows ahead, where a world's rows come in blocks; 0: it draws them itself. */
  readonly rowThreads: number;
}

/** @param report - called with the steps done: 0 at once, then at every point of the curve. */
export async function runCell(job: SentJob, report: (steps: number) => void): Promise<Cell> {
  const { architecture, targetL0, worldSeed, seed } = job;
  report(0);
  const world = worldOf(job.world, worldSeed);
  const config = configOf(architecture, world.d_in, targetL0);
  const schedule = scheduleOf(architecture, config);
  const run: TrainingRun = {
    config,
    world,
    seed,
    batch: architecture.batch,
    curveSamples: CURVE_SAMPLES,
    ...(schedule && { schedule }),
  };
  const kernel = await openSteps(job.kernel);
  const trained = await trainOnWorld(run, {
    kernel,
    onProgress: report,
    ...(job.unfinished !== undefined && { file: runFile(job.unfinished) }),
    ...(job.rowThreads > 0 &&
      world.rowsPerBlock && {
        rows: (done: number) =>
          openRowThreads(world, { ...run, params: job.world }, done, job.rowThreads),
      }),
  });

  const streams = streamsOf(seed);
  const samples = wholeBatches(job.evaluationSamples, run.batch);
  const fresh = createSampler(world, streams.evaluate).next(samples);
  const { judged, thresholdL0 } = trainedCode(trained.state, fresh, config, run.batch);
  const { metrics, ...pictures } = judgeCode({ ...judged, thresholdL0 }, world, {
    params: trained.state.params,
    prefixes: architecture.prefixes,
    rng: streams.judge,
  });
  const l0 = metrics['l0'];
  return {
    architecture: architecture.name,
    targetL0,
    worldSeed,
    seed,
    kernel: kernel.name,
    samples,
    metrics,
    l0Matched: l0 !== null && Math.abs(l0 - targetL0) <= L0_TOLERANCE * targetL0,
    ...pictures,
    curve: trained.curve.map(({ threshold: _, ...point }) => point),
    threshold: trained.state.threshold >= 0 ? trained.state.threshold : null,
    mccDrift: trained.mccDrift,
    converged: trained.converged,
  };
}

let last: { readonly key: string; readonly world: World } | undefined;

/** The world, kept for the next cell: large ones take seconds to make. */
function worldOf(params: WorldParams, seed: number): World {
  const key = JSON.stringify([params, seed]);
  if (last?.key !== key) last = { key, world: createWorld(params, seed) };
  return last.world;
}

/**
 * Which kernel is faster for an architecture, by trying both on the world's own rows.
 * @module
 */
import { configOf } from '../architectures/record.ts';
import type { ArchitectureRecord } from '../experiments/results.ts';
import { initialState } from '../../reference/train-step.ts';
import { UsageError } from '../../training/usage-error.ts';
import { drawsOf, streamsOf } from '../train.ts';
import { createSampler, type World } from '../worlds/world.ts';
import { openSteps, type StepBackend } from './open.ts';
import { referenceSteps } from './reference-steps.ts';
import type { StepKernel } from './step-kernel.ts';
import { threadsSteps } from './threads-steps.ts';

export interface Measured {
  readonly kernel: 'reference' | 'threads';
  /** Why, in a line: milliseconds of each, or what the other does not support. */
  readonly because: string;
}

const WARM_UP = 3;
const MILLISECONDS = 150;

/** The faster of `reference` and `threads`; the reference where the other does not support the architecture. */
export async function fasterKernel(record: ArchitectureRecord, world: World): Promise<Measured> {
  const own = await millisecondsOf(referenceSteps, record, world);
  let threads: number;
  try {
    threads = await millisecondsOf(threadsSteps, record, world);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return { kernel: 'reference', because: error.message.replace(/^gpu: /, '') };
  }
  const because = `${own.toFixed(2)} ms a step on the reference, ${threads.toFixed(2)} ms on threads`;
  return { kernel: threads < own ? 'threads' : 'reference', because };
}

/** Of a step, the median over some of them. */
async function millisecondsOf(
  kernel: StepKernel,
  record: ArchitectureRecord,
  world: World,
): Promise<number> {
  const config = configOf(record, world.d_in, record.targetL0s[0]);
  const streams = streamsOf(0);
  const x = createSampler(world, streams.train).nextX(record.batch);
  const stepper = kernel.open(config, initialState(config, streams.initialise.uniform));
  try {
    const times: number[] = [];
    const start = performance.now();
    while (times.length < WARM_UP + 1 || performance.now() - start < MILLISECONDS) {
      const before = performance.now();
      await stepper.step(x, config, drawsOf(config, streams.prefixes.uniform));
      times.push(performance.now() - before);
      if (times.length >= config.steps) break;
    }
    const kept = times.slice(Math.min(WARM_UP, times.length - 1)).sort((a, b) => a - b);
    return kept[Math.floor(kept.length / 2)];
  } finally {
    await stepper.close();
  }
}

/** What a user may say about kernels. */
export interface KernelWish {
  readonly backend: StepBackend;
  readonly kernel?: string;
  readonly shard?: unknown;
}

/**
 * The kernel of each architecture by slug, and lines on how `auto` decided.
 * @throws {@link UsageError} if the one asked for does not support an architecture, or shards would each choose.
 */
export async function chooseKernels(
  records: readonly ArchitectureRecord[],
  world: World,
  { backend, kernel, shard }: KernelWish,
): Promise<{ kernels: Record<string, string>; notes: string[] }> {
  if (kernel === undefined && backend === 'auto') {
    if (shard !== undefined) {
      throw new UsageError(
        '--shard: expected --backend reference or threads, since auto may choose differently in each shard',
      );
    }
    const kernels: Record<string, string> = {};
    const notes: string[] = [];
    for (const record of records) {
      const measured = await fasterKernel(record, world);
      kernels[record.slug] = measured.kernel;
      notes.push(`${record.slug}: kernel ${measured.kernel} (${measured.because})`);
    }
    return { kernels, notes };
  }
  const name = kernel ?? backend;
  const steps = await openSteps(name);
  try {
    for (const record of records) {
      const config = configOf(record, world.d_in, record.targetL0s[0]);
      await steps.open(config, initialState(config, streamsOf(0).initialise.uniform)).close();
    }
  } finally {
    await steps.close();
  }
  return { kernels: Object.fromEntries(records.map(({ slug }) => [slug, name])), notes: [] };
}

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
import type { StepKernel } from './step-kernel.ts';

export interface Measured {
  readonly kernel: StepBackend;
  /** Why, in a line: milliseconds of each, or what another does not support. */
  readonly because: string;
}

const WARM_UP = 3;
const MILLISECONDS = 150;
/** Longer than this, and one step says enough. */
const LONG = 1000;
/** Steps below this are over before a GPU has started: none is looked for. */
const WORTH_A_GPU = 20;

/** The faster of `reference` and `threads`, or a GPU where steps are long and there is one. */
export async function fasterKernel(record: ArchitectureRecord, world: World): Promise<Measured> {
  const taken: string[] = [];
  let best: { kernel: StepBackend; milliseconds: number } | undefined;
  const without: string[] = [];
  const tryOut = async (kernel: StepBackend): Promise<void> => {
    try {
      const milliseconds = await millisecondsOf(await openSteps(kernel), record, world);
      taken.push(
        `${milliseconds.toFixed(2)} ms${taken.length === 0 ? ' a step' : ''} on ${kernel}`,
      );
      if (best === undefined || milliseconds < best.milliseconds) best = { kernel, milliseconds };
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      without.push(`not ${kernel}: ${error.message.replace(/^gpu: /, '')}`);
    }
  };
  await tryOut('reference');
  await tryOut('threads');
  // What threads refuse, the port refuses too.
  if (without.length === 0 && best !== undefined && best.milliseconds >= WORTH_A_GPU) {
    const { openGpu } = await import('../../gpu/backend.ts');
    const { opened, better } = await openGpu();
    if (opened !== null) await tryOut(opened.name);
    else without.push(...better.map(({ rank, reason }) => `not ${rank}: ${reason}`));
  }
  return { kernel: best?.kernel ?? 'reference', because: [...taken, ...without].join('; ') };
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
      if (times.length >= config.steps || times[times.length - 1] > LONG) break;
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
  /** What the experiment began with, by slug. */
  readonly before?: Readonly<Record<string, string>> | undefined;
}

/**
 * The kernel of each architecture by slug, and lines on how `auto` decided.
 * @throws {@link UsageError} if the one asked for does not support an architecture, or shards would each choose.
 */
export async function chooseKernels(
  records: readonly ArchitectureRecord[],
  world: World,
  { backend, kernel, shard, before }: KernelWish,
): Promise<{ kernels: Record<string, string>; notes: string[] }> {
  if (kernel === undefined && backend === 'auto') {
    if (shard !== undefined) {
      throw new UsageError(
        '--shard: expected --backend reference or threads, since auto may choose differently in each shard',
      );
    }
    if (before !== undefined) {
      const notes = records.map(({ slug }) => `${slug}: kernel ${before[slug]}, as it began`);
      return { kernels: { ...before }, notes };
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

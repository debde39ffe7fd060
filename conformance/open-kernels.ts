/**
 * The kernels under test: those of a process, of a backend, or the reference itself.
 * @module
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { choose, computeNamed, type ComputeName } from '../gpu/choose.ts';
import { portKernels } from '../gpu/kernels.ts';
import { threadsKernels } from '../gpu/threads/operators.ts';
import { tensorflowProducts } from '../gpu/threads/products.ts';
import { UsageError } from '../training/usage-error.ts';
import type { Kernels, KernelSpec } from './kernel.ts';
import type { FloatFormat } from './number-formats.ts';
import {
  openKernelProcess,
  type KernelProcess,
  type KernelProcessOptions,
} from './kernel-process.ts';
import { specs } from './kernels/all.ts';
import { processKernels } from './process-kernels.ts';
import { referenceKernels } from './reference-kernels.ts';

/** What to test, as options name it. */
export interface Under {
  readonly backend: string;
  /** A command line; takes the place of a backend. */
  readonly kernel?: string;
  /** Those to test: all of them for `all`, the first that is offered if there is none. */
  readonly dtype: readonly string[];
  /** Seconds for one call of a process. */
  readonly timeLimit: number;
}

/** Kernels, and what is behind them. */
interface Device {
  readonly device: string;
  /** What a user should know: which backends were passed over and why, what a kernel printed. */
  readonly notes: readonly string[];
  readonly close: () => void;
}

export interface Opened extends Device {
  /** The same kernels in each dtype that is to be tested. */
  readonly kernels: readonly Kernels[];
  /** Why none of these kernels can run here, as they say themselves. */
  readonly skip?: string;
  /** Of the files a command line names: path → SHA-256. */
  readonly files?: Readonly<Record<string, string>>;
}

/**
 * The kernels under test: a process's, a backend's, or the reference.
 * @param tell - told once if a process prints where its answers belong.
 */
export async function openKernels(
  options: Under,
  chosen: readonly KernelSpec[],
  tell: (warning: string) => void,
): Promise<Opened> {
  const { kernel, backend, dtype } = options;
  if (kernel !== undefined) return openProcess(kernel, options, chosen, tell);
  const { kernels, ...device } =
    backend === 'reference'
      ? {
          kernels: referenceKernels,
          device: `Node ${process.version}, plain TypeScript`,
          notes: [],
          close: () => {},
        }
      : await computed(computeNamed(backend));
  return orClosed(device, () => {
    requireOffered(dtype, `backend ${kernels.name}`, [kernels.dtype]);
    return { ...device, kernels: [kernels] };
  });
}

/** Our own kernels, on what was asked for or the best there is. */
export async function computed(
  name: ComputeName | 'auto',
): Promise<Device & { readonly kernels: Kernels }> {
  const { name: chosen, better } = await choose(name);
  if (chosen !== 'threads' && chosen !== 'threads+tensorflow') {
    const port = await portKernels(name === 'auto' ? 'auto' : chosen);
    return { ...port, close: () => {} };
  }
  const notes = better.map(({ rank, reason, remedy }) => `not ${rank}: ${reason} (${remedy})`);
  // From the smallest product on, so that what is certified is what large batches go through.
  const products =
    chosen === 'threads' ? null : await tensorflowProducts(availableParallelism(), 0);
  return { ...threadsKernels({ products }), notes };
}

async function openProcess(
  command: string,
  { dtype, timeLimit }: Under,
  chosen: readonly KernelSpec[],
  tell: (warning: string) => void,
): Promise<Opened> {
  let strays = 0;
  const limits: KernelProcessOptions = {
    timeLimit: timeLimit * 1000,
    startLimit: 60_000,
    onStray: (text, bytes) => {
      if (strays++ > 0) return; // told once: a kernel that prints does so in every call
      tell(
        `the kernel printed ${bytes} bytes on standard output, where answers belong (print on standard error): ${JSON.stringify(text)}`,
      );
    },
  };
  const opened = await openKernelProcess(command, limits);
  const { hello } = opened;
  return orClosed(opened, async () => {
    const dtypes = requireOffered(dtype, hello.name, hello.dtypes);
    const known = new Set(specs.map(({ name }) => name));
    const unknown = hello.operators.filter((name) => !known.has(name));
    const laws = chosen.reduce((sum, spec) => sum + spec.laws.length, 0);
    const most = Math.min(hello.processes, availableParallelism(), laws);
    const { others, wrong } = await startOthers(most - 1, command, limits);
    return {
      kernels: dtypes.map((format) => ({
        ...processKernels(opened, format, chosen),
        replicas: others.map((other) => processKernels(other, format, chosen)),
      })),
      device: hello.device,
      notes: [
        ...unknown.map((name) => `${hello.name} offers ${name}, which this suite does not know`),
        ...wrong.map((reason) => `${1 + others.length} of ${most} processes run: ${reason}`),
      ],
      close: () => void Promise.all([opened, ...others].map((each) => each.close())),
      ...(hello.skip !== null && { skip: hello.skip }),
      files: filesOf(command),
    };
  });
}

/** Further processes of a kernel; one that does not start is no reason not to test the others. */
async function startOthers(
  count: number,
  command: string,
  limits: KernelProcessOptions,
): Promise<{ readonly others: KernelProcess[]; readonly wrong: string[] }> {
  const others: KernelProcess[] = [];
  const wrong: string[] = [];
  const start = async (): Promise<void> => {
    try {
      others.push(await openKernelProcess(command, limits));
    } catch (error) {
      wrong.push(error instanceof Error ? error.message : String(error));
    }
  };
  await Promise.all(Array.from({ length: Math.max(0, count) }, start));
  return { others, wrong };
}

/** Those of the dtypes that are asked for, in the order they are offered. @throws {@link UsageError} if one is not. */
function requireOffered(
  asked: readonly string[],
  name: string,
  dtypes: readonly FloatFormat[],
): readonly FloatFormat[] {
  if (asked.length === 0) return [dtypes[0]];
  const unknown = asked.find((dtype) => dtype !== 'all' && !dtypes.some((each) => each === dtype));
  if (unknown !== undefined) {
    throw new UsageError(
      `--dtype: ${name} offers ${dtypes.join(', ')} (or all), got ${JSON.stringify(unknown)}`,
    );
  }
  return [...new Set(dtypes)].filter((dtype) => asked.includes('all') || asked.includes(dtype));
}

/** What `use` makes of something open, which is closed if it throws. */
async function orClosed<T>(
  { close }: { readonly close: () => unknown },
  use: () => T | Promise<T>,
): Promise<T> {
  try {
    return await use();
  } catch (error) {
    await close();
    throw error;
  }
}

/** SHA-256 of each file that a command line names by a word of its own. */
function filesOf(command: string): Record<string, string> {
  const words = command.split(/\s+/).map((word) => word.replace(/^["']|["']$/g, ''));
  const files = words.filter((word) => existsSync(word) && statSync(word).isFile());
  return Object.fromEntries(
    files.map((file) => [file, createHash('sha256').update(readFileSync(file)).digest('hex')]),
  );
}

/**
 * The kernels under test: those of a process, of a backend, or the reference itself.
 * @module
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { choose, computeNamed, type ComputeName } from '../gpu/choose.ts';
import { portKernels } from '../gpu/kernels.ts';
import { threadsKernels } from '../gpu/threads/operators.ts';
import { UsageError } from '../training/usage-error.ts';
import type { Kernels, KernelSpec } from './kernel.ts';
import type { FloatFormat } from './number-formats.ts';
import { openKernelProcess } from './kernel-process.ts';
import { specs } from './kernels/all.ts';
import { processKernels } from './process-kernels.ts';
import { referenceKernels } from './reference-kernels.ts';

/** What to test, as options name it. */
export interface Under {
  readonly backend: string;
  /** A command line; takes the place of a backend. */
  readonly kernel?: string;
  /** `all` opens the first; the caller asks for the others by name. */
  readonly dtype?: string;
  /** Seconds for one call of a process. */
  readonly timeLimit: number;
}

export interface Opened {
  readonly kernels: Kernels;
  readonly device: string;
  /** What a user should know: which backends were passed over and why, what a kernel printed. */
  readonly notes: readonly string[];
  readonly close: () => void;
  /** All the dtypes that are offered. */
  readonly dtypes: readonly FloatFormat[];
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
  const close = (): void => {};
  if (backend === 'reference') {
    const device = `Node ${process.version}, plain TypeScript`;
    return ofDtype(
      { kernels: referenceKernels, dtypes: ['float64'], device, notes: [], close },
      dtype,
    );
  }
  return ofDtype(await computed(computeNamed(backend)), dtype);
}

/** @throws {@link UsageError} unless that is the one dtype a backend has, or none is asked for. */
function ofDtype(opened: Opened, dtype: string | undefined): Opened {
  const { kernels, close } = opened;
  if (dtype === undefined || dtype === 'all' || dtype === kernels.dtype) return opened;
  close();
  throw new UsageError(
    `--dtype: backend ${kernels.name} offers ${kernels.dtype}, got ${JSON.stringify(dtype)}`,
  );
}

/** Our own kernels, on what was asked for or the best there is. */
export async function computed(name: ComputeName | 'auto'): Promise<Opened> {
  const { name: chosen, better } = await choose(name);
  if (chosen !== 'threads') {
    const port = await portKernels(name === 'auto' ? 'auto' : chosen);
    return { ...port, dtypes: ['float32'], close: () => {} };
  }
  const notes = better.map(({ rank, reason, remedy }) => `not ${rank}: ${reason} (${remedy})`);
  return { ...threadsKernels(), dtypes: ['float32'], notes };
}

async function openProcess(
  command: string,
  { dtype, timeLimit }: Under,
  chosen: readonly KernelSpec[],
  tell: (warning: string) => void,
): Promise<Opened> {
  let strays = 0;
  const opened = await openKernelProcess(command, {
    timeLimit: timeLimit * 1000,
    startLimit: 60_000,
    onStray: (text, bytes) => {
      if (strays++ > 0) return; // told once: a kernel that prints does so in every call
      tell(
        `the kernel printed ${bytes} bytes on standard output, where answers belong (print on standard error): ${JSON.stringify(text)}`,
      );
    },
  });
  const { hello } = opened;
  const any = dtype === undefined || dtype === 'all';
  const format = hello.dtypes.find((offered) => any || offered === dtype);
  if (format === undefined) {
    await opened.close();
    throw new UsageError(
      `--dtype: ${hello.name} offers ${hello.dtypes.join(', ')} (or all), got ${JSON.stringify(dtype)}`,
    );
  }
  const known = new Set(specs.map(({ name }) => name));
  const unknown = hello.operators.filter((name) => !known.has(name));
  return {
    kernels: processKernels(opened, format, chosen),
    dtypes: hello.dtypes,
    device: hello.device,
    notes: unknown.map((name) => `${hello.name} offers ${name}, which this suite does not know`),
    close: () => void opened.close(),
    ...(hello.skip !== null && { skip: hello.skip }),
    files: filesOf(command),
  };
}

/** SHA-256 of each file that a command line names by a word of its own. */
function filesOf(command: string): Record<string, string> {
  const words = command.split(/\s+/).map((word) => word.replace(/^["']|["']$/g, ''));
  const files = words.filter((word) => existsSync(word) && statSync(word).isFile());
  return Object.fromEntries(
    files.map((file) => [file, createHash('sha256').update(readFileSync(file)).digest('hex')]),
  );
}

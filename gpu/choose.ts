/**
 * What computes: own kernels on the machine's processors (`threads`), or the TensorFlow.js port on one of its backends.
 * @module
 */
import { UsageError } from '../training/usage-error.ts';
import { backendNames, openGpu, type BackendName, type Better } from './backend.ts';

/** As `--backend` takes it. */
export type ComputeName = 'threads' | 'threads+tensorflow' | BackendName;

export const computeNames: readonly ComputeName[] = [
  'threads',
  'threads+tensorflow',
  ...backendNames,
];

/** Their results are the same bits on any number of threads, run after run. */
const deterministic: readonly string[] = ['threads', 'wasm', 'cpu', 'reference'];

/** What computes where bits must repeat. @throws {@link UsageError} if that cannot be said of the one asked for. */
export function deterministicCompute<T extends string>(name: T | 'auto'): T | 'threads' {
  if (name === 'auto') return 'threads';
  if (deterministic.includes(name)) return name;
  throw new UsageError(
    `--deterministic: expected --backend ${deterministic.join(', ')} or auto, got ${name}, whose sums depend on threads or devices`,
  );
}

/** @throws {@link UsageError} listing the names. */
export function computeNamed(name: string): ComputeName | 'auto' {
  const known: readonly string[] = [...computeNames, 'auto'];
  if (known.includes(name)) return name as ComputeName | 'auto';
  throw new UsageError(`backend: expected one of ${known.join(', ')}, got ${JSON.stringify(name)}`);
}

export interface Choice {
  readonly name: ComputeName;
  /** What would be faster, and why it was not taken; empty if `name` was asked for. */
  readonly better: readonly Better[];
}

/**
 * A GPU where there is one, else threads: the port on a processor is slower than they are. Large products are TensorFlow's
 * where it was set up.
 */
export async function choose(name: ComputeName | 'auto'): Promise<Choice> {
  if (name !== 'auto') return { name, better: [] };
  const { opened, better } = await openGpu();
  if (opened !== null) return { name: opened.name, better };
  const { installedFor } = await import('./setup/cache-folder.ts');
  return { name: installedFor(false) === null ? 'threads' : 'threads+tensorflow', better };
}

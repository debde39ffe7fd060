/**
 * What computes: own kernels on the machine's processors (`threads`), or the TensorFlow.js port on one of its backends.
 * @module
 */
import { UsageError } from '../training/usage-error.ts';
import { backendNames, openGpu, type BackendName, type Better } from './backend.ts';

/** As `--backend` takes it. */
export type ComputeName = 'threads' | BackendName;

export const computeNames: readonly ComputeName[] = ['threads', ...backendNames];

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

/** A GPU where there is one, else threads: the port on a processor is slower than they are. */
export async function choose(name: ComputeName | 'auto'): Promise<Choice> {
  if (name !== 'auto') return { name, better: [] };
  const { opened, better } = await openGpu();
  return { name: opened?.name ?? 'threads', better };
}

/**
 * The kernel that a cell names.
 * @module
 */
import { openExternal } from './external-steps.ts';
import { referenceSteps } from './reference-steps.ts';
import type { StepKernel } from './step-kernel.ts';
import { threadsSteps } from './threads-steps.ts';

/** What `--backend` takes. */
export const stepBackends = ['reference', 'threads', 'auto'] as const;
export type StepBackend = (typeof stepBackends)[number];

const opened = new Map<string, Promise<StepKernel>>();

/**
 * @param name - `reference`, `threads`, or a command or module as `--kernel` takes it, opened once in each thread.
 * @throws {@link UsageError} as `openExternal`.
 */
export function openSteps(name: string): Promise<StepKernel> {
  if (name === 'reference') return Promise.resolve(referenceSteps);
  if (name === 'threads') return Promise.resolve(threadsSteps);
  const before = opened.get(name);
  if (before !== undefined) return before;
  const kernel = openExternal(name);
  opened.set(name, kernel);
  return kernel;
}

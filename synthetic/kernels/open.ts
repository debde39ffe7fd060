/**
 * The kernel that a cell names.
 * @module
 */
import { backendNames, type BackendName } from '../../gpu/backend-unavailable.ts';
import { openExternal } from './external-steps.ts';
import { referenceSteps } from './reference-steps.ts';
import type { StepKernel } from './step-kernel.ts';
import { threadsSteps } from './threads-steps.ts';

/** What `--backend` takes. */
export type StepBackend = 'reference' | 'threads' | BackendName | 'auto';
export const stepBackends: readonly StepBackend[] = [
  'reference',
  'threads',
  ...backendNames,
  'auto',
];

/** Whether it is a backend of the TensorFlow.js port, whose device all threads would share. */
export const isPort = (name: string): boolean => backendNames.some((backend) => backend === name);

const opened = new Map<string, Promise<StepKernel>>();

/**
 * @param name - a backend, or a command or module as `--kernel` takes it; opened once in each thread.
 * @throws {@link UsageError} as `openPort` and `openExternal`.
 */
export function openSteps(name: string): Promise<StepKernel> {
  if (name === 'reference') return Promise.resolve(referenceSteps);
  if (name === 'threads') return Promise.resolve(threadsSteps);
  const before = opened.get(name);
  if (before !== undefined) return before;
  const port = backendNames.find((backend) => backend === name);
  const kernel = port === undefined ? openExternal(name) : openLater(port);
  opened.set(name, kernel);
  return kernel;
}

/** Loaded here: TensorFlow.js is slow to start, and small worlds do without. */
async function openLater(backend: BackendName): Promise<StepKernel> {
  const { openPort } = await import('./port-steps.ts');
  return openPort(backend);
}

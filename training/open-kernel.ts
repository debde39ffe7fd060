/**
 * The kernel a run asks for.
 * @module
 */
import { choose, type ComputeName } from '../gpu/choose.ts';
import { portKernel } from './port-trainer.ts';
import { referenceKernel } from './reference-trainer.ts';
import { threadsKernel } from './threads-trainer.ts';
import type { Kernel } from './trainer.ts';

/**
 * @param name - `reference`, `threads`, or a backend of the TensorFlow.js port; `auto` is the best that works.
 * @throws {@link UsageError} if that does not work: another never answers in its place.
 */
export async function openKernel(name: ComputeName | 'auto' | 'reference'): Promise<Kernel> {
  if (name === 'reference') return referenceKernel;
  const chosen = await choose(name);
  if (chosen.name !== 'threads' && chosen.name !== 'threads+tensorflow') {
    return portKernel(name === 'auto' ? 'auto' : chosen.name);
  }
  const kernel = await threadsKernel(chosen.name);
  const passed = chosen.better.map((one) => `not ${one.rank}: ${one.reason} (${one.remedy})`);
  return { ...kernel, notes: [...kernel.notes, ...passed] };
}

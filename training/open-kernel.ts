/**
 * The kernel a run asks for.
 * @module
 */
import type { BackendName } from '../gpu/backend.ts';
import { portKernel } from './port-trainer.ts';
import { referenceKernel } from './reference-trainer.ts';
import type { Kernel } from './trainer.ts';

/**
 * @param name - `reference`, or a backend of the TensorFlow.js port; `auto` is the best that works.
 * @throws {@link UsageError} if that backend does not work: another never answers in its place.
 */
export async function openKernel(name: BackendName | 'auto' | 'reference'): Promise<Kernel> {
  return name === 'reference' ? referenceKernel : portKernel(name);
}

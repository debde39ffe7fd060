/**
 * The reference as kernels under test: it must satisfy its own laws.
 * @module
 */
import { float64 } from './error-model.ts';
import type { Kernels } from './kernel.ts';
import { specs } from './kernels/all.ts';

export const referenceKernels: Kernels = {
  name: 'reference',
  dtype: 'float64',
  profile: float64,
  operators: Object.fromEntries(specs.map((spec) => [spec.name, spec.reference])),
};

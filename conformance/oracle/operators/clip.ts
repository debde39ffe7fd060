/**
 * All gradients times min(1, maxNorm / (norm + 1e-6)), norm the 2-norm of the parameters' 2-norms.
 * @module
 */
import fc from 'fast-check';
import { valuesOf, type SaeParams } from '../../../reference/params.ts';
import { number, paramsOf, sizes, values } from '../cases.ts';
import type { Oracle } from '../oracle.ts';
import { add, div, min, mul, one, real, type Real } from '../real.ts';
import { length, reals } from '../real-matrix.ts';

export const names = ['W_enc', 'b_enc', 'W_dec', 'b_dec'] as const;

/** @param tensors - each parameter's gradient. */
export function gradientNorm(tensors: readonly (readonly Real[])[]): Real {
  return length(tensors.map((tensor) => length(tensor)));
}

export function clip(tensors: readonly (readonly Real[])[], maxNorm: number): Real[][] {
  const norm = gradientNorm(tensors);
  const factor = min(one, div(real(maxNorm), add(norm, real(1e-6))));
  return tensors.map((tensor) => tensor.map((g) => mul(factor, g)));
}

interface ClipCase {
  readonly gradients: SaeParams;
  readonly thresholds: Float64Array | null;
  readonly maxNorm: number;
}

export const clipGradients: Oracle<ClipCase> = {
  name: 'gradient norm and clipping',
  holds: ['adam.gradientNorm', 'adam.clipGradients'],
  cases: sizes.chain((size) =>
    fc.record({
      gradients: paramsOf(size),
      thresholds: fc.option(values(size.d_sae)),
      maxNorm: fc.oneof(number.map(Math.abs), fc.constantFrom(1, 1e5)),
    }),
  ),
  check({ gradients, thresholds, maxNorm }, { adam }, judge) {
    const given = thresholds === null ? gradients : { ...gradients, threshold: thresholds };
    const all = thresholds === null ? names : ([...names, 'threshold'] as const);
    const tensors = all.map((name) => reals(valuesOf(given, name)));
    judge.near('norm', adam.gradientNorm(given), gradientNorm(tensors));
    const clipped = adam.clipGradients(given, maxNorm);
    const exact = clip(tensors, maxNorm);
    all.forEach((name, i) => judge.allNear(name, valuesOf(clipped, name), exact[i]));
  },
};

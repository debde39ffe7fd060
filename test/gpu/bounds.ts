/**
 * Rounding bounds and the comparison with the reference. Bounds are worst cases of sums in any order (Higham, Accuracy
 * and Stability of Numerical Algorithms, 3.1), first order in u where several stages follow each other.
 * @module
 */
import type { NumericProfile } from '../../gpu/backend.ts';
import { map, matrix, type Matrix } from '../../reference/matrix.ts';

/** γ_n = n u / (1 - n u). */
export function gamma(n: number, profile: NumericProfile): number {
  const nu = n * Math.max(profile.u_acc, profile.u_out, profile.u_in);
  return nu / (1 - nu);
}

/** What flushing or gradual underflow may add to a sum of n products of numbers near 1. */
export function underflow(n: number): number {
  return n * 2 ** -120;
}

/** @throws naming the first place where `got` is further from `want` than its bound, or NaN. */
export function requireWithin(
  what: string,
  got: Matrix | Float64Array | number,
  want: Matrix | Float64Array | number,
  bound: (index: number) => number,
): void {
  const [g, w] = [numbers(got), numbers(want)];
  if (g.length !== w.length)
    throw new Error(`${what}: expected ${w.length} values, got ${g.length}`);
  for (let i = 0; i < w.length; i++) {
    if (!(Math.abs(g[i] - w[i]) <= bound(i))) {
      throw new Error(`${what}[${i}]: expected ${w[i]} ± ${bound(i)}, got ${g[i]}`);
    }
  }
}

function numbers(values: Matrix | Float64Array | number): Float64Array {
  if (typeof values === 'number') return Float64Array.of(values);
  return values instanceof Float64Array ? values : values.data;
}

/** Absolute values. */
export function magnitudes(a: Matrix): Matrix {
  return map(a, Math.abs);
}

/** Values as float32 holds them, uniform in ±1. */
export function randomMatrix(rows: number, cols: number, uniform: () => number): Matrix {
  return matrix(rows, cols, randomVector(rows * cols, uniform));
}

export function randomVector(length: number, uniform: () => number): Float64Array {
  return Float64Array.from({ length }, () => Math.fround(2 * uniform() - 1));
}

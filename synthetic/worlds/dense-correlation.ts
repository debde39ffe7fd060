/**
 * Correlation matrices of a few features: from named pairs, or drawn at random and repaired, and their Cholesky factors.
 * Source: SAELens 6.54.12, synthetic/correlation.py and activation_generator.py::_validate_correlation_matrix.
 * @module
 */
import { matrix, type Matrix } from '../../reference/matrix.ts';
import type { Rng } from '../rng.ts';
import type { PairCorrelation, RandomCorrelation } from './params.ts';

/** A correlation matrix, and a line for each thing that had to be changed to make it one. */
export interface Correlation {
  readonly matrix: Matrix;
  readonly warnings: readonly string[];
}

/** Least eigenvalue after a repair. */
const LEAST_EIGENVALUE = 1e-6;

/** @throws {@link RangeError} naming the pair: an index that is no feature, a pair twice or of one feature, rho outside [-1, 1]. */
export function pairCorrelation(features: number, { pairs }: PairCorrelation): Correlation {
  const c = identity(features);
  for (const { first, second, rho } of pairs) {
    const where = `correlation.pairs (${first}, ${second})`;
    for (const index of [first, second]) {
      if (!Number.isInteger(index) || index < 0 || index >= features) {
        throw new RangeError(`${where}: expected features in 0..${features - 1}, got ${index}`);
      }
    }
    if (first === second) throw new RangeError(`${where}: expected two features, got one twice`);
    if (!(rho >= -1 && rho <= 1)) {
      throw new RangeError(`${where}: expected rho in [-1, 1], got ${rho}`);
    }
    if (c.data[first * features + second] !== 0) {
      throw new RangeError(`${where}: expected each pair once, got it twice`);
    }
    c.data[first * features + second] = rho;
    c.data[second * features + first] = rho;
  }
  return { matrix: c, warnings: [] };
}

/** @throws {@link RangeError} naming the parameter unless 0 <= min <= max <= 1 and both shares are in [0, 1]. */
export function randomCorrelation(
  features: number,
  { min, max, correlated, positive }: RandomCorrelation,
  rng: Rng,
): Correlation {
  const share = (what: string, value: number, least = 0): void => {
    if (!(value >= least && value <= 1)) {
      throw new RangeError(`correlation.${what}: expected it in [${least}, 1], got ${value}`);
    }
  };
  share('min', min);
  share('max', max, min);
  share('correlated', correlated);
  share('positive', positive);
  const c = identity(features);
  for (let i = 0; i < features; i++) {
    for (let j = i + 1; j < features; j++) {
      if (rng.uniform() >= correlated) continue;
      const sign = rng.uniform() < positive ? 1 : -1;
      const rho = sign * (min + (max - min) * rng.uniform());
      c.data[i * features + j] = rho;
      c.data[j * features + i] = rho;
    }
  }
  return repaired(c);
}

/** Eigenvalues clipped to {@link LEAST_EIGENVALUE}, then rescaled to a diagonal of 1, if any was below. */
function repaired(c: Matrix): Correlation {
  const n = c.rows;
  const { values, vectors } = symmetricEigen(c);
  if (values.every((value) => value >= LEAST_EIGENVALUE)) return { matrix: c, warnings: [] };
  const out = matrix(n, n);
  for (let k = 0; k < n; k++) {
    const value = Math.max(values[k], LEAST_EIGENVALUE);
    for (let i = 0; i < n; i++) {
      const vi = vectors.data[i * n + k] * value;
      for (let j = 0; j < n; j++) out.data[i * n + j] += vi * vectors.data[j * n + k];
    }
  }
  const length = Float64Array.from({ length: n }, (_, i) => Math.sqrt(out.data[i * n + i]));
  let change = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      out.data[i * n + j] = i === j ? 1 : out.data[i * n + j] / (length[i] * length[j]);
      change = Math.max(change, Math.abs(out.data[i * n + j] - c.data[i * n + j]));
    }
  }
  const least = Math.min(...values).toPrecision(3);
  const warning =
    `correlation: least eigenvalue ${least}, clipped to ${LEAST_EIGENVALUE}; ` +
    `entries changed by up to ${change.toPrecision(3)}`;
  return { matrix: out, warnings: [warning] };
}

/** Columns of `vectors` are unit eigenvectors. Cyclic Jacobi rotations (Golub and Van Loan, section 8.5). */
function symmetricEigen(symmetric: Matrix): { values: Float64Array; vectors: Matrix } {
  const n = symmetric.rows;
  const a = symmetric.data.slice();
  const vectors = identity(n);
  const v = vectors.data;
  // Sweeps converge quadratically; ten bring matrices of hundreds of rows to rounding.
  for (let sweep = 0; sweep < 15; sweep++) {
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        const off = a[p * n + q];
        if (Math.abs(off) < 1e-300) continue;
        const theta = (a[q * n + q] - a[p * n + p]) / (2 * off);
        const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
        const cos = 1 / Math.sqrt(t * t + 1);
        const sin = t * cos;
        for (let k = 0; k < n; k++) rotate(a, k * n + p, k * n + q, cos, sin);
        for (let k = 0; k < n; k++) rotate(a, p * n + k, q * n + k, cos, sin);
        for (let k = 0; k < n; k++) rotate(v, k * n + p, k * n + q, cos, sin);
      }
    }
  }
  return { values: Float64Array.from({ length: n }, (_, i) => a[i * n + i]), vectors };
}

function rotate(data: Float64Array, p: number, q: number, cos: number, sin: number): void {
  const x = data[p];
  const y = data[q];
  data[p] = cos * x - sin * y;
  data[q] = sin * x + cos * y;
}

/**
 * The lower L with L Lᵀ = c.
 * @throws {@link RangeError} if there is none: c is not positive definite.
 */
export function cholesky(c: Matrix): Matrix {
  const n = c.rows;
  const l = matrix(n, n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = c.data[i * n + j];
      for (let k = 0; k < j; k++) sum -= l.data[i * n + k] * l.data[j * n + k];
      if (i !== j) l.data[i * n + j] = sum / l.data[j * n + j];
      else if (sum > 0) l.data[i * n + i] = Math.sqrt(sum);
      else {
        throw new RangeError(
          `correlation: expected a positive definite matrix, got a pivot of ${sum.toPrecision(3)} at feature ${i}`,
        );
      }
    }
  }
  return l;
}

function identity(n: number): Matrix {
  const out = matrix(n, n);
  for (let i = 0; i < n; i++) out.data[i * n + i] = 1;
  return out;
}

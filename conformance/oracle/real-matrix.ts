/**
 * Matrices of exact numbers, row-major like the reference's.
 * @module
 */
import type { Matrix } from '../../reference/matrix.ts';
import type { SaeParams } from '../../reference/params.ts';
import { div, mul, real, sqrt, square, sub, sum, type Real } from './real.ts';

export interface RealMatrix {
  readonly rows: number;
  readonly cols: number;
  readonly data: readonly Real[];
}

/** The parameters, exactly. */
export interface RealParams {
  readonly W_enc: RealMatrix;
  readonly b_enc: readonly Real[];
  readonly W_dec: RealMatrix;
  readonly b_dec: readonly Real[];
  /** JumpReLU's. */
  readonly threshold?: readonly Real[];
}

export function reals(values: Iterable<number>): Real[] {
  return Array.from(values, real);
}

export function realMatrix(a: Matrix): RealMatrix {
  return { rows: a.rows, cols: a.cols, data: reals(a.data) };
}

export function realParams(params: SaeParams): RealParams {
  return {
    W_enc: realMatrix(params.W_enc),
    b_enc: reals(params.b_enc),
    W_dec: realMatrix(params.W_dec),
    b_dec: reals(params.b_dec),
    ...(params.threshold === undefined ? {} : { threshold: reals(params.threshold) }),
  };
}

/** `value(i, j)` for every row and column. */
export function build(
  rows: number,
  cols: number,
  value: (row: number, col: number) => Real,
): RealMatrix {
  const data: Real[] = [];
  for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) data.push(value(i, j));
  return { rows, cols, data };
}

export function at(a: RealMatrix, row: number, col: number): Real {
  return a.data[row * a.cols + col];
}

export function rowOf(a: RealMatrix, row: number): readonly Real[] {
  return a.data.slice(row * a.cols, (row + 1) * a.cols);
}

export function columnOf(a: RealMatrix, col: number): Real[] {
  return range(a.rows).map((row) => at(a, row, col));
}

/** 0, 1, ..., n - 1. */
export function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}

/** Σ a_i b_i. */
export function inner(a: readonly Real[], b: readonly Real[]): Real {
  return sum(a.map((value, i) => mul(value, b[i])));
}

/** √Σ a_i². */
export function length(a: readonly Real[]): Real {
  return sqrt(sum(a.map(square)));
}

export function difference(a: RealMatrix, b: RealMatrix): RealMatrix {
  return { ...a, data: a.data.map((value, i) => sub(value, b.data[i])) };
}

/** Squared lengths of rows, averaged over rows. */
export function meanSquaredLength(a: RealMatrix): Real {
  return div(sum(a.data.map(square)), real(a.rows));
}

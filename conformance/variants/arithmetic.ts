/**
 * How a variant computes: formats, order of sums, what becomes of subnormals and of ties. Operators are written once, on
 * top of it.
 * @module
 */
import type { Profile } from '../error-model.ts';
import { roundTo, type FloatFormat } from '../number-formats.ts';
import { profileOf } from '../process-kernels.ts';
import { fusedMultiplyAdd } from './fused.ts';

export type SumOrder = 'plain' | 'reversed' | 'pairwise' | 'blocked';

export interface Arithmetic {
  /** Of tensors. Sums are float32, or float64 if that is the dtype. */
  readonly dtype: FloatFormat;
  readonly order: SumOrder;
  /** Whether a product and its sum are rounded once, together. */
  readonly fused: boolean;
  /** Whether subnormal values are read and written as 0. */
  readonly flushes: boolean;
  /** Which of equal values a selection keeps. */
  readonly keeps: 'first' | 'last';
  /** Whether x W - b_dec W is computed instead of (x - b_dec) W. */
  readonly split: boolean;
  /** To the format of sums: after every operation. */
  readonly round: (value: number) => number;
  /** To the format of operands: before every product of matrices. */
  readonly operand: (value: number) => number;
  /** To the dtype: what comes back. */
  readonly store: (value: number) => number;
}

type Choices = Pick<Arithmetic, 'dtype' | 'order' | 'fused' | 'flushes' | 'keeps' | 'split'>;

/** Float32 with plain sums, unless told otherwise. */
export function arithmeticOf(choices: Partial<Choices>): Arithmetic {
  const chosen: Choices = {
    dtype: 'float32',
    order: 'plain',
    fused: false,
    flushes: false,
    keeps: 'first',
    split: false,
    ...choices,
  };
  const { dtype, flushes } = chosen;
  const same = (value: number): number => value;
  const round = dtype === 'float64' ? same : flushes ? flushed : Math.fround;
  return {
    ...chosen,
    round,
    operand: dtype === 'float64' || dtype === 'float32' ? same : (value) => roundTo(value, dtype),
    // tf32 is how operands are read: its results stay float32.
    store: dtype === 'bfloat16' || dtype === 'float16' ? (value) => roundTo(value, dtype) : round,
  };
}

function flushed(value: number): number {
  const rounded = Math.fround(value);
  return Math.abs(rounded) < 2 ** -126 ? 0 : rounded;
}

/** What a kernel of such an arithmetic declares. */
export function declaredBy({ dtype, flushes, split }: Arithmetic): Profile {
  return profileOf(dtype, {
    flushes_subnormals: flushes,
    split_encode: split,
    truncates: false,
  });
}

/**
 * Σ terms[i] of the first n, in the arithmetic's order. Overwrites `terms`.
 */
export function sum(arithmetic: Arithmetic, terms: Float64Array, n: number): number {
  const { round } = arithmetic;
  switch (arithmetic.order) {
    case 'plain': {
      let total = 0;
      for (let i = 0; i < n; i++) total = round(total + terms[i]);
      return total;
    }
    case 'reversed': {
      let total = 0;
      for (let i = n - 1; i >= 0; i--) total = round(total + terms[i]);
      return total;
    }
    case 'pairwise': {
      for (let left = n; left > 1; left = Math.ceil(left / 2)) {
        for (let i = 0; 2 * i < left; i++) {
          const alone = 2 * i + 1 === left;
          terms[i] = alone ? terms[2 * i] : round(terms[2 * i] + terms[2 * i + 1]);
        }
      }
      return n === 0 ? 0 : terms[0];
    }
    case 'blocked': {
      let total = 0;
      for (let start = 0; start < n; start += 4) {
        let block = terms[start];
        for (let i = start + 1; i < Math.min(start + 4, n); i++) block = round(block + terms[i]);
        total = round(total + block);
      }
      return total;
    }
  }
}

/** Σ a[i] b[i] of the first n, operands as they are. Overwrites `a`. */
export function sumOfProducts(
  arithmetic: Arithmetic,
  a: Float64Array,
  b: Float64Array,
  n: number,
): number {
  if (arithmetic.fused) {
    let total = 0;
    for (let i = 0; i < n; i++) total = fusedMultiplyAdd(a[i], b[i], total);
    return total;
  }
  for (let i = 0; i < n; i++) a[i] = arithmetic.round(a[i] * b[i]);
  return sum(arithmetic, a, n);
}

/** The same with operands rounded as a product of matrices rounds them. Overwrites both. */
export function matrixSum(
  arithmetic: Arithmetic,
  a: Float64Array,
  b: Float64Array,
  n: number,
): number {
  const { operand } = arithmetic;
  for (let i = 0; i < n; i++) {
    a[i] = operand(a[i]);
    b[i] = operand(b[i]);
  }
  return sumOfProducts(arithmetic, a, b, n);
}

/** Σ values[i]². */
export function sumOfSquares(arithmetic: Arithmetic, values: Float64Array): number {
  return sumOfProducts(arithmetic, values.slice(), values, values.length);
}

/** √Σ values[i]². */
export function norm(arithmetic: Arithmetic, values: Float64Array): number {
  return arithmetic.round(Math.sqrt(sumOfSquares(arithmetic, values)));
}

/**
 * Sparsity penalties with their gradients, and what they are multiplied by.
 * @module
 */
import fc from 'fast-check';
import type { Dialect } from '../../../reference/dialect.ts';
import type { Matrix } from '../../../reference/matrix.ts';
import { actsOf, dialect, matrixOf, number, positiveValues, prefixesOf, sizes } from '../cases.ts';
import type { Oracle } from '../oracle.ts';
import {
  add,
  div,
  isZero,
  ln,
  min,
  mul,
  one,
  real,
  sign,
  square,
  sub,
  sum,
  surely,
  zero,
  type Real,
} from '../real.ts';
import { at, build, range, realMatrix, type RealMatrix } from '../real-matrix.ts';
import { rowNorms } from './decoder-norm.ts';

export interface RealPenalty {
  readonly loss: Real;
  readonly latents: RealMatrix;
  readonly W_dec: RealMatrix;
  readonly count: Real;
}

/** c̄_j: the share of prefixes longer than j. */
export function prefixShares(prefixes: readonly number[]): Real[] {
  const count = real(prefixes.length);
  return range(prefixes[prefixes.length - 1]).map((j) =>
    div(real(prefixes.filter((width) => width > j).length), count),
  );
}

/** @param l0 - mean number of latents per row. */
export function penaltyOf(
  latents: RealMatrix,
  W_dec: RealMatrix,
  prefixes: readonly number[],
  l0: Real,
  targetL0: number,
  { penalty }: Dialect,
): RealPenalty {
  const rows = real(latents.rows);
  const nothing = {
    loss: zero,
    latents: build(latents.rows, latents.cols, () => zero),
    W_dec: build(W_dec.rows, W_dec.cols, () => zero),
    count: zero,
  };
  if (penalty.kind === 'none') return nothing;
  if (penalty.kind === 'l0') return { ...nothing, loss: l0, count: div(one, rows) };
  if (penalty.kind === 'l0-to-target') {
    const target = real(targetL0);
    const excess = sub(div(l0, target), one);
    const count = div(mul(real(2), excess), mul(target, rows));
    return { ...nothing, loss: square(excess), count };
  }
  const norms = rowNorms(W_dec);
  const factors = norms.map((norm) => (penalty.on === 'latents' ? one : norm));
  const shares = penalty.overPrefixes ? prefixShares(prefixes) : norms.map(() => one);
  const isLog = penalty.kind === 'log';
  const tenth = real(0.1);
  const v = build(latents.rows, latents.cols, (b, j) => mul(at(latents, b, j), factors[j]));
  const size = (value: Real): Real => (isLog ? sub(ln(add(value, tenth)), ln(tenth)) : value);
  const slope = (value: Real): Real => (isLog ? div(one, add(value, tenth)) : one);
  const share = (value: Real, j: number): Real => div(mul(shares[j], value), rows);
  /** Gradient at v. */
  const slopes = build(v.rows, v.cols, (b, j) => share(slope(at(v, b, j)), j));
  const throughNorm = norms.map((norm, j) => {
    if (penalty.on === 'latents' || surely(sign(norm)) === 0) return zero;
    const atNorm = sum(range(v.rows).map((b) => mul(at(slopes, b, j), at(latents, b, j))));
    return div(atNorm, norm);
  });
  return {
    loss: sum(v.data.map((value, i) => share(size(value), i % v.cols))),
    latents: build(v.rows, v.cols, (b, j) =>
      isZero(at(latents, b, j)) ? zero : mul(at(slopes, b, j), factors[j]),
    ),
    W_dec: build(W_dec.rows, W_dec.cols, (j, i) => mul(throughNorm[j], at(W_dec, j, i))),
    count: zero,
  };
}

interface PenaltyCase {
  readonly latents: Matrix;
  readonly W_dec: Matrix;
  readonly prefixes: readonly number[];
  readonly l0: number;
  readonly targetL0: number;
  readonly coefficient: number;
  readonly step: number;
  readonly warmupSteps: number;
  readonly dialect: Dialect;
}

export const penalty: Oracle<PenaltyCase> = {
  name: 'sparsity penalty',
  holds: [
    'penalty.sparsityPenalty',
    'penalty.prefixShares',
    'penalty.penaltyCoefficient',
    'penalty.controlSparsity',
  ],
  cases: sizes.chain(({ rows, d_in, d_sae }) =>
    fc.record({
      latents: actsOf(rows, d_sae),
      W_dec: matrixOf(d_sae, d_in),
      prefixes: prefixesOf(d_sae),
      l0: fc.nat(rows * d_sae).map((count) => count / rows),
      targetL0: fc.oneof(
        fc.constantFrom(1, 2, 0.5, 1.2338),
        number.map((value) => Math.abs(value) + 2 ** -10),
      ),
      coefficient: positiveValues(1).map(([value]) => value),
      step: fc.nat(10),
      warmupSteps: fc.nat(10),
      dialect,
    }),
  ),
  check(given, { penalty }, judge) {
    const { latents, W_dec, prefixes, l0, targetL0, coefficient, step, dialect } = given;
    const exact = penaltyOf(
      realMatrix(latents),
      realMatrix(W_dec),
      prefixes,
      real(l0),
      targetL0,
      dialect,
    );
    const got = penalty.sparsityPenalty(latents, W_dec, prefixes, l0, targetL0, dialect);
    judge.near('penalty', got.loss, exact.loss);
    judge.allNear('gradient at latents', got.latents, exact.latents);
    judge.allNear('gradient at W_dec', got.W_dec, exact.W_dec);
    judge.near('gradient at counts', got.count, exact.count);
    judge.allNear('prefix shares', penalty.prefixShares(prefixes), prefixShares(prefixes));

    const W = given.warmupSteps;
    const constant = dialect.penalty.coefficient === 'constant' || W === 0;
    const share = constant ? one : min(div(real(step), real(W)), one);
    judge.near(
      'coefficient',
      penalty.penaltyCoefficient(step, coefficient, W, dialect),
      mul(real(coefficient), share),
    );
    const control = (): { scale: number; coefficient: number } =>
      penalty.controlSparsity(coefficient, step, l0, targetL0, W, dialect);
    if (W === 0) {
      judge.refused('controller without warm-up', control);
      return;
    }
    const change = real(dialect.penalty.controllerStep);
    const grown = mul(real(coefficient), l0 < targetL0 ? sub(one, change) : add(one, change));
    const scale = step > W ? grown : real(coefficient);
    judge.near('controlled scale', control().scale, scale);
    judge.near(
      'controlled coefficient',
      control().coefficient,
      mul(scale, min(div(real(step + 1), real(W)), one)),
    );
  },
};

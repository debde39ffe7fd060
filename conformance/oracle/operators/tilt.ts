/**
 * w = softmax(t e / mean e) over rows of squared length e.
 * @module
 */
import fc from 'fast-check';
import type { Matrix } from '../../../reference/matrix.ts';
import { matrixOf, sizes } from '../cases.ts';
import type { Oracle } from '../oracle.ts';
import { div, exp, isZero, mul, one, real, square, sub, sum, type Real } from '../real.ts';
import { range, realMatrix, rowOf } from '../real-matrix.ts';

/** @throws {@link Unbounded} where the mean may be 0 and may not. */
export function rowWeights(squares: readonly Real[], tilt: number): Real[] {
  const rows = real(squares.length);
  const mean = div(sum(squares), rows);
  if (isZero(mean)) return squares.map(() => div(one, rows));
  const tilts = squares.map((square) => mul(real(tilt), div(square, mean)));
  // Which is largest may be open; how large the largest is, is not.
  const largest = {
    ...tilts.reduce((most, value) => (value.value.gt(most.value) ? value : most)),
    error: Math.max(...tilts.map(({ error }) => error)),
  };
  const shares = tilts.map((value) => exp(sub(value, largest)));
  const total = sum(shares);
  return shares.map((share) => div(share, total));
}

interface TiltCase {
  readonly error: Matrix;
  readonly tilt: number;
}

export const tilt: Oracle<TiltCase> = {
  name: 'weights of rows',
  holds: ['tilt.rowWeights', 'tilt.rowSquares'],
  cases: sizes.chain(({ rows, d_in }) =>
    fc.record({
      error: matrixOf(rows, d_in),
      tilt: fc.constantFrom(0, 0.002, 0.5, 3, 2000),
    }),
  ),
  check({ error, tilt: t }, { tilt }, judge) {
    const exact = realMatrix(error);
    const squares = range(error.rows).map((b) => sum(rowOf(exact, b).map(square)));
    judge.allNear('squares', tilt.rowSquares(error), squares);
    judge.allNear('weights', tilt.rowWeights(error, t), rowWeights(squares, t));
  },
};

/**
 * Weiszfeld's iteration: each round y' = Σ x_i/‖x_i - y‖ / Σ 1/‖x_i - y‖ within its bound from the float64 iterate before
 * it; the whole by its contract, to start at the mean and stop after the first round that moves less than 1e-5.
 * @module
 */
import fc from 'fast-check';
import type { Matrix } from '../../../reference/matrix.ts';
import { matrixOf, sizes, values } from '../cases.ts';
import type { Judge } from '../judge.ts';
import type { Oracle } from '../oracle.ts';
import type { Reference } from '../reference.ts';
import { compare, div, isZero, one, real, sub, sum, surely, sign, type Real } from '../real.ts';
import { columnOf, inner, length, range, realMatrix, reals, rowOf } from '../real-matrix.ts';

/** Distances of the rows from y. */
function distances(points: Matrix, y: Float64Array): Real[] {
  const [exact, from] = [realMatrix(points), reals(y)];
  return range(points.rows).map((b) =>
    length(rowOf(exact, b).map((value, i) => sub(value, from[i]))),
  );
}

/** One round, from distances that are above 0. */
function round(points: Matrix, apart: readonly Real[]): Real[] {
  const weights = apart.map((distance) => div(one, distance));
  const total = sum(weights);
  const shares = weights.map((weight) => div(weight, total));
  return range(points.cols).map((i) => inner(shares, columnOf(realMatrix(points), i)));
}

interface MedianCase {
  readonly points: Matrix;
  readonly from: Float64Array;
}

export const geometricMedian: Oracle<MedianCase> = {
  name: 'geometric median',
  holds: ['geometricMedian.weiszfeld', 'geometricMedian.geometricMedian'],
  cases: sizes.chain(({ rows, d_in }) =>
    fc.record({ points: matrixOf(rows, d_in), from: values(d_in) }),
  ),
  check({ points, from }, reference, judge) {
    const { weiszfeld } = reference.geometricMedian;
    const apart = distances(points, from);
    if (apart.some((distance) => surely(sign(distance)) === 0)) {
      judge.refused('a round from a row', () => weiszfeld(points, from));
    } else {
      judge.allNear('round', weiszfeld(points, from), round(points, apart));
    }
    judgeIteration(points, reference, judge);
  },
};

/** Follows the reference round by round. */
function judgeIteration(points: Matrix, reference: Reference, judge: Judge): void {
  const { weiszfeld, geometricMedian } = reference.geometricMedian;
  let y = reference.matrix.columnMeans(points);
  const count = real(points.rows);
  const means = range(points.cols).map((i) => div(sum(columnOf(realMatrix(points), i)), count));
  judge.allNear('mean', y, means);
  for (let rounds = 0; rounds < 100; rounds++) {
    const apart = distances(points, y);
    if (apart.some(isZero)) {
      judge.refused('an iterate that is a row', () => geometricMedian(points));
      return;
    }
    const exact = round(points, apart);
    const next = weiszfeld(points, y);
    judge.allNear('round of the iteration', next, exact);
    const before = y;
    const moved = length(reals(next).map((value, i) => sub(value, real(before[i]))));
    y = next;
    const order = compare(moved, real(1e-5));
    if (order === null) judge.open();
    if (order === -1 || (order === null && geometricMedian(points).join() === y.join())) break;
  }
  geometricMedian(points).forEach((value, i) => judge.same(`median[${i}]`, value, y[i]));
}

/**
 * The products and sums that the reference is written with.
 * @module
 */
import fc from 'fast-check';
import type { Matrix } from '../../../reference/matrix.ts';
import { matrixOf, number, sizes, values } from '../cases.ts';
import type { Oracle } from '../oracle.ts';
import { add, div, mul, real, sub, sum } from '../real.ts';
import { at, build, columnOf, inner, length, realMatrix, reals, rowOf } from '../real-matrix.ts';

interface MatrixCase {
  /** (n, m). */
  readonly a: Matrix;
  /** (m, p). */
  readonly b: Matrix;
  /** (n, p). */
  readonly c: Matrix;
  /** (n, m). */
  readonly d: Matrix;
  /** (m). */
  readonly row: Float64Array;
  readonly factor: number;
}

export const matrix: Oracle<MatrixCase> = {
  name: 'products and sums',
  holds: [
    'matrix.multiply',
    'matrix.multiplyTransposed',
    'matrix.subtract',
    'matrix.addToRows',
    'matrix.scale',
    'matrix.transpose',
    'matrix.addScaled',
    'matrix.dot',
    'matrix.norm',
    'matrix.columnSums',
    'matrix.columnMeans',
  ],
  cases: sizes.chain(({ rows: n, d_in: m, d_sae: p }) =>
    fc.record({
      a: matrixOf(n, m),
      b: matrixOf(m, p),
      c: matrixOf(n, p),
      d: matrixOf(n, m),
      row: values(m),
      factor: number,
    }),
  ),
  check(given, { matrix }, judge) {
    const [a, b, c, d] = [given.a, given.b, given.c, given.d].map(realMatrix);
    const row = reals(given.row);
    const factor = real(given.factor);
    judge.allNear(
      'a b',
      matrix.multiply(given.a, given.b),
      build(a.rows, b.cols, (i, j) => inner(rowOf(a, i), columnOf(b, j))),
    );
    judge.allNear(
      'aᵀ c',
      matrix.multiplyTransposed(given.a, given.c),
      build(a.cols, c.cols, (i, j) => inner(columnOf(a, i), columnOf(c, j))),
    );
    const each = (value: (i: number, j: number) => ReturnType<typeof real>) =>
      build(a.rows, a.cols, value);
    judge.allNear(
      'a - d',
      matrix.subtract(given.a, given.d),
      each((i, j) => sub(at(a, i, j), at(d, i, j))),
    );
    judge.allNear(
      'a + row',
      matrix.addToRows(given.a, given.row),
      each((i, j) => add(at(a, i, j), row[j])),
    );
    judge.allNear(
      'factor a',
      matrix.scale(given.a, given.factor),
      each((i, j) => mul(factor, at(a, i, j))),
    );
    judge.allNear(
      'aᵀ',
      matrix.transpose(given.a),
      build(a.cols, a.rows, (i, j) => at(a, j, i)),
    );
    const target = given.a.data.slice();
    matrix.addScaled(target, given.d.data, given.factor);
    judge.allNear(
      'a + factor d',
      target,
      a.data.map((value, i) => add(value, mul(factor, d.data[i]))),
    );
    judge.near('a · d', matrix.dot(given.a.data, given.d.data), inner(a.data, d.data));
    judge.near('‖a‖', matrix.norm(given.a.data), length(a.data));
    const sums = given.row.map((_, j) => j);
    const columns = [...sums].map((j) => sum(columnOf(a, j)));
    judge.allNear('column sums', matrix.columnSums(given.a), columns);
    judge.allNear(
      'column means',
      matrix.columnMeans(given.a),
      columns.map((value) => div(value, real(a.rows))),
    );
  },
};

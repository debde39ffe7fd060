import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  addScaled,
  columnMeans,
  columnSums,
  dot,
  fromRows,
  map,
  matrix,
  multiply,
  multiplyTransposed,
  norm,
  requireFinite,
  row,
  scale,
  subtract,
  transpose,
} from '../../reference/matrix.ts';

const a = fromRows([
  [1, 2, 3],
  [4, 5, 6],
]);
const b = fromRows([
  [1, 0],
  [0, 2],
  [-1, 1],
]);

describe('a matrix', () => {
  test('is row-major, zero unless values are given, and keeps the array it is given', () => {
    expect([...a.data]).toEqual([1, 2, 3, 4, 5, 6]);
    expect([...matrix(1, 2).data]).toEqual([0, 0]);
    const data = Float64Array.of(7);
    expect(matrix(1, 1, data).data).toBe(data);
  });

  test('may have no rows', () => {
    expect(fromRows([])).toEqual(matrix(0, 0));
    expect(matrix(0, 3).data).toHaveLength(0);
  });

  test.each([
    [() => matrix(-1, 2), 'matrix: expected whole number of rows >= 0, got -1'],
    [() => matrix(1, 0.5), 'matrix: expected whole number of cols >= 0, got 0.5'],
    [() => matrix(2, 2, new Float64Array(3)), 'matrix: expected 2 x 2 = 4 values, got 3'],
    [() => fromRows([[1, 2], [3]]), 'fromRows: row 1 has 1 values, row 0 has 2'],
  ])('of impossible size is refused: %#', (make, message) => {
    expect(make).toThrow(new RangeError(message));
  });

  test('gives its rows as views', () => {
    const copy = map(a, (value) => value);
    row(copy, 1)[0] = 40;
    expect([...copy.data]).toEqual([1, 2, 3, 40, 5, 6]);
  });
});

describe('products', () => {
  test('follow their definitions', () => {
    expect(multiply(a, b)).toEqual(
      fromRows([
        [-2, 7],
        [-2, 16],
      ]),
    );
    expect(multiplyTransposed(a, a)).toEqual(multiply(transpose(a), a));
    expect(transpose(b)).toEqual(
      fromRows([
        [1, 0, -1],
        [0, 2, 1],
      ]),
    );
  });

  test('skip zeros of the left factor, so 0 · infinity adds nothing', () => {
    const infinite = fromRows([[Infinity], [3]]);
    expect([...multiply(fromRows([[0, 2]]), infinite).data]).toEqual([6]);
    expect([...multiplyTransposed(fromRows([[0], [2]]), infinite).data]).toEqual([6]);
  });

  test('of sizes that do not fit are refused', () => {
    expect(() => multiply(a, a)).toThrow(
      new RangeError('multiply: sizes do not fit, 2 x 3 and 2 x 3'),
    );
    expect(() => multiplyTransposed(a, b)).toThrow(
      new RangeError('multiplyTransposed: sizes do not fit, 2 x 3 and 3 x 2'),
    );
  });
});

test('differences, multiples and in-place sums', () => {
  expect([...subtract(a, a).data]).toEqual([0, 0, 0, 0, 0, 0]);
  expect([...scale(b, -2).data]).toEqual([-2, -0, -0, -4, 2, -2]);
  const target = Float64Array.of(1, 2);
  addScaled(target, Float64Array.of(10, 20), 0.5);
  expect([...target]).toEqual([6, 12]);
});

test('sums and means of columns, and norms', () => {
  expect([...columnSums(a)]).toEqual([5, 7, 9]);
  expect([...columnMeans(a)]).toEqual([2.5, 3.5, 4.5]);
  expect(norm(Float64Array.of(3, -4))).toBe(5);
  expect(norm(new Float64Array(0))).toBe(0);
});

test('a dot product is within n roundings of the exact one', () => {
  const values = fc.array(fc.integer({ min: -(2 ** 26), max: 2 ** 26 }), {
    minLength: 30,
    maxLength: 30,
  });
  fc.assert(
    fc.property(values, values, (x, y) => {
      let exact = 0n;
      let magnitude = 0;
      x.forEach((value, i) => {
        exact += BigInt(value) * BigInt(y[i]);
        magnitude += Math.abs(value * y[i]);
      });
      const got = BigInt(Math.round(dot(Float64Array.from(x), Float64Array.from(y))));
      return Math.abs(Number(got - exact)) <= 31 * 2 ** -53 * magnitude;
    }),
  );
});

test.each([NaN, Infinity, -Infinity])('%s is refused by name and place', (value) => {
  expect(() =>
    requireFinite(
      'x',
      fromRows([
        [1, 2],
        [3, value],
      ]),
    ),
  ).toThrow(new RangeError(`x: expected finite values, got ${value} at [1, 1]`));
  expect(() => requireFinite('b_dec', Float64Array.of(0, value))).toThrow(
    `b_dec: expected finite values, got ${value} at [1]`,
  );
  expect(() => requireFinite('x', a)).not.toThrow();
});

import { expect, test } from 'vitest';
import { matrix, multiply, type Matrix } from '../../reference/matrix.ts';
import { blockedProduct } from '../../synthetic/blocked-product.ts';
import { createRng } from '../../synthetic/rng.ts';

const { normal, uniform } = createRng(5);

/** A third of it zeros, of both signs. */
function made(rows: number, cols: number): Matrix {
  const value = (): number => (uniform() < 0.3 ? normal() * 0 : normal() * 10 ** (9 * normal()));
  return matrix(rows, cols, Float64Array.from({ length: rows * cols }, value));
}

test.each([
  [2, 1, 4],
  [6, 7, 8],
  [64, 33, 20],
  [3, 5, 8],
  [4, 5, 6],
  [2, 0, 4],
  [0, 3, 4],
])('(%i, %i) times (…, %i): the bits of the reference', (rows, inner, cols) => {
  for (let trial = 0; trial < 20; trial++) {
    const [a, b] = [made(rows, inner), made(inner, cols)];
    const [got, expected] = [blockedProduct(a, b), multiply(a, b)];
    expect([got.rows, got.cols]).toEqual([rows, cols]);
    expect(new BigUint64Array(got.data.buffer)).toEqual(new BigUint64Array(expected.data.buffer));
  }
});

test('inner sizes that differ are refused', () => {
  expect(() => blockedProduct(matrix(2, 3), matrix(4, 4))).toThrow('sizes do not fit');
});

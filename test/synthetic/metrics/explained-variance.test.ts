import { expect, test } from 'vitest';
import { fromRows, map, matrix } from '../../../reference/matrix.ts';
import { explainedVariance } from '../../../synthetic/metrics/explained-variance.ts';
import { createRng } from '../../../synthetic/rng.ts';

test('is 1 - E|x - x̂|² / (E|x|² - |E x|²), checked by hand', () => {
  const x = fromRows([
    [1, 0],
    [3, 0],
    [2, 3],
  ]);
  // E|x|² = 23/3, E x = (2, 1): variance 8/3; error 1 in one row: 1/3.
  const reconstruction = fromRows([
    [1, 0],
    [3, 1],
    [2, 3],
  ]);
  expect(explainedVariance(x, reconstruction)).toBeCloseTo(1 - 1 / 8, 14);
  expect(explainedVariance(x, x)).toBe(1);
});

test('is 0 for the mean and below 0 for worse', () => {
  const x = fromRows([[1], [3]]);
  expect(explainedVariance(x, fromRows([[2], [2]]))).toBe(0);
  expect(explainedVariance(x, fromRows([[0], [0]]))).toBe(-4);
});

test('does not change when x and x̂ move together, unlike SAEBench core’s field of the same name', () => {
  const rng = createRng(1);
  const x = map(matrix(50, 3), () => rng.normal());
  const reconstruction = map(x, (v) => v + 0.3 * rng.normal());
  const moved = explainedVariance(
    map(x, (v) => v + 10),
    map(reconstruction, (v) => v + 10),
  );
  expect(moved).toBeCloseTo(explainedVariance(x, reconstruction) ?? NaN, 10);
});

test('of constant x is 1 when reconstructed and 0 when not; without samples it has no value', () => {
  const x = fromRows([
    [1, 2],
    [1, 2],
  ]);
  expect(explainedVariance(x, x)).toBe(1);
  expect(
    explainedVariance(
      x,
      map(x, (v) => v + 1),
    ),
  ).toBe(0);
  expect(explainedVariance(matrix(0, 2), matrix(0, 2))).toBeNull();
});

test('refuses shapes that differ', () => {
  expect(() => explainedVariance(matrix(2, 3), matrix(2, 2))).toThrow(
    'expected a reconstruction of 2 x 3, got 2 x 2',
  );
});

import { expect, test } from 'vitest';
import { fromRows, matrix } from '../../../reference/matrix.ts';
import {
  maxCosineFloor,
  maxDecoderCosine,
  maxDecoderCosineAlive,
} from '../../../synthetic/metrics/max-decoder-cosine.ts';

const rows = fromRows([
  [1, 0, 0],
  [1, 1, 0],
  [0, -1, 0],
  [0, 0, 0],
]);

test('is the mean of each row’s largest signed cosine to another row; a zero row has 0', () => {
  const half = Math.SQRT1_2;
  // Row 2 is opposite to row 1: its largest is 0, with row 0 or the zero row.
  expect(maxDecoderCosine(rows)).toBeCloseTo((half + half + 0 + 0) / 4, 14);
});

test('is negative when all rows point apart', () => {
  expect(maxDecoderCosine(fromRows([[1], [-2]]))).toBe(-1);
});

test('among alive latents leaves dead rows out on both sides', () => {
  expect(maxDecoderCosineAlive(rows, [0, 2])).toBe(0);
  expect(maxDecoderCosineAlive(rows, [0, 1])).toBeCloseTo(Math.SQRT1_2, 14);
});

test('has no value for fewer than two rows', () => {
  expect(maxDecoderCosine(matrix(1, 3))).toBeNull();
  expect(maxDecoderCosine(matrix(0, 3))).toBeNull();
  expect(maxDecoderCosineAlive(rows, [1])).toBeNull();
});

test('the floor is that of the most frequent directions, ties in order of the feature', () => {
  expect(maxCosineFloor(rows, [0.2, 0.1, 0.3, 0.1], 2)).toBe(0); // rows 2 and 0
  expect(maxCosineFloor(rows, [0.2, 0.2, 0.2, 0.1], 2)).toBeCloseTo(Math.SQRT1_2, 14); // 0 and 1
  expect(maxCosineFloor(rows, [0.2, 0.2, 0.2, 0.1], 1)).toBeNull();
});

import { expect, test } from 'vitest';
import { fromRows, matrix } from '../../../reference/matrix.ts';
import { l0 } from '../../../synthetic/metrics/l0.ts';
import { sparseRows } from '../../../synthetic/sparse-rows.ts';

test('L0 counts what is not 0, negative latents too, per sample', () => {
  const latents = sparseRows(
    fromRows([
      [1, 0, -2],
      [0, 1e-300, 0],
    ]),
  );
  expect(l0(latents)).toBe(1.5);
});

test('L0 without samples is 0', () => {
  expect(l0(sparseRows(matrix(0, 4)))).toBe(0);
});

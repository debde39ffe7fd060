import { expect, test } from 'vitest';
import { fromRows, matrix } from '../../../reference/matrix.ts';
import { aliveLatents, deadLatents } from '../../../synthetic/metrics/dead-latents.ts';
import { sparseRows } from '../../../synthetic/sparse-rows.ts';

test('a latent is dead if it is 0 in every sample; a negative value keeps it alive', () => {
  const latents = sparseRows(
    fromRows([
      [0, 0, -1, 0],
      [2, 0, 0, 0],
    ]),
  );
  expect(aliveLatents(latents)).toEqual([0, 2]);
  expect(deadLatents(latents)).toBe(2);
});

test('without samples no latent counts as dead', () => {
  expect(deadLatents(sparseRows(matrix(0, 4)))).toBe(0);
});

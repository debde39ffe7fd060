/**
 * A world small enough to try everything: two rows, four latents, values 0, 1 and 2.
 */
import { expect, test } from 'vitest';
import { matrix } from '../reference/matrix.ts';
import { batchTopK } from '../reference/select.ts';

/** By definition: places sorted by value, largest first, lower index first among equals; the first K keep theirs. */
function byDefinition(values: readonly number[], K: number): number[] {
  const order = values
    .map((value, index) => ({ value, index }))
    .sort((a, b) => b.value - a.value || a.index - b.index);
  const kept = new Set(order.slice(0, K).map(({ index }) => index));
  return values.map((value, index) => (kept.has(index) ? value : 0));
}

test('BatchTopK is right for all 6,561 matrices and every K from 0 to 8', () => {
  let matrices = 0;
  for (let code = 0; code < 3 ** 8; code++) {
    const values = Array.from({ length: 8 }, (_, i) => Math.floor(code / 3 ** i) % 3);
    const acts = matrix(2, 4, Float64Array.from(values));
    for (let K = 0; K <= 8; K++) {
      const got = [...batchTopK(acts, K / 2).data];
      const expected = byDefinition(values, K);
      // Compared as text: a thousand times faster than one assertion each.
      if (got.join() !== expected.join()) {
        expect({ values, K, got }).toEqual({ values, K, got: expected });
      }
    }
    matrices++;
  }
  expect(matrices).toBe(6561);
});

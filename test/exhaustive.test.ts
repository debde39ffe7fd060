/**
 * A world small enough to try everything: two rows, three or four latents, values 0, 1 and 2.
 */
import { describe, expect, test } from 'vitest';
import { dialects, type Dialect } from '../reference/dialects.ts';
import { fromRows, matrix, type Matrix } from '../reference/matrix.ts';
import { batchTopK, selectionScores, topK } from '../reference/select.ts';

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

const [rows, cols] = [2, 3];

/**
 * Decoder rows of norms 2, 1 and 5 / 4: they put smaller acts first, and make 1 · 2 and 2 · 1 tie.
 */
const W_dec: Matrix = fromRows([
  [0, -2],
  [1, 0],
  [0.75, 1],
]);
const norms = [2, 1, 1.25];

/** 729 matrices of acts. */
const worlds: readonly (readonly number[])[] = Array.from(
  { length: 3 ** (rows * cols) },
  (_, code) => Array.from({ length: rows * cols }, (_, i) => Math.floor(code / 3 ** i) % 3),
);

/**
 * Counted, not sorted: an act is kept if it is positive and fewer than K of its rivals come before it, with a larger score
 * or with the same one at a lower place.
 */
function kept(
  acts: readonly number[],
  scores: readonly number[],
  K: number,
  areRivals: (i: number, j: number) => boolean,
): number[] {
  return acts.map((act, i) => {
    const before = scores.filter(
      (score, j) => areRivals(i, j) && (score > scores[i] || (score === scores[i] && j < i)),
    );
    return act > 0 && before.length < K ? act : 0;
  });
}

const rowOf = (i: number): number => Math.floor(i / cols);

describe.each(Object.values(dialects))('in dialect $name', (dialect: Dialect) => {
  const scoresOf = (acts: readonly number[]): number[] =>
    acts.map((act, i) => (dialect.select.score === 'acts' ? act : act * norms[i % cols]));

  test('BatchTopK is right for all 729 matrices and every K', () => {
    let reordered = 0;
    for (const acts of worlds) {
      const given = matrix(rows, cols, Float64Array.from(acts));
      const scores = selectionScores(given, W_dec, dialect);
      for (let K = 0; K <= rows * cols; K++) {
        const got = [...batchTopK(given, K / rows, scores).data];
        const expected = kept(acts, scoresOf(acts), K, () => true);
        if (got.join() !== expected.join()) {
          expect({ acts, K, got }).toEqual({ acts, K, got: expected });
        }
        if (expected.join() !== kept(acts, acts, K, () => true).join()) reordered++;
      }
    }
    // Norms decide where they are to, and nowhere else.
    expect(reordered > 0).toBe(dialect.select.score === 'acts-times-decoder-norm');
  });

  test('TopK is right for all 729 matrices and every k', () => {
    for (const acts of worlds) {
      const given = matrix(rows, cols, Float64Array.from(acts));
      const scores = selectionScores(given, W_dec, dialect);
      for (let k = 0; k <= cols; k++) {
        const got = [...topK(given, k, scores).data];
        const expected = kept(acts, scoresOf(acts), k, (i, j) => rowOf(i) === rowOf(j));
        if (got.join() !== expected.join()) {
          expect({ acts, k, got }).toEqual({ acts, k, got: expected });
        }
      }
    }
  });
});

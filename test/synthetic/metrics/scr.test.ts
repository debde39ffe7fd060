import { describe, expect, test } from 'vitest';
import { matrix } from '../../../reference/matrix.ts';
import type { Code } from '../../../synthetic/metrics/code.ts';
import { scr } from '../../../synthetic/metrics/scr.ts';
import { createRng } from '../../../synthetic/rng.ts';
import { sparseRows } from '../../../synthetic/sparse-rows.ts';

/** Roots 0 and 2 with children 1 and 3, along axes. */
const world = {
  parents: [0, 2],
  edges: [
    { parent: 0, child: 1 },
    { parent: 2, child: 3 },
  ],
};
const rng = createRng(3);
const features = matrix(2000, 4);
for (let n = 0; n < 2000; n++) {
  for (const root of [0, 2]) {
    if (rng.uniform() >= 0.4) continue;
    features.data[n * 4 + root] = 1;
    if (rng.uniform() < 0.3) features.data[n * 4 + root + 1] = 1;
  }
}
const identity = matrix(
  4,
  4,
  Float64Array.from({ length: 16 }, (_, i) => (i % 5 === 0 ? 1 : 0)),
);
const truth = sparseRows(features);
const score = (code: Code, seed = 1): number | null =>
  scr(code, features, truth, world, createRng(seed));

describe('SCR', () => {
  test('of a code that cannot be taken apart is 0: nothing is removed', () => {
    const dead: Code = { latents: sparseRows(matrix(2000, 4)), decoder: identity };
    expect(score(dead)).toBe(0);
  });

  test('of the truth is above that of a code whose one latent holds both concepts', () => {
    const exact = score({ latents: truth, decoder: identity });
    const merged = matrix(2000, 1);
    for (let n = 0; n < 2000; n++) {
      merged.data[n] = features.data[n * 4] + features.data[n * 4 + 2];
    }
    const decoder = matrix(1, 4, Float64Array.of(Math.SQRT1_2, 0, Math.SQRT1_2, 0));
    const together = score({ latents: sparseRows(merged), decoder });
    expect(exact ?? NaN).toBeGreaterThan(together ?? NaN);
  });

  test('is the same for the same splits', () => {
    const code: Code = { latents: truth, decoder: identity };
    expect(score(code)).toBe(score(code));
  });

  test('has no value without two roots, or where a combination of them is too rare', () => {
    const code: Code = { latents: truth, decoder: identity };
    const one = { parents: [0], edges: [{ parent: 0, child: 1 }] };
    expect(scr(code, features, truth, one, createRng(1))).toBeNull();
    const few = sparseRows(matrix(2000, 4));
    expect(scr(code, features, few, world, createRng(1))).toBeNull();
  });
});

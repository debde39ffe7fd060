import { describe, expect, test } from 'vitest';
import { fromRows, matrix, row } from '../../../reference/matrix.ts';
import { cosines, foldDecoderNorms, rowNorms } from '../../../synthetic/metrics/code.ts';
import { matchLatents } from '../../../synthetic/metrics/mcc.ts';
import { createRng } from '../../../synthetic/rng.ts';
import { sparseRows } from '../../../synthetic/sparse-rows.ts';

/** Best sum over all injections of the shorter side into the longer, by trying them all. */
function bruteForce(
  size: (l: number, f: number) => number,
  latents: number,
  features: number,
): number {
  if (latents > features) return bruteForce((a, b) => size(b, a), features, latents);
  const place = (l: number, used: ReadonlySet<number>): number => {
    if (l === latents) return 0;
    let best = -Infinity;
    for (let f = 0; f < features; f++) {
      if (used.has(f)) continue;
      best = Math.max(best, size(l, f) + place(l + 1, new Set([...used, f])));
    }
    return best;
  };
  return place(0, new Set());
}

describe('matchLatents', () => {
  test('finds the best of all pairings, for every shape up to 7 x 7, signs and ties included', () => {
    const rng = createRng(11);
    for (let latents = 1; latents <= 7; latents++) {
      for (let features = 1; features <= 7; features++) {
        for (const coarse of latents * features > 36 ? [false] : [false, true]) {
          const cosine = matrix(latents, features);
          for (let i = 0; i < cosine.data.length; i++) {
            // Coarse values tie often.
            cosine.data[i] = coarse ? (rng.below(5) - 2) / 2 : 2 * rng.uniform() - 1;
          }
          const size = (l: number, f: number): number => Math.abs(cosine.data[l * features + f]);
          const { mcc, latentOf, featureOf } = matchLatents(cosine);
          const pairs = Math.min(latents, features);
          expect(mcc).toBeCloseTo(bruteForce(size, latents, features) / pairs, 12);

          const matched = [...featureOf.keys()].filter((l) => featureOf[l] >= 0);
          expect(matched).toHaveLength(pairs);
          for (const l of matched) expect(latentOf[featureOf[l]]).toBe(l);
          expect([...latentOf].filter((l) => l >= 0)).toHaveLength(pairs);
          const sum = matched.reduce((total, l) => total + size(l, featureOf[l]), 0);
          expect(sum / pairs).toBeCloseTo(mcc ?? NaN, 12);
        }
      }
    }
  });

  test('is 1 for directions in any order, sign and length, and unchanged by permuting rows', () => {
    const truth = fromRows([
      [1, 0, 0],
      [0, 2, 0],
      [0, 0, 3],
    ]);
    const rows = fromRows([
      [0, 0, -5],
      [0.1, 0, 0],
      [0, 7, 0],
    ]);
    const { mcc, featureOf } = matchLatents(cosines(rows, truth));
    expect(mcc).toBe(1);
    expect([...featureOf]).toEqual([2, 0, 1]);
  });

  test('a zero row has cosine 0 and is matched all the same', () => {
    const truth = fromRows([
      [1, 0],
      [0, 1],
    ]);
    const { mcc, featureOf } = matchLatents(
      cosines(
        fromRows([
          [0, 0],
          [0, 1],
        ]),
        truth,
      ),
    );
    expect(mcc).toBe(0.5);
    expect([...featureOf]).toEqual([0, 1]);
  });

  test('has no value without latents or without features', () => {
    expect(matchLatents(matrix(0, 3))).toEqual({
      mcc: null,
      latentOf: Int32Array.of(-1, -1, -1),
      featureOf: new Int32Array(0),
    });
    expect(matchLatents(matrix(2, 0)).mcc).toBeNull();
  });

  test('refuses cosines that are not finite, by value', () => {
    expect(() => matchLatents(fromRows([[0.5, NaN]]))).toThrow('expected finite cosines, got NaN');
  });
});

describe('foldDecoderNorms', () => {
  test('keeps latents · decoder and makes rows unit; a zero row stays zero and its latent active', () => {
    const latents = fromRows([[2, 1, 3]]);
    const W_dec = fromRows([
      [3, 4],
      [0, 0],
      [0, 0.5],
    ]);
    const code = foldDecoderNorms(sparseRows(latents), W_dec);
    expect([...code.latents.value]).toEqual([10, 1e-8, 1.5]);
    expect([...row(code.decoder, 0)]).toEqual([0.6, 0.8]);
    expect([...row(code.decoder, 1)]).toEqual([0, 0]);
    expect([...rowNorms(code.decoder)]).toEqual([1, 1e-8, 1]);
  });

  test('refuses widths that differ', () => {
    expect(() => foldDecoderNorms(sparseRows(matrix(1, 2)), matrix(3, 2))).toThrow(
      'expected latents of width 3',
    );
    expect(() => cosines(matrix(1, 2), matrix(1, 3))).toThrow('equal width, got 2 and 3');
  });
});

import { describe, expect, test } from 'vitest';
import { auxk, auxkCount, auxkOfLevels, type LevelAuxk } from '../../reference/auxk.ts';
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { columnMeans, fromRows, matrix, subtract, type Matrix } from '../../reference/matrix.ts';

const dialectWith = (choices: Partial<Dialect['auxk']>): Dialect => ({
  ...dictionaryLearning,
  auxk: { ...dictionaryLearning.auxk, ...choices },
});
const plain = dialectWith({ normaliser: 'none' });

const residual = fromRows([
  [2, 0],
  [0, 2],
]);
const W_dec = fromRows([
  [1, 0],
  [0, 1],
  [1, 1],
]);
const acts = fromRows([
  [1, 3, 2],
  [4, 0, 1],
]);
const dead = Uint8Array.of(1, 0, 1);

describe('the number of dead latents used', () => {
  test('is floor(d_in / 2), or the number of dead latents if that is less', () => {
    expect(auxkCount(Uint8Array.of(1, 1, 1, 0), 5, dictionaryLearning)).toBe(2);
    expect(auxkCount(Uint8Array.of(1, 1, 1, 0), 6, dictionaryLearning)).toBe(3);
    expect(auxkCount(Uint8Array.of(1, 0, 0, 0), 6, dictionaryLearning)).toBe(1);
    expect(auxkCount(new Uint8Array(4), 6, dictionaryLearning)).toBe(0);
    expect(auxkCount(Uint8Array.of(1, 1, 1), 1, dictionaryLearning)).toBe(0);
  });

  test('may be a number of the dialect', () => {
    expect(auxkCount(Uint8Array.of(1, 1, 1), 100, dialectWith({ k: 2 }))).toBe(2);
    expect(auxkCount(Uint8Array.of(1, 0, 0), 100, dialectWith({ k: 512 }))).toBe(1);
  });
});

describe('the auxiliary loss', () => {
  test('fits the largest dead acts of each row to the residual', () => {
    const result = auxk(residual, acts, W_dec, dead, 0.5, plain);
    // One of two dead latents a row: latent 2 (act 2 > 1), then latent 0 (act 4 > 1).
    expect([...result.chosen]).toEqual([0, 0, 1, 1, 0, 0]);
    expect([...result.latents.data]).toEqual([0, 0, 2, 4, 0, 0]);
    // ê - e = [2, 2] - [2, 0] and [4, 0] - [0, 2].
    expect(result.loss).toBe((4 + 20) / 2);
    // 2 alpha / rows of that.
    expect([...result.gradient.data]).toEqual([0, 1, 2, -1]);
  });

  test('is divided by the variance of the residual about its batch mean', () => {
    const result = auxk(residual, acts, W_dec, dead, 0.5, dictionaryLearning);
    // Mean [1, 1], each row √2 away: variance 2.
    expect(result.loss).toBe(6);
    expect([...result.gradient.data]).toEqual([0, 0.5, 1, -0.5]);
  });

  test('follows the other decisions of a dialect', () => {
    const loss = (choices: Partial<Dialect['auxk']>): number =>
      auxk(residual, acts, W_dec, dead, 1, dialectWith({ normaliser: 'none', ...choices })).loss;
    expect(loss({ overDimensions: 'mean' })).toBe(6);
    expect(loss({ scale: 'dead-fraction' })).toBe(12); // 2 dead of floor(2 / 2) = 1: capped at 1
    // Both dead latents: ê = [3, 2] and [5, 1].
    expect(loss({ k: 2 })).toBe((1 + 4 + 25 + 1) / 2);
  });

  test('scales by the share of dead latents below floor(d_in / 2)', () => {
    const wide = matrix(
      2,
      8,
      Float64Array.from({ length: 16 }, (_, i) => i % 3),
    );
    const decoder = matrix(3, 8);
    const of = (scale: 'none' | 'dead-fraction'): number =>
      auxk(wide, acts, decoder, dead, 1, dialectWith({ normaliser: 'none', scale })).loss;
    expect(of('dead-fraction')).toBe(of('none') / 2);
  });

  test('ranks zeros among acts, and negative values among pre-activations', () => {
    const one = Uint8Array.of(0, 1, 0);
    const values = fromRows([
      [1, -3, 2],
      [4, 0, 1],
    ]);
    const result = auxk(
      residual,
      values,
      W_dec,
      one,
      1,
      dialectWith({ normaliser: 'none', values: 'pre-activations' }),
    );
    expect([...result.chosen]).toEqual([0, 1, 0, 0, 1, 0]);
    expect([...result.latents.data]).toEqual([0, -3, 0, 0, 0, 0]);
  });

  test('takes the lower latent of equal acts', () => {
    const equal = fromRows([
      [1, 1, 1],
      [0, 0, 0],
    ]);
    const { chosen } = auxk(residual, equal, W_dec, Uint8Array.of(0, 1, 1), 1, plain);
    expect([...chosen]).toEqual([0, 1, 0, 0, 1, 0]);
  });

  test('is exactly 0 without dead latents, also where the residual has no variance', () => {
    const result = auxk(
      matrix(1, 2),
      matrix(1, 3),
      W_dec,
      new Uint8Array(3),
      1,
      dictionaryLearning,
    );
    expect(result).toEqual({
      loss: 0,
      chosen: new Uint8Array(3),
      latents: matrix(1, 3),
      gradient: matrix(1, 2),
    });
  });

  test('with d_in = 1 uses no latent, and still counts the residual', () => {
    const thin = fromRows([[1], [-1]]);
    const result = auxk(thin, acts, matrix(3, 1), dead, 1, dictionaryLearning);
    expect([...result.chosen]).toEqual([0, 0, 0, 0, 0, 0]);
    expect(result.loss).toBe(1);
  });

  test('with d_in = 1 has no share of dead latents to be scaled by', () => {
    const thin = fromRows([[1], [-1]]);
    const scaled = dialectWith({ normaliser: 'none', scale: 'dead-fraction' });
    expect(() => auxk(thin, acts, matrix(3, 1), dead, 1, scaled)).toThrow(
      new RangeError(
        'auxk: expected d_in >= 2 to scale the loss by dead latents over floor(d_in / 2), got 1',
      ),
    );
    expect(auxk(thin, acts, matrix(3, 1), new Uint8Array(3), 1, scaled).loss).toBe(0);
  });

  test('refuses a single row, and equal rows, if it is normalised', () => {
    for (const equal of [
      fromRows([[1, 2]]),
      fromRows([
        [1, 2],
        [1, 2],
      ]),
    ]) {
      const run = (dialect: Dialect) => () =>
        auxk(equal, matrix(equal.rows, 3), W_dec, dead, 1, dialect);
      expect(run(dictionaryLearning)).toThrow(
        `auxk: the residual has no variance over the batch's ${equal.rows} row(s)`,
      );
      expect(run(plain)).not.toThrow();
    }
  });

  test('refuses equal rows also where their mean is rounded, and no others', () => {
    const tenth = matrix(6, 2, new Float64Array(12).fill(0.1));
    // Six times 0.1, added up, is not 0.6, so rows are not their own mean.
    expect(columnMeans(tenth)[0]).not.toBe(0.1);
    const run = (rows: Matrix) => () =>
      auxk(rows, matrix(6, 3), W_dec, dead, 1, dictionaryLearning);
    expect(run(tenth)).toThrow("auxk: the residual has no variance over the batch's 6 row(s)");
    // Columns may be alike.
    const last = tenth.data.slice();
    last[11] = 0.2;
    expect(run(matrix(6, 2, last))).not.toThrow();
    // Rows that differ by so little that squares vanish have none, either.
    const tiny = matrix(
      6,
      2,
      Float64Array.from({ length: 12 }, (_, i) => i * 1e-200),
    );
    expect(run(tiny)).toThrow("auxk: the residual has no variance over the batch's 6 row(s)");
  });

  test('refuses values that are not finite, naming the place', () => {
    const spoiled = fromRows([
      [0, 1],
      [NaN, 0],
    ]);
    expect(() => auxk(spoiled, acts, W_dec, dead, 1, plain)).toThrow(
      'auxk: residual: expected finite values, got NaN at [1, 0]',
    );
    const infinite = matrix(2, 3, Float64Array.of(0, Infinity, 0, 0, 0, 0));
    expect(() => auxk(residual, infinite, W_dec, dead, 1, plain)).toThrow(
      'auxk: values: expected finite values, got Infinity at [0, 1]',
    );
  });

  test('is 0 in dialects that say so where nothing decodes, and the residual’s own in others', () => {
    const none = fromRows([
      [0, 3, 0],
      [0, 0, 0],
    ]);
    const zero = auxk(
      residual,
      none,
      W_dec,
      dead,
      1,
      dialectWith({ normaliser: 'none', whenNothingDecodes: 'is-zero' }),
    );
    expect(zero.loss).toBe(0);
    expect([...zero.gradient.data]).toEqual([0, 0, 0, 0]);
    expect([...zero.chosen]).toEqual([1, 0, 0, 1, 0, 0]);
    const counted = auxk(residual, none, W_dec, dead, 1, plain);
    expect(counted.loss).toBe(4);
    expect([...counted.gradient.data]).toEqual([-2, 0, 0, -2]);
  });

  test('where one row decodes something counts every row, whatever the dialect', () => {
    const guarded = dialectWith({ normaliser: 'none', whenNothingDecodes: 'is-zero' });
    const some = fromRows([
      [0, 3, 0],
      [2, 0, 0],
    ]);
    // ê - e = [-2, 0] and [2, -2].
    expect(auxk(residual, some, W_dec, dead, 1, guarded).loss).toBe((4 + 8) / 2);
    // Latents that are not 0 on decoder rows that are decode nothing, either.
    expect(auxk(residual, some, matrix(3, 2), dead, 1, guarded).loss).toBe(0);
  });

  test('ranks by acts times decoder norm where the dialect selects so, and decodes acts', () => {
    const rescaled: Dialect = { ...plain, select: { score: 'acts-times-decoder-norm' } };
    const wide = fromRows([
      [4, 0],
      [0, 1],
      [1, 0],
    ]);
    // Of latents 0 and 2: 1 · 4 > 2 · 1 and 4 · 4 > 1 · 1.
    const { chosen, latents } = auxk(residual, acts, wide, dead, 1, rescaled);
    expect([...chosen]).toEqual([1, 0, 0, 1, 0, 0]);
    expect([...latents.data]).toEqual([1, 0, 0, 4, 0, 0]);
    expect(() => auxk(residual, acts, matrix(3, 2), dead, 1, rescaled)).toThrow(
      'W_dec: expected non-zero rows to rescale acts by, got norm 0 in row 0',
    );
    // Norms are not asked for where no latent is dead.
    expect(auxk(residual, acts, matrix(3, 2), new Uint8Array(3), 1, rescaled).loss).toBe(0);
  });
});

describe('auxiliary losses of levels', () => {
  const x = fromRows([
    [2, 0],
    [0, 2],
  ]);
  const reconstructions = [
    fromRows([
      [1, 0],
      [0, 0],
    ]),
    matrix(2, 2),
  ];
  const prefixes = [1, 3];
  const of = (choices: Partial<Dialect['auxk']>, flags = dead): LevelAuxk[] =>
    auxkOfLevels(
      x,
      reconstructions,
      acts,
      W_dec,
      flags,
      prefixes,
      0.5,
      dialectWith({ normaliser: 'none', ...choices }),
    );

  test('are one, for all dead latents, against what the full prefix leaves over', () => {
    expect(of({})).toEqual([
      { ...auxk(subtract(x, reconstructions[1]), acts, W_dec, dead, 0.5, plain), level: 2 },
    ]);
  });

  test('or one for each level: its group’s dead latents against what its own prefix leaves over', () => {
    const [first, second] = of({ levels: 'each' });
    expect(of({ levels: 'each' })).toHaveLength(2);
    // Latent 0, acts 1 and 4: ê - e = [1, 0] - [1, 0] and [4, 0] - [0, 2].
    expect([...first.chosen]).toEqual([1, 0, 0, 1, 0, 0]);
    expect(first).toMatchObject({ level: 1, loss: 20 / 2 });
    expect([...first.gradient.data]).toEqual([0, 0, 2, -1]);
    // Latent 2, acts 2 and 1: [2, 2] - [2, 0] and [1, 1] - [0, 2].
    expect([...second.chosen]).toEqual([0, 0, 1, 0, 0, 1]);
    expect(second).toMatchObject({ level: 2, loss: (4 + 2) / 2 });
  });

  test('are 0 for a group without dead latents', () => {
    const [first, second] = of({ levels: 'each' }, Uint8Array.of(0, 1, 1));
    expect(first.loss).toBe(0);
    expect([...first.chosen]).toEqual([0, 0, 0, 0, 0, 0]);
    expect([...first.gradient.data]).toEqual([0, 0, 0, 0]);
    expect(second.loss).toBeGreaterThan(0);
  });

  test('are none in dialects without', () => {
    expect(of({ values: 'none' })).toEqual([]);
    expect(of({ values: 'none', levels: 'each' })).toEqual([]);
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromRows, matrix, row, type Matrix } from '../../../reference/matrix.ts';
import { hedgingDegree, type HedgingDegree } from '../../../synthetic/metrics/hedging-degree.ts';
import { createRng } from '../../../synthetic/rng.ts';

const judge = (control: Matrix, extended: Matrix, seed = 1): HedgingDegree | null =>
  hedgingDegree(control, extended, createRng(seed));

/** A row of 50: values at the first places. */
const at = (...values: number[]): number[] => Array.from({ length: 50 }, (_, i) => values[i] ?? 0);
const random = (rows: number, cols: number, seed: number): Matrix => {
  const rng = createRng(seed);
  return matrix(
    rows,
    cols,
    Float64Array.from({ length: rows * cols }, () => rng.normal()),
  );
};
const stacked = (...parts: Matrix[]): Matrix =>
  matrix(
    parts.reduce((sum, part) => sum + part.rows, 0),
    parts[0].cols,
    Float64Array.from(parts.flatMap((part) => [...part.data])),
  );

describe('hedging degree', () => {
  test('is 0 for an SAE that told its features apart: new latents change nothing', () => {
    const truth = fromRows([at(1), at(0, 1)]);
    expect(judge(truth, fromRows([at(1), at(0, 1), at(0, 0, 1)]))).toEqual({
      degree: 0,
      projected: 0,
      chance: 0,
      dimensions: 1,
    });
  });

  test('of a row that gives a child to a latent of its own is what it held of it, beyond chance', () => {
    // Length 5: 0.6 of the unit row is the child.
    const result = judge(fromRows([at(4, 3)]), fromRows([at(1), at(0, 1)]));
    expect(result?.projected).toBeCloseTo(0.6, 14);
    // The change is (0.2, -0.6); of a random direction it has √(2 / π 50) of its length on average.
    expect(
      Math.abs((result?.chance ?? NaN) - Math.hypot(0.2, 0.6) * Math.sqrt(2 / (50 * Math.PI))),
    ).toBeLessThan(0.04);
    const { projected, chance } = result!;
    expect(result?.degree).toBe((projected - chance) / (1 - chance));
  });

  test('is large where absorbed children give their parent back to a new latent', () => {
    const absorbed = fromRows([at(1, 1), at(1, 0, 1), at(1, 0, 0, 1)]);
    const clean = fromRows([at(0, 1), at(0, 0, 1), at(0, 0, 0, 1), at(1)]);
    const result = judge(absorbed, clean);
    expect(result?.projected).toBeCloseTo(Math.SQRT1_2, 14);
    expect(result?.degree ?? NaN).toBeGreaterThan(0.6);
  });

  test('is 0 where rows change in directions that no new latent has', () => {
    const result = judge(fromRows([at(1)]), fromRows([at(1, 1), at(0, 0, 1)]));
    expect(result).toMatchObject({ degree: 0, projected: 0 });
    expect(result?.chance ?? NaN).toBeGreaterThan(0);
  });

  test('counts each dimension of the new rows once', () => {
    const [control, old] = [fromRows([at(4, 3)]), fromRows([at(1)])];
    const once = judge(control, stacked(old, fromRows([at(0, 1, 1)])));
    const twice = judge(control, stacked(old, fromRows([at(0, 1, 1), at(0, 2, 2)])));
    expect(twice).toEqual(once);
    expect(judge(control, stacked(old, fromRows([at()])))).toMatchObject({
      degree: 0,
      projected: 0,
      chance: 0,
      dimensions: 0,
    });
  });

  test('depends neither on lengths of rows, nor on which rows span the new space, and repeats', () => {
    fc.assert(
      fc.property(fc.nat(1e6), fc.integer({ min: 1, max: 4 }), (seed, n) => {
        const [control, old, added] = [
          random(5, 12, seed),
          random(5, 12, seed + 1),
          random(n, 12, seed + 2),
        ];
        const result = judge(control, stacked(old, added), seed)!;
        const mixed = matrix(n, 12);
        for (let i = 0; i < n; i++) {
          for (let j = 0; j <= i; j++) {
            row(added, j).forEach((value, c) => (mixed.data[i * 12 + c] += (1 + i + j) * value));
          }
        }
        const other = judge(control, stacked(old, mixed), seed)!;
        expect(other.projected).toBeCloseTo(result.projected, 8);
        expect(other.chance).toBe(result.chance);
        const longer = matrix(
          5,
          12,
          old.data.map((value) => 8 * value),
        );
        expect(judge(control, stacked(longer, added), seed)).toEqual(result);
        expect(
          result.degree === null || (result.degree >= 0 && Number.isFinite(result.degree)),
        ).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  test('is 0 where new latents span everything: chance does too', () => {
    const result = judge(random(3, 4, 1), stacked(random(3, 4, 1), random(4, 4, 2)));
    expect(result).toMatchObject({ degree: 0, dimensions: 4 });
    const moved = judge(fromRows([[1, 0, 0]]), fromRows([[4, 1, 0], [1, 2, 0], [0, 1, 5], [1, 0, 1]])); // prettier-ignore
    expect(moved?.projected).toBeCloseTo(moved?.chance ?? NaN, 12);
    expect(moved?.degree ?? NaN).toBeLessThan(1e-12);
  });
});

describe('hedging degree has no value', () => {
  test('without latents, without added ones, or of a control of zeros', () => {
    expect(judge(matrix(0, 4), random(2, 4, 1))).toBeNull();
    expect(judge(random(2, 4, 1), random(2, 4, 1))).toBeNull();
    expect(judge(matrix(2, 4), random(3, 4, 1))).toBeNull();
  });

  test('where chance alone gives 1 or more, but the parts of it have', () => {
    expect(judge(fromRows([[1]]), fromRows([[-1], [1]]))).toEqual({
      degree: null,
      projected: 2,
      chance: 2,
      dimensions: 1,
    });
  });
});

test('decoders that do not continue one another are refused', () => {
  expect(() => judge(random(3, 4, 1), random(2, 4, 1))).toThrow('got 2 of 4');
  expect(() => judge(random(3, 4, 1), random(4, 5, 1))).toThrow('got 4 of 5');
  expect(() => hedgingDegree(random(1, 2, 1), random(2, 2, 1), createRng(1), 0)).toThrow('got 0');
});

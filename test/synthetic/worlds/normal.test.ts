import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { upperQuantile, upperTail } from '../../../synthetic/worlds/normal.ts';
import { belowUpperTail } from '../../../synthetic/worlds/tail-table.ts';

/** Values of the normal's upper tail as published to 12 digits or more (Abramowitz and Stegun, tables 26.1 and 26.2). */
const published: readonly [number, number][] = [
  [0, 0.5],
  [1, 0.15865525393145705],
  [2, 0.022750131948179212],
  [3, 0.0013498980316300946],
  [5, 2.866515718791939e-7],
  [10, 7.61985302416053e-24],
  [30, 4.906713927148187e-198],
];

describe('upperTail', () => {
  test.each(published)('of %f is %f to 12 digits', (t, q) => {
    expect(Math.abs(upperTail(t) / q - 1)).toBeLessThan(1e-12);
    expect(upperTail(-t)).toBeCloseTo(1 - q, 15);
  });

  test('joins its series and its continued fraction at 3, where its slope is the density', () => {
    for (const t of [2.5, 2.999, 3, 3.001, 4]) {
      const h = 1e-4;
      const slope = (upperTail(t + h) - upperTail(t - h)) / (2 * h);
      const density = Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI);
      // Central differences err by h²/6 · φ'' and by rounding over h.
      expect(Math.abs(slope + density)).toBeLessThan(h * h * density * t * t + 1e-12);
    }
  });

  test('is 0 and 1 at the infinities', () => {
    expect([upperTail(Infinity), upperTail(-Infinity)]).toEqual([0, 1]);
  });
});

describe('upperQuantile', () => {
  test('inverts it: threshold of p = 0.4 is 0.2533, of 0.025 is 1.95996', () => {
    expect(upperQuantile(0.4)).toBeCloseTo(0.2533471031357997, 13);
    expect(upperQuantile(0.025)).toBeCloseTo(1.959963984540054, 13);
    fc.assert(
      fc.property(fc.double({ min: 1e-300, max: 0.5, noNaN: true }), (p) => {
        expect(Math.abs(upperTail(upperQuantile(p)) / p - 1)).toBeLessThan(1e-11);
        expect(upperQuantile(1 - p)).toBeCloseTo(-upperQuantile(1 - (1 - p)), 8);
      }),
    );
  });

  test('is infinite at 0 and 1 and refuses what is no probability', () => {
    expect([upperQuantile(0), upperQuantile(1), upperQuantile(0.5)]).toEqual([
      Infinity,
      -Infinity,
      0,
    ]);
    for (const p of [-1e-9, 1.001, NaN]) expect(() => upperQuantile(p)).toThrow(RangeError);
  });
});

test('belowUpperTail(v, t) is v < Q(t) everywhere', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      fc.double({ min: -12, max: 12, noNaN: true }),
      (v, t) => {
        expect(belowUpperTail(v, t)).toBe(v < upperTail(t));
        // Close to the boundary, where the table cannot tell.
        const near = upperTail(t) * (1 + (v - 0.5) * 1e-3);
        expect(belowUpperTail(near, t)).toBe(near < upperTail(t));
      },
    ),
    { numRuns: 2000 },
  );
  expect([belowUpperTail(0, Infinity), belowUpperTail(0.999, -Infinity)]).toEqual([false, true]);
});

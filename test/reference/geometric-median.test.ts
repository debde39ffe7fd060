import { describe, expect, test } from 'vitest';
import { geometricMedian, weiszfeld } from '../../reference/geometric-median.ts';
import { columnMeans, fromRows, matrix, norm } from '../../reference/matrix.ts';

describe('one round', () => {
  test('is the mean weighted by 1 / distance', () => {
    // Weights 1 and 1/2 at distances 1 and 2.
    expect([...weiszfeld(fromRows([[0], [3]]), Float64Array.of(1))]).toEqual([1]);
    expect([...weiszfeld(fromRows([[0], [4]]), Float64Array.of(1))]).toEqual([1]);
    const [x, y] = weiszfeld(
      fromRows([
        [0, 0],
        [4, 0],
        [0, 3],
      ]),
      Float64Array.of(0, 3 - 1),
    );
    // Distances 2, √20 and 1.
    const total = 1 / 2 + 1 / Math.sqrt(20) + 1;
    expect(x).toBeCloseTo(4 / Math.sqrt(20) / total, 14);
    expect(y).toBeCloseTo(3 / total, 14);
  });
});

describe('the geometric median', () => {
  test('sees the sides of a triangle under 120°', () => {
    const points = fromRows([
      [-1, 0],
      [1, 0],
      [0, 3],
    ]);
    const [x, y] = geometricMedian(points);
    expect(x).toBeCloseTo(0, 12);
    expect(Math.abs(y - 1 / Math.sqrt(3))).toBeLessThan(2e-5);
    expect([...columnMeans(points)]).toEqual([0, 1]);
  });

  test('of corners of a square is its centre at once', () => {
    expect([
      ...geometricMedian(
        fromRows([
          [1, 1],
          [1, -1],
          [-1, 1],
          [-1, -1],
        ]),
      ),
    ]).toEqual([0, 0]);
  });

  test('stops once a round moves less than 1e-5', () => {
    const points = fromRows([
      [0, 0, 0],
      [4, 1, 0],
      [1, 5, 2],
      [-3, 2, 7],
      [2, -6, 1],
    ]);
    const median = geometricMedian(points);
    const moved = norm(weiszfeld(points, median).map((value, t) => value - median[t]));
    expect(moved).toBeLessThan(1e-5);
    expect(moved).toBeGreaterThan(1e-8);
  });

  test('stops after 100 rounds at most', () => {
    // Sides are seen under a little less than 120° from the third corner, so rounds hardly move.
    const points = fromRows([
      [0, 0],
      [4, 0],
      [2, 1.1547],
    ]);
    let from = columnMeans(points);
    let moved = NaN;
    for (let round = 0; round < 100; round++) {
      const next = weiszfeld(points, from);
      moved = norm(next.map((value, t) => value - from[t]));
      from = next;
    }
    expect(moved).toBeGreaterThan(1e-5);
    expect(geometricMedian(points)).toEqual(from);
  });

  test('hardly follows one far row', () => {
    const [x] = geometricMedian(
      fromRows([
        [0, 0],
        [1, 0],
        [0, 1],
        [1, 1],
        [1e6, 0.4],
      ]),
    );
    expect(x).toBeLessThan(1);
  });
});

describe('refused is', () => {
  test.each([
    ['a single row', fromRows([[1, 2]])],
    [
      'two equal rows',
      fromRows([
        [1, 2],
        [1, 2],
      ]),
    ],
    [
      'a row equal to the mean',
      fromRows([
        [0, 0],
        [2, 2],
        [4, 4],
      ]),
    ],
  ])('%s, which the iterate meets', (_, points) => {
    expect(() => geometricMedian(points)).toThrow(RangeError);
    expect(() => geometricMedian(points)).toThrow(
      /^geometricMedian: row \d equals the iterate, so its weight 1 \/ distance is infinite/,
    );
  });

  test('an empty batch, and NaN by its place', () => {
    expect(() => geometricMedian(matrix(0, 2))).toThrow('expected at least one row, got 0');
    expect(() =>
      geometricMedian(
        fromRows([
          [0, 1],
          [NaN, 1],
        ]),
      ),
    ).toThrow('geometricMedian: points: expected finite values, got NaN at [1, 0]');
  });
});

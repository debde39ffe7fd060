import { describe, expect, test } from 'vitest';
import { fromRows, matrix } from '../../../reference/matrix.ts';
import { closestFeatures } from '../../../synthetic/metrics/closest-feature.ts';
import { recovery } from '../../../synthetic/metrics/recovery.ts';
import { reconstructionBias, shrinkage } from '../../../synthetic/metrics/shrinkage.ts';
import { uniqueness } from '../../../synthetic/metrics/uniqueness.ts';

describe('uniqueness', () => {
  const of = (cosine: ReturnType<typeof matrix>): number => uniqueness(closestFeatures(cosine));

  test('counts different closest features, by size of the cosine, per latent', () => {
    expect(
      of(
        fromRows([
          [0.9, 0.1, 0],
          [-0.8, 0.1, 0],
          [0, 0.2, -0.9],
        ]),
      ),
    ).toBe(2 / 3);
  });

  test('cannot exceed features / latents', () => {
    expect(of(fromRows([[1], [0.5], [-1], [0]]))).toBe(1 / 4);
  });

  test('is 0 without latents, and without features', () => {
    expect(of(matrix(0, 3))).toBe(0);
    expect(of(matrix(2, 0))).toBe(0);
  });
});

test('equal cosines go to the lower feature, and count as a near-tie', () => {
  const { feature, nearTies } = closestFeatures(
    fromRows([
      [0.7, -0.7, 0],
      [0.1, 0.5, 0.47],
      [0.1, 0.5, 0.485],
    ]),
  );
  expect([...feature]).toEqual([0, 1, 1]);
  expect(nearTies).toBe(2);
});

describe('recovery', () => {
  test('takes the best latent of each feature; 0.9 itself is not recovered', () => {
    const { best, recovered } = recovery(
      fromRows([
        [0.95, 0.3, -0.2],
        [-0.99, 0.9, -0.91],
      ]),
    );
    expect([...best]).toEqual([0.99, 0.9, 0.91]);
    expect(recovered).toBe(2 / 3);
  });

  test('of no latents is none, of no features undefined', () => {
    expect(recovery(matrix(0, 2)).recovered).toBe(0);
    expect(recovery(matrix(2, 0)).recovered).toBeNull();
  });
});

describe('shrinkage', () => {
  const x = fromRows([
    [3, 4],
    [0, 2],
    [0, 0],
  ]);

  test('is the mean ratio of lengths, rows without length left out', () => {
    const shorter = fromRows([
      [1.5, 2],
      [0, 1.8],
      [7, 7],
    ]);
    expect(shrinkage(x, shorter)).toBeCloseTo((0.5 + 0.9) / 2, 14);
  });

  test('scaling x̂ by c scales shrinkage and bias by c', () => {
    const half = matrix(
      3,
      2,
      x.data.map((value) => value / 2),
    );
    expect(shrinkage(x, half)).toBeCloseTo(0.5, 14);
    expect(reconstructionBias(x, half)).toBeCloseTo(0.5, 14);
    expect(reconstructionBias(x, x)).toBe(1);
  });

  test('a mean in place of every row is shrunk but not biased', () => {
    const two = fromRows([
      [1, 1],
      [1, -1],
    ]);
    const mean = fromRows([
      [1, 0],
      [1, 0],
    ]);
    expect(reconstructionBias(two, mean)).toBe(1);
    expect(shrinkage(two, mean)).toBeCloseTo(Math.SQRT1_2, 14);
  });

  test('has no value where all of x is tiny, and bias none for x̂ = 0', () => {
    const tiny = fromRows([[1e-7, 0]]);
    expect(shrinkage(tiny, tiny)).toBeNull();
    expect(shrinkage(matrix(0, 2), matrix(0, 2))).toBeNull();
    expect(reconstructionBias(x, matrix(3, 2))).toBeNull();
  });
});

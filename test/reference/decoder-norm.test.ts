import { describe, expect, test } from 'vitest';
import {
  foldDecoderNorm,
  normaliseRows,
  projectGradient,
  rowNorms,
} from '../../reference/decoder-norm.ts';
import { dot, fromRows, norm, row } from '../../reference/matrix.ts';

const W_dec = fromRows([
  [3, 4],
  [0, 0],
  [0, -2],
]);

describe('rows of W_dec', () => {
  test('are divided by their norm plus epsilon', () => {
    expect([...normaliseRows(W_dec, 0.5).data]).toEqual([3 / 5.5, 4 / 5.5, 0, 0, 0, -0.8]);
  });

  test('have norm 1 within epsilon, and a zero row stays zero', () => {
    const unit = normaliseRows(W_dec, 2 ** -23);
    expect(1 - norm(row(unit, 0))).toBeCloseTo(2 ** -23 / 5, 12);
    expect([...row(unit, 1)]).toEqual([0, 0]);
  });

  test('without epsilon a zero row is refused, where the published code goes on with NaN', () => {
    expect(() => normaliseRows(W_dec, 0)).toThrow(
      new RangeError('W_dec: expected rows of a norm above 0 to rescale, got 0 in row 1'),
    );
  });
});

describe('a gradient', () => {
  const gradient = fromRows([
    [5, 10],
    [7, -7],
    [1, 1],
  ]);

  test('loses its part along each row', () => {
    // Along [0.6, 0.8]: 11, so [5, 10] - [6.6, 8.8].
    const first = fromRows([[3, 4]]);
    const [x, y] = projectGradient(fromRows([[5, 10]]), first, 0).data;
    expect(x).toBeCloseTo(-1.6, 12);
    expect(y).toBeCloseTo(1.2, 12);
  });

  test('keeps 1 - (n / (n + epsilon))² of the parallel part', () => {
    const kept = projectGradient(gradient, W_dec, 1);
    const share = 1 - (5 / 6) ** 2;
    expect(dot(row(kept, 0), row(W_dec, 0))).toBeCloseTo(share * (5 * 3 + 10 * 4), 12);
    // About 2e-6 with the published epsilon and a unit row.
    const [left] = projectGradient(fromRows([[1]]), fromRows([[1]]), 1e-6).data;
    expect(left).toBeCloseTo(2e-6, 11);
  });

  test('orthogonal to its row, or on a zero row, is left as it is', () => {
    const along = fromRows([
      [-8, 6],
      [7, -7],
      [3, 0],
    ]);
    expect(projectGradient(along, W_dec, 1e-6).data).toEqual(along.data);
  });
});

test('row norms are lengths of rows', () => {
  expect([...rowNorms(W_dec)]).toEqual([5, 0, 2]);
});

describe('decoder norms folded away', () => {
  const params = {
    W_enc: fromRows([
      [1, 2, 3],
      [4, 5, 6],
    ]),
    b_enc: Float64Array.of(1, 2, -3),
    W_dec: fromRows([
      [3, 4],
      [0, 0.5],
      [0, 2],
    ]),
    b_dec: Float64Array.of(7, 8),
  };

  test('move into the encoder, and leave unit rows', () => {
    expect(foldDecoderNorm(params)).toEqual({
      W_enc: fromRows([
        [5, 1, 6],
        [20, 2.5, 12],
      ]),
      b_enc: Float64Array.of(5, 1, -6),
      W_dec: fromRows([
        [3 / 5, 4 / 5],
        [0, 1],
        [0, 1],
      ]),
      b_dec: params.b_dec,
    });
  });

  test('take thresholds along', () => {
    const threshold = Float64Array.of(1, -2, 0.5);
    expect([...foldDecoderNorm({ ...params, threshold }).threshold!]).toEqual([5, -1, 1]);
    expect(Object.keys(foldDecoderNorm(params))).not.toContain('threshold');
  });

  test('of a row of norm 0 count as 1e-8, so that all stays finite', () => {
    const zeroRow = { ...params, W_dec };
    const folded = foldDecoderNorm(zeroRow);
    expect(folded.b_enc[1]).toBe(2 * 1e-8);
    expect([...row(folded.W_dec, 1)]).toEqual([0, 0]);
    const tiny = foldDecoderNorm({
      ...params,
      W_dec: fromRows([
        [1e-9, 0],
        [0, 1],
        [2e-8, 0],
      ]),
    });
    expect(tiny.W_dec.data[0]).toBeCloseTo(0.1, 15);
    expect(tiny.W_dec.data[4]).toBeCloseTo(1, 15);
  });
});

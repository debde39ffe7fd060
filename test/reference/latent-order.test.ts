import { describe, expect, test } from 'vitest';
import { nabeshima, type Dialect } from '../../reference/dialects.ts';
import { decode } from '../../reference/decode.ts';
import { encode } from '../../reference/encode.ts';
import {
  latentOrder,
  reorderColumns,
  reorderLatents,
  updateFrequencies,
  updateMeanSquares,
} from '../../reference/latent-order.ts';
import { fromRows } from '../../reference/matrix.ts';
import type { SaeParams } from '../../reference/params.ts';

const params: SaeParams = {
  W_enc: fromRows([
    [1, 2, 3],
    [4, 5, 6],
  ]),
  b_enc: Float64Array.of(7, 8, 9),
  W_dec: fromRows([
    [3, 4],
    [0, 2],
    [1, 0],
  ]),
  b_dec: Float64Array.of(-1, 1),
};

test('the average follows each latent’s mean square times its squared decoder norm', () => {
  const dialect: Dialect = { ...nabeshima, latentOrder: { ...nabeshima.latentOrder, decay: 0.75 } };
  const latents = fromRows([
    [2, 0, 1],
    [0, 1, 1],
  ]);
  const average = Float64Array.of(8, 4, 0);
  // Squares (2 · 5)² = 100, (1 · 2)² = 4, 1 and 1: means 50, 2 and 1.
  expect([...updateMeanSquares(average, latents, params.W_dec, dialect)]).toEqual([
    0.75 * 8 + 0.25 * 50,
    0.75 * 4 + 0.25 * 2,
    0.25,
  ]);
  expect([...average]).toEqual([8, 4, 0]);
});

test('frequencies follow how often each latent is not 0, and start as the first batch’s', () => {
  const dialect: Dialect = { ...nabeshima, latentOrder: { permute: 'by-frequency', decay: 0.75 } };
  const latents = fromRows([
    [2, 0, 1],
    [0, 0, 5],
  ]);
  expect([...updateFrequencies(undefined, latents, dialect)]).toEqual([0.5, 0, 1]);
  const average = Float64Array.of(1, 0.5, 0);
  expect([...updateFrequencies(average, latents, dialect)]).toEqual([0.875, 0.375, 0.25]);
  expect([...average]).toEqual([1, 0.5, 0]);
});

describe('the order', () => {
  test('has the largest average first', () => {
    expect([...latentOrder(Float64Array.of(1, 30, 20, 4))]).toEqual([1, 2, 3, 0]);
  });

  test('leaves equal averages as they were', () => {
    expect([...latentOrder(Float64Array.of(1, 3, 1, 3, 1))]).toEqual([1, 3, 0, 2, 4]);
    const many = [...latentOrder(new Float64Array(50))];
    expect(many).toEqual(Array.from({ length: 50 }, (_, j) => j));
  });
});

describe('re-ordered', () => {
  test('latent order[j] is at place j, in W_enc, b_enc and W_dec', () => {
    const moved = reorderLatents(params, Uint32Array.of(2, 0, 1));
    expect(moved.W_enc).toEqual(
      fromRows([
        [3, 1, 2],
        [6, 4, 5],
      ]),
    );
    expect([...moved.b_enc]).toEqual([9, 7, 8]);
    expect(moved.W_dec).toEqual(
      fromRows([
        [1, 0],
        [3, 4],
        [0, 2],
      ]),
    );
    expect(moved.b_dec).toBe(params.b_dec);
    expect(Object.keys(moved)).not.toContain('threshold');
  });

  test('columns go where their latents do', () => {
    const values = fromRows([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(reorderColumns(values, Uint32Array.of(2, 0, 1))).toEqual(
      fromRows([
        [3, 1, 2],
        [6, 4, 5],
      ]),
    );
  });

  test('thresholds of latents come along', () => {
    const threshold = Float64Array.of(1, 2, 3);
    const moved = reorderLatents({ ...params, threshold }, Uint32Array.of(2, 0, 1));
    expect(moved.threshold).toEqual(Float64Array.of(3, 1, 2));
    expect([...threshold]).toEqual([1, 2, 3]);
  });

  test('an SAE reconstructs as before', () => {
    const x = fromRows([
      [1, 2],
      [-3, 1],
    ]);
    const moved = reorderLatents(params, Uint32Array.of(1, 2, 0));
    expect(decode(encode(x, moved, nabeshima), moved)).toEqual(
      decode(encode(x, params, nabeshima), params),
    );
  });

  test.each<[string, readonly number[]]>([
    ['misses a latent and repeats another', [0, 0, 1]],
    ['is too short', [1, 0]],
    ['is too long', [0, 1, 2, 0]],
    ['names a latent that is not there', [0, 1, 3]],
  ])('an order that %s is refused', (_, order) => {
    expect(() => reorderLatents(params, Uint32Array.from(order))).toThrow(
      new RangeError(`order: expected each of 3 latents once, got [${order.join(', ')}]`),
    );
  });
});

import { describe, expect, test } from 'vitest';
import { constantRows, decode, decodePrefixes } from '../../reference/decode.ts';
import { fromRows, matrix } from '../../reference/matrix.ts';
import { zeroParams, type SaeParams } from '../../reference/params.ts';

const params: SaeParams = {
  ...zeroParams(2, 3),
  W_dec: fromRows([
    [1, 0],
    [0, 2],
    [-1, 1],
  ]),
  b_dec: Float64Array.of(10, 20),
};
const latents = fromRows([
  [2, 0, 3],
  [0, 0.5, 0],
]);

describe('decoding prefixes', () => {
  test('adds each group once to what the prefix before gives', () => {
    const [first, second, third] = decodePrefixes(latents, params, [1, 2, 3]);
    expect([...first.data]).toEqual([12, 20, 10, 20]);
    expect([...second.data]).toEqual([12, 20, 10, 21]);
    expect([...third.data]).toEqual([9, 23, 10, 21]);
  });

  test('gives the full reconstruction last, however groups are cut', () => {
    const full = decode(latents, params);
    expect([...full.data]).toEqual([9, 23, 10, 21]);
    for (const prefixes of [[3], [1, 3], [2, 3]]) {
      expect(decodePrefixes(latents, params, prefixes).at(-1)).toEqual(full);
    }
  });

  test('gives b_dec for every prefix without latents', () => {
    const [first, second] = decodePrefixes(matrix(2, 3), params, [1, 3]);
    expect(first).toEqual(constantRows(params.b_dec, 2));
    expect(second).toEqual(first);
  });

  test('leaves a decoder row of 0 and a latent of 0 without effect', () => {
    const W_dec = fromRows([
      [0, 0],
      [Infinity, NaN],
      [-1, 1],
    ]);
    expect([...decode(fromRows([[5, 0, 1]]), { ...params, W_dec }).data]).toEqual([9, 21]);
  });

  test('does not change its inputs', () => {
    const before = [...params.b_dec, ...latents.data, ...params.W_dec.data];
    decodePrefixes(latents, params, [1, 3]);
    expect([...params.b_dec, ...latents.data, ...params.W_dec.data]).toEqual(before);
  });
});

test('refuses prefixes and latents that do not fit', () => {
  expect(() => decodePrefixes(latents, params, [1, 2])).toThrow(
    'expected the last to be d_sae = 3',
  );
  expect(() => decodePrefixes(matrix(1, 2), params, [3])).toThrow(
    new RangeError('latents: expected d_sae = 3 columns, got 2'),
  );
});

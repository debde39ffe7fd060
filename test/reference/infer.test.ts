import { describe, expect, test } from 'vitest';
import {
  bussmann,
  dictionaryLearning,
  dictionaryLearningJumpRelu,
  dictionaryLearningRelu,
  nabeshima,
  saelens,
  saelensJumpRelu,
  withDecision,
} from '../../reference/dialects.ts';
import { infer } from '../../reference/infer.ts';
import { fromRows, matrix } from '../../reference/matrix.ts';
import type { SaeParams } from '../../reference/params.ts';

/** Pre-activations of [x] are x, 2x and -x; decoder norms 5, 1 and 1. */
const params: SaeParams = {
  W_enc: fromRows([
    [1, 2, -1],
    [0, 0, 0],
  ]),
  b_enc: new Float64Array(3),
  W_dec: fromRows([
    [3, 4],
    [0, 1],
    [1, 0],
  ]),
  b_dec: Float64Array.of(0, 0),
};
const x = fromRows([
  [1, 9],
  [-2, 9],
]);

describe('inference', () => {
  test('keeps acts strictly above the threshold, and decodes them', () => {
    const { latents, reconstruction } = infer(x, params, 1, dictionaryLearning);
    expect([...latents.data]).toEqual([0, 2, 0, 0, 0, 2]);
    expect([...reconstruction.data]).toEqual([0, 2, 2, 0]);
    expect([...infer(x, params, 2, dictionaryLearning).latents.data]).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test('with a threshold that was never set is a plain ReLU', () => {
    expect([...infer(x, params, -1, dictionaryLearning).latents.data]).toEqual([1, 2, 0, 0, 0, 2]);
  });

  test('adds b_dec, and subtracts it from x where the dialect does', () => {
    const shifted = { ...params, b_dec: Float64Array.of(1, 10) };
    const { latents, reconstruction } = infer(x, shifted, 0, dictionaryLearning);
    expect([...latents.data]).toEqual([0, 0, 0, 0, 0, 3]);
    expect([...reconstruction.data]).toEqual([1, 10, 4, 10]);
    const jump = { ...shifted, threshold: new Float64Array(3) };
    expect([...infer(x, jump, 0, dictionaryLearningJumpRelu).latents.data]).toEqual([
      1, 2, 0, 0, 0, 2,
    ]);
  });

  test('of rescaled acts cuts acts times decoder norm, and reconstructs the same', () => {
    const { latents, reconstruction } = infer(x, params, 2, saelens);
    expect([...latents.data]).toEqual([5, 0, 0, 0, 0, 0]);
    expect(reconstruction.data[0]).toBeCloseTo(3, 14);
    expect(reconstruction.data[1]).toBeCloseTo(4, 14);
  });

  test('without a gate is a ReLU, whatever the threshold', () => {
    expect([...infer(x, params, 100, dictionaryLearningRelu).latents.data]).toEqual([
      1, 2, 0, 0, 0, 2,
    ]);
  });

  test('treats each row by itself', () => {
    const alone = infer(fromRows([[-2, 9]]), params, 1, dictionaryLearning);
    expect([...alone.latents.data]).toEqual([0, 0, 2]);
    expect([...alone.reconstruction.data]).toEqual([2, 0]);
  });
});

describe('JumpReLU at inference', () => {
  const jump: SaeParams = { ...params, threshold: Float64Array.of(1, 1, -3) };

  test('cuts each latent at its own threshold, and keeps no negative one', () => {
    const { latents } = infer(x, jump, 100, dictionaryLearningJumpRelu);
    // The third pre-activation, -1, is above its threshold -3.
    expect([...latents.data]).toEqual([0, 2, 0, 0, 0, 2]);
  });

  test('takes a threshold below 0 for 0 where the dialect keeps them so', () => {
    const { latents } = infer(x, jump, 100, saelensJumpRelu);
    expect([...latents.data]).toEqual([0, 2, 0, 0, 0, 2]);
  });

  test('of rescaled acts rescales thresholds as well', () => {
    const dialect = withDecision(saelensJumpRelu, 'inference.values', 'acts-times-decoder-norm');
    const cut = { ...params, threshold: Float64Array.of(0.5, 2, 0) };
    expect([...infer(x, cut, 0, dialect).latents.data]).toEqual([5, 0, 0, 0, 0, 2]);
  });

  test('refuses parameters without thresholds', () => {
    expect(() => infer(x, params, 0, saelensJumpRelu)).toThrow(
      new RangeError('params: expected a threshold for each latent, got none'),
    );
  });
});

describe('input that is normalised', () => {
  /** x̂ = x in two dimensions: each direction and its opposite. */
  const identity: SaeParams = {
    W_enc: fromRows([
      [1, 0, -1, 0],
      [0, 1, 0, -1],
    ]),
    b_enc: new Float64Array(4),
    W_dec: fromRows([
      [1, 0],
      [0, 1],
      [-1, 0],
      [0, -1],
    ]),
    b_dec: new Float64Array(2),
  };

  test('row by row is restored without the epsilon that it was divided with', () => {
    const dialect = withDecision(bussmann, 'input.epsilon', 0.5);
    const { latents, reconstruction } = infer(fromRows([[1, 3]]), identity, 0, dialect);
    // Mean 2, deviation √2.
    const value = 1 / (Math.SQRT2 + 0.5);
    [0, value, value, 0].forEach((l, j) => expect(latents.data[j]).toBeCloseTo(l, 14));
    expect(reconstruction.data[0]).toBeCloseTo(2 - Math.SQRT2 * value, 14);
    expect(reconstruction.data[1]).toBeCloseTo(2 + Math.SQRT2 * value, 14);
  });

  test('by a running mean norm is taken back with reconstructions and latents', () => {
    const model: SaeParams = {
      W_enc: fromRows([[1, -1, 2, 0]]),
      b_enc: new Float64Array(4),
      W_dec: fromRows([[1], [1], [-0.5], [1]]),
      b_dec: Float64Array.of(1),
    };
    // 6 · √1 / 3 = 2; acts 2, 0, 4, 0 times norms 1, 1, 0.5, 1; x̂ = 2 - 2 + 1.
    const { latents, reconstruction } = infer(fromRows([[6]]), model, 0, nabeshima, 3);
    // Back by 3 / √d_sae.
    expect([...latents.data]).toEqual([3, 0, 3, 0]);
    expect([...reconstruction.data]).toEqual([3]);
  });

  test('needs the mean norm that training ended with', () => {
    expect(() => infer(x, params, 0, nabeshima)).toThrow(
      'input: expected a running mean norm above 0 to divide by, got 0',
    );
  });
});

test('without a gate a decoder row of norm 0 gives a latent of 0 where latents are rescaled', () => {
  const dialect = withDecision(
    dictionaryLearningRelu,
    'inference.values',
    'acts-times-decoder-norm',
  );
  const zeroRow = {
    ...params,
    W_dec: fromRows([
      [3, 4],
      [0, 0],
      [1, 0],
    ]),
  };
  const { latents, reconstruction } = infer(x, zeroRow, 0, dialect);
  expect([...latents.data]).toEqual([5, 0, 0, 0, 0, 2]);
  // Decoded by rows as they are, not by unit ones.
  expect([...reconstruction.data]).toEqual([3, 4, 2, 0]);
});

test('inference refuses rows of another width', () => {
  expect(() => infer(matrix(1, 3), params, 0, dictionaryLearning)).toThrow(
    new RangeError('x: expected d_in = 2 columns, got 3'),
  );
});

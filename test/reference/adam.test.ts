import { describe, expect, test } from 'vitest';
import {
  adamUpdate,
  clipGradients,
  gradientNorm,
  learningRate,
  power,
  type AdamResult,
  type Schedule,
} from '../../reference/adam.ts';
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { fromRows } from '../../reference/matrix.ts';
import { paramNames, zeroParams, type SaeParams } from '../../reference/params.ts';

/** d_in 1, d_sae 1: four numbers. */
const four = (W_enc: number, b_enc: number, W_dec: number, b_dec: number): SaeParams => ({
  W_enc: fromRows([[W_enc]]),
  b_enc: Float64Array.of(b_enc),
  W_dec: fromRows([[W_dec]]),
  b_dec: Float64Array.of(b_dec),
});
const numbers = (params: SaeParams): number[] =>
  paramNames.flatMap((name) => {
    const values = params[name];
    return [...(values instanceof Float64Array ? values : values.data)];
  });

describe('clipping', () => {
  test('takes the norm of all four gradients together', () => {
    expect(gradientNorm(four(1, -2, 2, 4))).toBe(5);
    expect(gradientNorm(zeroParams(3, 4))).toBe(0);
  });

  test('multiplies every gradient by max_norm / (norm + 1e-6)', () => {
    const factor = 1 / (5 + 1e-6);
    expect(numbers(clipGradients(four(1, -2, 2, 4), 1))).toEqual(
      [1, -2, 2, 4].map((g) => factor * g),
    );
  });

  test('shrinks a norm of exactly max_norm a little, and leaves a smaller one', () => {
    expect(numbers(clipGradients(four(0, 0, 3, 4), 5))[2]).toBe((5 / (5 + 1e-6)) * 3);
    expect(numbers(clipGradients(four(0, 0, 3, 4), 5.000001))).toEqual([0, 0, 3, 4]);
    expect(numbers(clipGradients(four(0, 0, 3, 4), 1e5))).toEqual([0, 0, 3, 4]);
    expect(numbers(clipGradients(zeroParams(1, 1), 1))).toEqual([0, 0, 0, 0]);
  });
});

describe('the learning rate', () => {
  const schedule: Schedule = {
    learningRate: 2,
    steps: 7,
    warmupSteps: 2,
    decayStart: 4,
    cosineTo: null,
  };
  const rates = (given: Schedule, dialect = dictionaryLearning): number[] =>
    Array.from({ length: given.steps }, (_, t) => learningRate(t, given, dialect));

  test('warms up from 0, stays, and decays linearly to 0 at the end of the run', () => {
    expect(rates(schedule)).toEqual([0, 1, 2, 2, 2, 2 * (2 / 3), 2 * (1 / 3)]);
    expect(learningRate(7, schedule, dictionaryLearning)).toBe(0);
  });

  test('warms up from 1 / w in dialects that count updates from one', () => {
    const dialect: Dialect = {
      ...dictionaryLearning,
      learningRate: { ...dictionaryLearning.learningRate, warmup: 't-plus-one-over-w' },
    };
    expect(rates({ ...schedule, warmupSteps: 4 }, dialect)).toEqual([
      0.5,
      1,
      1.5,
      2,
      2,
      2 * (2 / 3),
      2 * (1 / 3),
    ]);
  });

  test('is constant without warm-up and decay', () => {
    expect(rates({ ...schedule, warmupSteps: 0, decayStart: null, steps: 3 })).toEqual([2, 2, 2]);
  });
});

describe('Adam', () => {
  const zero = zeroParams(1, 1);
  const step = (
    params: SaeParams,
    gradients: SaeParams,
    state: Pick<AdamResult, 'm' | 'v'> = { m: zero, v: zero },
    done = 0,
    rate = 0.1,
  ): AdamResult => adamUpdate(params, gradients, state.m, state.v, done, rate, dictionaryLearning);

  test('first moves every value by the rate against its gradient, whatever its size', () => {
    const { params, m, v } = step(four(1, 1, 1, 1), four(2, -2, 1e-4, 1e4));
    const expected = [0.9, 1.1, 0.9, 0.9];
    numbers(params).forEach((w, i) => expect(w).toBeCloseTo(expected[i], 4));
    expect(numbers(m)[0]).toBeCloseTo(0.2, 15);
    expect(numbers(v)[0]).toBeCloseTo(0.004, 15);
  });

  test('adds epsilon to the corrected root', () => {
    // g / (|g| + 1e-8) for g = 1e-8 is 1/2.
    expect(numbers(step(zero, four(1e-8, 0, 0, 0)).params)[0]).toBeCloseTo(-0.05, 12);
  });

  test('is worked out by hand for the second update', () => {
    const first = step(zero, four(1, 0, 0, 0));
    const { params, m, v } = step(first.params, four(3, 0, 0, 0), first, 1);
    // m = 0.9 · 0.1 + 0.1 · 3 = 0.39 over 0.19;  v = 0.999 · 0.001 + 0.001 · 9 = 0.009999 over 0.001999.
    expect(numbers(m)[0]).toBeCloseTo(0.39, 12);
    expect(numbers(v)[0]).toBeCloseTo(0.009999, 12);
    const moved = (0.1 * (0.39 / 0.19)) / Math.sqrt(0.009999 / 0.001999);
    expect(numbers(params)[0]).toBeCloseTo(-0.1 - moved, 8);
  });

  test('leaves a value without gradient alone at first, and moves it on later', () => {
    const first = step(four(5, 5, 5, 5), four(1, 0, 0, 0));
    expect(numbers(first.params).slice(1)).toEqual([5, 5, 5]);
    const second = step(first.params, zero, first, 1);
    expect(numbers(second.params)[0]).toBeLessThan(numbers(first.params)[0]);
    expect(numbers(second.params).slice(1)).toEqual([5, 5, 5]);
  });

  test('with rate 0 moves moments and no parameter', () => {
    const { params, m, v } = step(four(1, 2, 3, 4), four(1, 1, 1, 1), undefined, 0, 0);
    expect(numbers(params)).toEqual([1, 2, 3, 4]);
    expect(Math.min(...numbers(m), ...numbers(v))).toBeGreaterThan(0);
  });

  test('does not decay weights, and leaves its inputs as they were', () => {
    const params = four(100, 100, 100, 100);
    const gradients = four(1, 1, 1, 1);
    step(params, gradients);
    expect(numbers(params)).toEqual([100, 100, 100, 100]);
    expect(numbers(zero)).toEqual([0, 0, 0, 0]);
    expect(numbers(step(params, zero).params)).toEqual([100, 100, 100, 100]);
  });
});

test('a whole power is the repeated product, to rounding, and exact where that is', () => {
  expect(power(0.9, 0)).toBe(1);
  expect(power(0.5, 30)).toBe(2 ** -30);
  expect(power(3, 20)).toBe(3486784401);
  for (const exponent of [1, 2, 7, 1000]) {
    let product = 1;
    for (let t = 0; t < exponent; t++) product *= 0.999;
    expect(Math.abs(power(0.999, exponent) - product)).toBeLessThan(exponent * 2 ** -52);
  }
});

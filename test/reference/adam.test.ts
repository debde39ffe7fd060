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
import { dictionaryLearning, nabeshima, saelens, type Dialect } from '../../reference/dialects.ts';
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

describe('the learning rate of other schedules', () => {
  const cosine: Schedule = {
    learningRate: 5,
    steps: 10,
    warmupSteps: 2,
    decayStart: null,
    cosineTo: 1,
  };
  const at = (step: number, schedule: Schedule, dialect = saelens): number =>
    learningRate(step, schedule, dialect);

  test('falls by half a cosine from the end of the warm-up to the end of the run', () => {
    expect(at(1, cosine)).toBe(5);
    expect(at(2, cosine)).toBe(5);
    // A quarter, half and three quarters of the way.
    expect(at(4, cosine)).toBeCloseTo(3 + 2 * Math.SQRT1_2, 14);
    expect(at(6, cosine)).toBeCloseTo(3, 14);
    expect(at(8, cosine)).toBeCloseTo(3 - 2 * Math.SQRT1_2, 14);
    expect(at(10, cosine)).toBeCloseTo(1, 14);
  });

  test('ends its cosine where the decay starts, which goes on from what it fell to', () => {
    const both = { ...cosine, decayStart: 6 };
    expect(at(4, both)).toBeCloseTo(3, 14);
    expect(at(6, both)).toBe(1);
    expect(at(8, both)).toBe(0.5);
    expect(at(9, both)).toBe(0.25);
    expect(at(10, both)).toBe(0);
  });

  test('of a cosine to 0 then is 0', () => {
    expect(at(7, { ...cosine, cosineTo: 0, decayStart: 6 })).toBe(0);
  });

  test('cools down to about a tenth, and does not stop at the end of the run', () => {
    const cooling = { ...cosine, cosineTo: null, warmupSteps: 2, decayStart: 8 };
    const rate = (step: number): number => at(step, cooling, nabeshima);
    expect([0, 1, 2, 7].map(rate)).toEqual([0, 2.5, 5, 5]);
    expect(rate(8)).toBe(5);
    expect(rate(9)).toBeCloseTo(5 * (1 - 0.9 / 2.01), 14);
    expect(rate(10)).toBeCloseTo(5 * (1 - 1.8 / 2.01), 14);
    // Past the end it falls on below 0, as far as twice the decay's start.
    expect(rate(16)).toBeCloseTo(5 * (1 - 7.2 / 2.01), 13);
    expect(rate(17)).toBe(rate(16));
  });

  test('leaves no cosine where the cool-down starts at the end of the warm-up', () => {
    const none = { ...cosine, decayStart: 2 };
    expect(at(1, none, nabeshima)).toBe(2.5);
    expect(at(2, none, nabeshima)).toBe(1);
    expect(at(3, none, nabeshima)).toBeCloseTo(1 - 0.9 / 8.01, 14);
  });

  test('may cool down from a step that is not whole', () => {
    const fraction = { ...cosine, cosineTo: null, steps: 9, decayStart: 7.2 };
    expect(at(7, fraction, nabeshima)).toBe(5);
    expect(at(8, fraction, nabeshima)).toBeCloseTo(5 * (1 - (0.9 * 0.8) / 1.81), 14);
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

  test('trains thresholds like other parameters, and counts them in the norm that is clipped', () => {
    const with_ = (params: SaeParams, threshold: number): SaeParams => ({
      ...params,
      threshold: Float64Array.of(threshold),
    });
    const start = with_(zero, 0);
    const { params, m, v } = step(with_(four(1, 1, 1, 1), 1), with_(four(2, -2, 1, 1), -3), {
      m: start,
      v: start,
    });
    expect(params.threshold![0]).toBeCloseTo(1.1, 8);
    expect(m.threshold![0]).toBeCloseTo(-0.3, 15);
    expect(v.threshold![0]).toBeCloseTo(0.009, 15);
    expect(gradientNorm(with_(four(1, -2, 2, 0), 4))).toBe(5);
    expect(clipGradients(with_(zero, 4), 2).threshold![0]).toBe((2 / (4 + 1e-6)) * 4);
    expect(step(zero, zero).params.threshold).toBeUndefined();
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

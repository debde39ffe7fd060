import { describe, expect, test } from 'vitest';
import { dictionaryLearning, nabeshima, type Dialect } from '../../reference/dialects.ts';
import { fromRows, matrix } from '../../reference/matrix.ts';
import {
  controlSparsity,
  penaltyCoefficient,
  prefixShares,
  sparsityPenalty,
  type Penalty,
} from '../../reference/penalty.ts';

const dialectWith = (choices: Partial<Dialect['penalty']>): Dialect => ({
  ...dictionaryLearning,
  penalty: { ...dictionaryLearning.penalty, ...choices },
});

const latents = fromRows([
  [2, 0, 1],
  [4, 3, 0],
]);
/** Norms 5, 0 and 2. */
const W_dec = fromRows([
  [3, 4],
  [0, 0],
  [0, 2],
]);
const prefixes = [1, 3];
const of = (choices: Partial<Dialect['penalty']>, l0 = 0, target = 1): Penalty =>
  sparsityPenalty(latents, W_dec, prefixes, l0, target, dialectWith(choices));

describe('the share of prefixes', () => {
  test('is 1 for the first group and 1/G for the last', () => {
    expect([...prefixShares([1, 3])]).toEqual([1, 0.5, 0.5]);
    expect([...prefixShares([2, 3, 5, 6])]).toEqual([1, 1, 0.75, 0.5, 0.5, 0.25]);
    expect([...prefixShares([2])]).toEqual([1, 1]);
  });
});

describe('the penalty', () => {
  test('none is 0, and nothing receives gradient', () => {
    expect(of({ kind: 'none' }, 7)).toEqual({
      loss: 0,
      latents: matrix(2, 3),
      W_dec: matrix(3, 2),
      count: 0,
    });
  });

  test('l1 is the mean sum of latents; a latent of 0 receives nothing', () => {
    const { loss, latents: gradient, W_dec: decoder, count } = of({ kind: 'l1' });
    expect(loss).toBe(5);
    expect([...gradient.data]).toEqual([0.5, 0, 0.5, 0.5, 0.5, 0]);
    expect(decoder).toEqual(matrix(3, 2));
    expect(count).toBe(0);
  });

  test('l1 of latents times norm trains W_dec along its rows, a row of norm 0 not at all', () => {
    const {
      loss,
      latents: gradient,
      W_dec: decoder,
    } = of({ kind: 'l1', on: 'latents-times-decoder-norm' });
    // [10, 0, 2] and [20, 0, 0].
    expect(loss).toBe(16);
    expect([...gradient.data]).toEqual([2.5, 0, 1, 2.5, 0, 0]);
    // Mean latents 3, 1.5 and 0.5 along [0.6, 0.8], nothing and [0, 1].
    const expected = [1.8, 2.4, 0, 0, 0, 0.5];
    decoder.data.forEach((value, i) => expect(value).toBeCloseTo(expected[i], 14));
  });

  test('over prefixes weighs each latent by its share of them', () => {
    const whole = of({ kind: 'l1', overPrefixes: true });
    expect(whole.loss).toBe((2 + 4 + (1 + 3) / 2) / 2);
    expect([...whole.latents.data]).toEqual([0.5, 0, 0.25, 0.5, 0.25, 0]);
    const rescaled = of({ kind: 'l1', overPrefixes: true, on: 'latents-times-decoder-norm' });
    expect(rescaled.loss).toBe((10 + 20 + 2 / 2) / 2);
    expect(rescaled.W_dec.data[5]).toBe(0.25);
  });

  test('log is the mean sum of ln(v + 0.1) - ln 0.1', () => {
    const ln = (v: number): number => Math.log(v + 0.1) - Math.log(0.1);
    const plain = of({ kind: 'log' });
    expect(plain.loss).toBeCloseTo((ln(2) + ln(1) + ln(4) + ln(3)) / 2, 13);
    const slopes = [1 / 2.1, 0, 1 / 1.1, 1 / 4.1, 1 / 3.1, 0];
    plain.latents.data.forEach((value, i) => expect(value).toBeCloseTo(slopes[i] / 2, 14));
    expect(plain.W_dec).toEqual(matrix(3, 2));

    const rescaled = of({ kind: 'log', on: 'latents-times-decoder-norm' });
    expect(rescaled.loss).toBeCloseTo((ln(10) + ln(2) + ln(20)) / 2, 13);
    expect(rescaled.latents.data[0]).toBeCloseTo(5 / 10.1 / 2, 14);
    expect(rescaled.latents.data[4]).toBe(0);
    // Mean of latent / (v + 0.1).
    const along = (2 / 10.1 + 4 / 20.1) / 2;
    expect(rescaled.W_dec.data[0]).toBeCloseTo(along * 0.6, 14);
    expect(rescaled.W_dec.data[1]).toBeCloseTo(along * 0.8, 14);
  });

  test('l0 is the count, and 1 / rows its gradient at each count', () => {
    expect(of({ kind: 'l0' }, 2.5)).toEqual({
      loss: 2.5,
      latents: matrix(2, 3),
      W_dec: matrix(3, 2),
      count: 0.5,
    });
  });

  test('l0 to target is (count / target - 1)², which pulls from both sides and rests on it', () => {
    expect(of({ kind: 'l0-to-target' }, 3, 2)).toMatchObject({ loss: 0.25, count: 0.25 });
    expect(of({ kind: 'l0-to-target' }, 1, 2)).toMatchObject({ loss: 0.25, count: -0.25 });
    expect(of({ kind: 'l0-to-target' }, 2, 2)).toMatchObject({ loss: 0, count: 0 });
    expect(of({ kind: 'l0-to-target' }, 3, 2).latents).toEqual(matrix(2, 3));
  });
});

describe('its coefficient', () => {
  const at = (step: number, warmup: number, coefficient: 'constant' | 'warmed-up'): number =>
    penaltyCoefficient(step, 8, warmup, dialectWith({ coefficient }));

  test('is constant, or grows from 0 over the warm-up and stays', () => {
    expect([0, 1, 4, 9].map((step) => at(step, 4, 'constant'))).toEqual([8, 8, 8, 8]);
    expect([0, 1, 3, 4, 9].map((step) => at(step, 4, 'warmed-up'))).toEqual([0, 2, 6, 8, 8]);
  });

  test('is whole at once where the warm-up has no steps', () => {
    expect(at(0, 0, 'warmed-up')).toBe(8);
    expect(at(5, 0, 'warmed-up')).toBe(8);
  });
});

describe('the controller', () => {
  const dialect: Dialect = {
    ...nabeshima,
    penalty: { ...nabeshima.penalty, controllerStep: 0.25 },
  };
  const at = (step: number, l0: number): ReturnType<typeof controlSparsity> =>
    controlSparsity(16, step, l0, 3, 2, dialect);

  test('keeps its scale until more than the warm-up is done, and starts from 1 / W of it', () => {
    expect(at(0, 9)).toEqual({ scale: 16, coefficient: 8 });
    expect(at(1, 9)).toEqual({ scale: 16, coefficient: 16 });
    expect(at(2, 9)).toEqual({ scale: 16, coefficient: 16 });
  });

  test('then shrinks it below the target and grows it above, equality counting as above', () => {
    expect(at(3, 2.5)).toEqual({ scale: 12, coefficient: 12 });
    expect(at(3, 3)).toEqual({ scale: 20, coefficient: 20 });
    expect(at(40, 3.5)).toEqual({ scale: 20, coefficient: 20 });
  });

  test.each([0, -1, NaN])('refuses a warm-up of %s steps, which it would divide by', (warmup) => {
    expect(() => controlSparsity(1, 0, 1, 1, warmup, dialect)).toThrow(
      new RangeError(`sparsityWarmupSteps: expected at least 1 to divide by, got ${warmup}`),
    );
  });
});

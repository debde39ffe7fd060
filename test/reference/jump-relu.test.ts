import { describe, expect, test } from 'vitest';
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import {
  jumpRelu,
  jumpReluGradient,
  keptThresholds,
  stepGradient,
} from '../../reference/jump-relu.ts';
import { fromRows } from '../../reference/matrix.ts';

const dialectWith = (choices: Partial<Dialect['jumpRelu']>): Dialect => ({
  ...dictionaryLearning,
  jumpRelu: { ...dictionaryLearning.jumpRelu, bandwidth: 1, ...choices },
});

test('JumpReLU keeps what is strictly above its own threshold, and nothing else', () => {
  const pre = fromRows([
    [1, 2, -0.5, -2],
    [1.5, 1, 3, -1],
  ]);
  const thresholds = Float64Array.of(1, 1, 3, -1.5);
  expect([...jumpRelu(pre, thresholds).data]).toEqual([0, 2, 0, 0, 1.5, 0, 0, -1]);
});

test('thresholds are as trained, or none below 0', () => {
  const trained = Float64Array.of(-1, 0, 2);
  expect(keptThresholds(trained, dialectWith({ keepsThresholds: 'as-trained' }))).toBe(trained);
  expect([...keptThresholds(trained, dialectWith({ keepsThresholds: 'at-least-zero' }))]).toEqual([
    0, 0, 2,
  ]);
  expect([...trained]).toEqual([-1, 0, 2]);
});

describe('straight through', () => {
  /** Half a bandwidth below θ = 2, a quarter below, at it, a quarter above, half above: each by its own power of ten. */
  const pre = fromRows([[1.5], [1.75], [2], [2.25], [2.5]]);
  const upstream = fromRows([[1], [10], [100], [1000], [10_000]]);
  const theta = Float64Array.of(2);

  test('JumpReLU passes gradient to values above θ, and to θ from a window open at both ends', () => {
    const { input, threshold } = jumpReluGradient(pre, theta, upstream, dialectWith({}));
    expect([...input.data]).toEqual([0, 0, 0, 1000, 10_000]);
    expect([...threshold]).toEqual([-2 * 1110]);
  });

  test('the step passes nothing to its values, and to θ without the factor θ', () => {
    const { input, threshold } = stepGradient(pre, theta, upstream, dialectWith({}));
    expect([...input.data]).toEqual([0, 0, 0, 0, 0]);
    expect([...threshold]).toEqual([-1110]);
  });

  test('the window is as wide as the bandwidth, and the gradient as much larger as it is narrower', () => {
    const narrow = dialectWith({ bandwidth: 0.5 });
    expect([...jumpReluGradient(pre, theta, upstream, narrow).threshold]).toEqual([-4 * 100]);
    expect([...stepGradient(pre, theta, upstream, narrow).threshold]).toEqual([-2 * 100]);
  });

  test('gate and window also passes the negated gradient of θ to each value inside the window', () => {
    const dialect = dialectWith({ inputGradient: 'gate-and-window' });
    const jump = jumpReluGradient(pre, theta, upstream, dialect);
    expect([...jump.input.data]).toEqual([0, 20, 200, 1000 + 2000, 10_000]);
    expect([...jump.threshold]).toEqual([-2220]);
    const step = stepGradient(pre, theta, upstream, dialect);
    expect([...step.input.data]).toEqual([0, 10, 100, 1000, 0]);
    expect([...step.threshold]).toEqual([-1110]);
  });

  test('of a negative threshold has the opposite sign, and none of a threshold of 0', () => {
    const thresholds = Float64Array.of(-1, 0);
    const near = fromRows([[-1.25, 0.25]]);
    const given = jumpReluGradient(near, thresholds, fromRows([[3, 5]]), dialectWith({}));
    expect([...given.input.data]).toEqual([0, 5]);
    expect(given.threshold[0]).toBe(3);
    expect(given.threshold[1]).toBeCloseTo(0, 15);
  });

  test('each threshold hears of its own latent in every row', () => {
    const thresholds = Float64Array.of(1, 2);
    const both = fromRows([
      [1, 2],
      [1.25, 9],
    ]);
    const dy = fromRows([
      [1, 10],
      [100, 1000],
    ]);
    expect([...jumpReluGradient(both, thresholds, dy, dialectWith({})).threshold]).toEqual([
      -101, -20,
    ]);
  });
});

test.each([1, 3])('%s thresholds for two latents are refused', (count) => {
  const pre = fromRows([[1, 2]]);
  const thresholds = new Float64Array(count);
  const refusal = new RangeError(`threshold: expected one for each of 2 latents, got ${count}`);
  expect(() => jumpRelu(pre, thresholds)).toThrow(refusal);
  expect(() => jumpReluGradient(pre, thresholds, pre, dictionaryLearning)).toThrow(refusal);
  expect(() => stepGradient(pre, thresholds, pre, dictionaryLearning)).toThrow(refusal);
});

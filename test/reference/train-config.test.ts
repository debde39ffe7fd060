import { describe, expect, test } from 'vitest';
import {
  dialectNamed,
  dialects,
  dictionaryLearning,
  nabeshima,
  saelensJumpRelu,
  withDecision,
  type Dialect,
} from '../../reference/dialects.ts';
import { trainConfig, type TrainOptions } from '../../reference/train-config.ts';

const base: TrainOptions = { d_in: 8, d_sae: 16_384, k: 4, steps: 5000 };

describe('defaults', () => {
  test('are those of dictionary_learning', () => {
    expect(trainConfig(base)).toEqual({
      ...base,
      dialect: dictionaryLearning,
      selection: 'batch',
      prefixes: [16_384],
      levelWeights: [1],
      learningRate: 2e-4,
      warmupSteps: 1000,
      decayStart: null,
      cosineTo: null,
      auxkAlpha: 1 / 32,
      deadAfter: 10_000_000,
      thresholdStartStep: 1000,
      inputScale: 1,
      sparsityCoefficient: 0,
      sparsityWarmupSteps: 0,
      targetL0: 20,
    });
  });

  test('weigh G levels 1 / G, and scale the rate with the root of the width', () => {
    const config = trainConfig({ ...base, d_sae: 65_536, prefixes: [2048, 65_536] });
    expect(config.levelWeights).toEqual([0.5, 0.5]);
    expect(config.learningRate).toBe(1e-4);
  });

  test('come from the dialect', () => {
    const dialect: Dialect = {
      ...dictionaryLearning,
      loss: { ...dictionaryLearning.loss, defaultWeight: 'one' },
      learningRate: { ...dictionaryLearning.learningRate, base: 3e-4, scalesWithWidth: false },
      defaults: {
        ...dictionaryLearning.defaults,
        auxkAlpha: 1,
        deadAfter: 20,
        thresholdStartStep: -1,
        warmupSteps: 0,
      },
    };
    const config = trainConfig({ ...base, d_sae: 4, dialect, prefixes: [1, 4] });
    expect(config).toMatchObject({
      levelWeights: [1, 1],
      learningRate: 3e-4,
      auxkAlpha: 1,
      deadAfter: 20,
      thresholdStartStep: -1,
      warmupSteps: 0,
    });
  });

  test('include selection, penalty and target of the dialect', () => {
    const config = trainConfig({ ...base, dialect: saelensJumpRelu });
    expect(config).toMatchObject({
      selection: 'jump',
      sparsityCoefficient: 1,
      sparsityWarmupSteps: 0,
      targetL0: 100,
    });
  });

  test('of shares of the run: decay from a step that may not be whole, warm-up truncated', () => {
    const config = trainConfig({ ...base, steps: 509, dialect: nabeshima });
    expect(config.decayStart).toBe(0.8 * 509);
    expect(config.sparsityWarmupSteps).toBe(101);
    expect(config).toMatchObject({ selection: 'all', sparsityCoefficient: 1.2, targetL0: 1.2338 });
    const of = (sparsityWarmup: number): number =>
      trainConfig({
        ...base,
        dialect: withDecision(nabeshima, 'defaults.sparsityWarmup', sparsityWarmup),
      }).sparsityWarmupSteps;
    expect([0, 0.5, 1, 2000].map(of)).toEqual([0, 2500, 1, 2000]);
  });

  test('give way to what the run says', () => {
    const given: Partial<TrainOptions> = {
      levelWeights: [0, 3],
      prefixes: [1, 16_384],
      learningRate: 0,
      warmupSteps: 2,
      decayStart: 3,
      auxkAlpha: 0,
      deadAfter: 0,
      thresholdStartStep: -1,
      selection: 'row',
      cosineTo: 0,
      inputScale: 0.5,
      sparsityCoefficient: 0,
      sparsityWarmupSteps: 7,
      targetL0: 0.5,
    };
    expect(trainConfig({ ...base, ...given, k: 2 })).toMatchObject({ ...given, k: 2 });
    expect(trainConfig({ ...base, k: 1.12 }).k).toBe(1.12);
  });

  test('leave a schedule that only just fits as it is', () => {
    const schedule = { steps: 3, warmupSteps: 1, decayStart: 2 };
    expect(trainConfig({ ...base, ...schedule })).toMatchObject(schedule);
    const longest = { steps: 3, warmupSteps: 2, decayStart: null };
    expect(trainConfig({ ...base, ...longest })).toMatchObject(longest);
    expect(trainConfig({ d_in: 1, d_sae: 1, k: 1, steps: 1, warmupSteps: 0 })).toMatchObject({
      steps: 1,
      prefixes: [1],
    });
  });

  test('let a cool-down start in the warm-up, or after the run, as its published code does', () => {
    const run: TrainOptions = { ...base, steps: 50, dialect: nabeshima };
    expect(trainConfig(run)).toMatchObject({ warmupSteps: 100, decayStart: 40 });
    expect(trainConfig({ ...run, decayStart: 1000.5 }).decayStart).toBe(1000.5);
    expect(trainConfig({ ...run, decayStart: null }).decayStart).toBeNull();
    const constant = withDecision(nabeshima, 'defaults.decayFraction', 0);
    expect(trainConfig({ ...run, dialect: constant }).decayStart).toBeNull();
  });
});

describe('refused, by field and value, is', () => {
  test.each<[string, Partial<TrainOptions>]>([
    ['d_in: expected a whole number >= 1, got 0', { d_in: 0 }],
    ['d_sae: expected a whole number >= 1, got 2.5', { d_sae: 2.5 }],
    ['steps: expected a whole number >= 1, got 0', { steps: 0 }],
    ['k: expected 0 <= k <= d_sae = 16384, got -1', { k: -1 }],
    ['k: expected 0 <= k <= d_sae = 16384, got NaN', { k: NaN }],
    ['k: expected 0 <= k <= d_sae = 16384, got 16385', { k: 16_385 }],
    ['k: expected 0 <= k <= d_sae = 16384, got 16384.5', { k: 16_384.5 }],
    ['k: expected a whole number >= 0, got 1.5', { k: 1.5, selection: 'row' }],
    ['prefixes: expected at least one, got none', { prefixes: [] }],
    ['expected the last to be d_sae = 16384, got 5', { prefixes: [2, 5] }],
    [
      'levelWeights: expected one for each of 2 prefixes, got 1',
      { prefixes: [2, 16_384], levelWeights: [1] },
    ],
    ['levelWeights: expected numbers >= 0, got -1 at level 1', { levelWeights: [-1] }],
    ['learningRate: expected a number >= 0, got -1', { learningRate: -1 }],
    ['learningRate: expected a number >= 0, got Infinity', { learningRate: Infinity }],
    ['auxkAlpha: expected a number >= 0, got NaN', { auxkAlpha: NaN }],
    ['deadAfter: expected a number >= 0, got -5', { deadAfter: -5 }],
    ['warmupSteps: expected a whole number >= 0, got -1', { warmupSteps: -1 }],
    ['thresholdStartStep: expected a whole number >= -1, got -2', { thresholdStartStep: -2 }],
    ['warmupSteps: expected fewer than the 5000 steps, got 5000', { warmupSteps: 5000 }],
    ['decayStart: expected a whole number >= 1001, got 1000', { decayStart: 1000 }],
    ['decayStart: expected a step before the last, 5000, got 5000', { decayStart: 5000 }],
    ['decayStart: expected a whole number >= 1001, got 2000.5', { decayStart: 2000.5 }],
    ['decayStart: expected a number >= 0, got -1', { decayStart: -1, dialect: nabeshima }],
    ['decayStart: expected a number >= 0, got NaN', { decayStart: NaN, dialect: nabeshima }],
    ['cosineTo: expected a number >= 0, got -1', { cosineTo: -1 }],
    ['cosineTo: expected a number >= 0, got NaN', { cosineTo: NaN, dialect: nabeshima }],
    [
      'warmupSteps: expected a whole number >= 0, got 0.5',
      { warmupSteps: 0.5, dialect: nabeshima },
    ],
    ['inputScale: expected a number > 0, got 0', { inputScale: 0 }],
    ['inputScale: expected a number > 0, got Infinity', { inputScale: Infinity }],
    ['inputScale: expected a number > 0, got -2', { inputScale: -2 }],
    ['sparsityCoefficient: expected a number >= 0, got -1', { sparsityCoefficient: -1 }],
    ['sparsityCoefficient: expected a number >= 0, got NaN', { sparsityCoefficient: NaN }],
    ['sparsityWarmupSteps: expected a whole number >= 0, got -1', { sparsityWarmupSteps: -1 }],
    ['sparsityWarmupSteps: expected a whole number >= 0, got 0.5', { sparsityWarmupSteps: 0.5 }],
    ['targetL0: expected a number > 0, got 0', { targetL0: 0 }],
    ['targetL0: expected a number > 0, got NaN', { targetL0: NaN }],
  ])('%s', (message, wrong) => {
    const run = (): unknown => trainConfig({ ...base, ...wrong });
    expect(run).toThrow(RangeError);
    expect(run).toThrow(message);
  });
});

test('a dialect is found by its name, and by no other', () => {
  expect(dialectNamed('dictionary_learning')).toBe(dictionaryLearning);
  for (const name of ['', 'toString', 'Dictionary_Learning']) {
    expect(() => dialectNamed(name)).toThrow(
      `dialect: expected one of ${Object.keys(dialects).join(', ')}, got "${name}"`,
    );
  }
});

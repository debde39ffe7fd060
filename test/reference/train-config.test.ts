import { describe, expect, test } from 'vitest';
import {
  dialectNamed,
  dialects,
  dictionaryLearning,
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

  test('give way to what the run says', () => {
    const given: Partial<TrainOptions> = {
      k: 1.12,
      levelWeights: [0, 3],
      prefixes: [1, 16_384],
      learningRate: 0,
      warmupSteps: 2,
      decayStart: 3,
      auxkAlpha: 0,
      deadAfter: 0,
      thresholdStartStep: -1,
    };
    expect(trainConfig({ ...base, ...given })).toMatchObject(given);
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

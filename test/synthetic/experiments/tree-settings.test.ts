import { describe, expect, test } from 'vitest';
import { UsageError } from '../../../training/usage-error.ts';
import {
  treeArchitectures,
  treeSettings,
  treeTrainConfig,
  type TreeOptions,
} from '../../../synthetic/experiments/tree-settings.ts';

describe('treeSettings', () => {
  test('defaults to five seeds of 4,000 steps of 512 at k = 1.12, and at least 20,000 evaluation rows', () => {
    expect(treeSettings()).toMatchObject({
      seeds: [0, 1, 2, 3, 4],
      worldSeeds: [0],
      dialect: 'dictionary_learning',
      k: 1.12,
      steps: 4000,
      batch: 512,
      learningRate: 5e-3,
      warmupSteps: 1000,
      deadAfter: 40_960,
      prefixes: [3, 5, 8, 12, 16, 20],
      evaluationSamples: 20_480,
    });
  });

  test('counts seeds and worlds from the given seed', () => {
    const { seeds, worldSeeds } = treeSettings({ seed: 7, seeds: 2, worlds: 3 });
    expect(seeds).toEqual([7, 8]);
    expect(worldSeeds).toEqual([7, 8, 9]);
  });

  test('the two architectures differ in their prefixes and nothing else', () => {
    const settings = treeSettings();
    const [plain, nested] = treeArchitectures(settings).map((architecture) =>
      treeTrainConfig(settings, architecture),
    );
    expect(plain.prefixes).toEqual([20]);
    expect(nested.prefixes).toEqual([3, 5, 8, 12, 16, 20]);
    const rest = { prefixes: null, levelWeights: null };
    expect({ ...plain, ...rest }).toEqual({ ...nested, ...rest });
  });

  test('a short run warms up for a quarter of its steps', () => {
    expect(treeSettings({ steps: 40 })).toMatchObject({ warmupSteps: 10, thresholdStartStep: 10 });
  });

  test.each<[TreeOptions, string]>([
    [{ seeds: 0 }, 'seeds: expected a whole number >= 1, got 0'],
    [{ seeds: 1.5 }, 'seeds: expected a whole number >= 1, got 1.5'],
    [{ seed: -1 }, 'seed: expected a whole number >= 0, got -1'],
    [{ seed: 2 ** 53 - 1 }, 'seed + seeds + worlds: expected a whole number'],
    [{ worlds: 0 }, 'worlds: expected a whole number >= 1, got 0'],
    [{ steps: 0 }, 'steps: expected a whole number >= 1, got 0'],
    [{ batch: 8 }, 'batch: expected a whole number >= 16, got 8'],
    [{ k: 0 }, 'k: expected a number above 0 and at most d_sae = 20, got 0'],
    [{ k: 20.5 }, 'k: expected a number above 0 and at most d_sae = 20, got 20.5'],
    [{ k: NaN }, 'k: expected a number above 0 and at most d_sae = 20, got NaN'],
    [{ k: 0.001 }, 'k: expected at least one latent per batch of 512, got 0.001'],
    [{ prefixes: [20] }, 'prefixes: expected at least 2'],
    [{ prefixes: [5, 3, 20] }, 'prefixes: expected whole numbers, each above the one before'],
    [{ prefixes: [5, 10] }, 'prefixes: expected the last to be d_sae = 20, got 10'],
    [{ prefixes: [5, 20, 25] }, 'prefixes: expected the last to be d_sae = 20, got 25'],
  ])('refuses %o, naming field and value', (options, message) => {
    expect(() => treeSettings(options)).toThrow(UsageError);
    expect(() => treeSettings(options)).toThrow(message);
  });

  test('accepts k = d_sae and the fewest of everything', () => {
    expect(() =>
      treeSettings({ k: 20, seeds: 1, steps: 1, batch: 16, prefixes: [1, 20] }),
    ).not.toThrow();
  });
});

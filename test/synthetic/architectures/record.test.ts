import { describe, expect, test } from 'vitest';
import { architectureNamed, architectures } from '../../../synthetic/architectures/catalogue.ts';
import { controlledPenalty } from '../../../synthetic/architectures/controlled-penalty.ts';
import {
  activationOf,
  architectureRecord,
  configOf,
  scheduleOf,
} from '../../../synthetic/architectures/record.ts';
import { decided, decisionList, dialectNamed } from '../../../reference/dialects.ts';
import { UsageError } from '../../../training/usage-error.ts';
import { createWorld, worldNamed } from '../../../synthetic/worlds/presets.ts';

const sizes = {
  d_in: 20,
  d_sae: 20,
  prefixes: [5, 10, 20],
  steps: 400,
  batch: 64,
  learningRate: 1e-2,
  activation: 1,
};
const record = (slug: string, l0 = 2) => architectureRecord(architectureNamed(slug), sizes, [l0]);

describe('architectures', () => {
  test('have slugs and names of their own, and each makes a record that reads back to a run', () => {
    expect(new Set(architectures.map(({ slug }) => slug)).size).toBe(architectures.length);
    expect(new Set(architectures.map(({ name }) => name)).size).toBe(architectures.length);
    for (const { slug, selection } of architectures) {
      const own = record(slug);
      expect(JSON.parse(JSON.stringify(own))).toEqual(own);
      expect(configOf(own, 20, 2)).toMatchObject({ selection, steps: 400, d_in: 20, d_sae: 20 });
    }
  });

  test('have one prefix, the levels, or as many as are drawn', () => {
    expect(configOf(record('batchtopk'), 20, 2).prefixes).toEqual([20]);
    expect(configOf(record('matryoshka'), 20, 2).prefixes).toEqual([5, 10, 20]);
    expect(configOf(record('matryoshka-random'), 20, 2).prefixes).toHaveLength(10);
    expect(configOf(record('vanilla-nabeshima'), 20, 2).prefixes).toEqual([20]);
  });

  test('weigh inner levels by powers where they are balanced, the last by 1', () => {
    expect(configOf(record('matryoshka-balanced'), 20, 2).levelWeights).toEqual([
      0.75 ** 2,
      0.75,
      1,
    ]);
  });

  test('let k fall in a line to its target, and stay there', () => {
    const own = record('matryoshka-falling-k');
    const schedule = scheduleOf(own, configOf(own, 20, 2))!;
    expect(schedule(0, null).k).toBeCloseTo(2 * 2.4, 12);
    expect(schedule(100, null).k).toBeCloseTo((2 * (2.4 + 1)) / 2, 12);
    expect(schedule(200, null).k).toBe(2);
    expect(schedule(399, null).k).toBe(2);
    expect(scheduleOf(record('batchtopk'), configOf(record('batchtopk'), 20, 2))).toBeUndefined();
  });

  test('take options of the field from their dialect, each alone', () => {
    const differing = (slug: string): string[] => {
      const { dialect } = configOf(record(slug), 20, 2);
      const plain = configOf(record('matryoshka'), 20, 2).dialect;
      return decisionList
        .filter(({ path }) => decided(dialect, path) !== decided(plain, path))
        .map(({ path }) => `${path} ${decided(dialect, path)}`);
    };
    expect(differing('matryoshka-tilted')).toEqual(['loss.tilt 0.002']);
    expect(differing('matryoshka-ordered')).toEqual([
      'latentOrder.permute by-frequency',
      'latentOrder.decay 0.99',
    ]);
    expect(differing('matryoshka-lista')).toEqual(['encode.refinement 0.3']);
  });

  test('are refused by name: an unknown one, a k that keeps nothing, prefixes drawn in a dialect that does not', () => {
    expect(() => architectureNamed('nobody')).toThrow(UsageError);
    expect(() => record('batchtopk', 0.001)).toThrow(
      '--l0: expected at least one latent per batch',
    );
    expect(() => record('topk', 1.5)).toThrow('--l0: expected a whole number for topk');
    expect(() =>
      architectureRecord(
        architectureNamed('matryoshka-random'),
        sizes,
        [2],
        dialectNamed('saelens'),
      ),
    ).toThrow('draws its prefixes at each step');
  });
});

describe('a controlled penalty', () => {
  const run = (l0: (step: number) => number): number[] => {
    const schedule = controlledPenalty(0.1, 2, 1000);
    return Array.from({ length: 1000 }, (_, step) => {
      const { sparsityCoefficient } = schedule(step, step === 0 ? null : l0(step));
      return sparsityCoefficient!;
    });
  };

  test('rises while L0 is above its target, falls below it, and stays on it', () => {
    expect(run(() => 4).at(-1)).toBeGreaterThan(0.1);
    expect(run(() => 1).at(-1)).toBeLessThan(0.1);
    expect(run(() => 2).at(-1)).toBe(0.1);
  });

  test('stays between a thousandth and a hundred times its start', () => {
    expect(Math.max(...run(() => 20))).toBe(0.1 * 100);
    expect(Math.min(...run(() => 0.01))).toBe(0.1 * 0.001);
  });

  test('pushes while L0 comes nearer slowly, and brakes while it comes fast', () => {
    const slowly = run((step) => 4 - step * 1e-3);
    const fast = run((step) => 4 - step * 4e-2);
    expect(slowly[45]).toBeGreaterThan(slowly[40]);
    expect(fast[45]).toBeLessThan(fast[40]);
  });
});

test('the size of an activation is 1 on the tree, whose features are, and 4 to 5 where magnitudes are drawn so', () => {
  expect(activationOf(createWorld(worldNamed('tree'), 0))).toBeCloseTo(1, 1);
  const mini = activationOf(createWorld(worldNamed('mini256'), 42));
  expect(mini).toBeGreaterThan(4);
  expect(mini).toBeLessThan(6);
});

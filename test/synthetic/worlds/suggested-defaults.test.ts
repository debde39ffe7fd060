import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createWorld, worldDefaults, worldNamed } from '../../../synthetic/worlds/presets.ts';
import {
  suggestedDefaults,
  suggestedPrefixes,
} from '../../../synthetic/worlds/suggested-defaults.ts';

describe('what a world of one’s own suggests', () => {
  test.each(['tree', 'absorb4', 'mini256', 'mini1k', 'synth16k'])(
    'is near what was tuned, on %s',
    (name) => {
      const world = createWorld(worldNamed(name), 0);
      const suggested = suggestedDefaults(world);
      const tuned = worldDefaults[name];
      expect(suggested.d_sae).toBe(tuned.d_sae);
      expect(Math.abs(suggested.k / tuned.k - 1)).toBeLessThan(0.12);
      expect(suggested.prefixes[0]).toBe(name === 'absorb4' ? 1 : tuned.prefixes[0]);
      expect(suggested.learningRate / tuned.learningRate).toBeGreaterThan(0.5);
      expect(suggested.learningRate / tuned.learningRate).toBeLessThan(2);
    },
  );

  test('has levels that ascend to the width, whatever the width', () => {
    const worlds = ['tree', 'hedge1', 'correlated5-pos', 'mini256'].map((name) =>
      createWorld(worldNamed(name), 0),
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...worlds),
        fc.integer({ min: 1, max: 70_000 }),
        (world, d_sae) => {
          const prefixes = suggestedPrefixes(world, d_sae);
          expect(prefixes.at(-1)).toBe(d_sae);
          expect(prefixes.length).toBeLessThanOrEqual(6);
          for (const [g, prefix] of prefixes.entries()) {
            expect(prefix).toBeGreaterThan(prefixes[g - 1] ?? 0);
            expect(Number.isInteger(prefix)).toBe(true);
          }
        },
      ),
    );
  });

  test('takes fewer features on where fewer latents are asked for', () => {
    const world = createWorld(worldNamed('mini256'), 0);
    expect(suggestedDefaults(world, 8).k).toBeLessThan(suggestedDefaults(world, 64).k);
  });
});

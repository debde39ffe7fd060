import { expect, test } from 'vitest';
import type { ExperimentSettings } from '../../synthetic/experiments/settings.ts';
import { outlookOf } from '../../synthetic/outlook.ts';
import { worldNamed } from '../../synthetic/worlds/presets.ts';

const settings = (world: string, steps: number): ExperimentSettings =>
  ({
    world: { name: world, parameters: { ...worldNamed('synth16k'), name: world } },
    architectures: [{ steps }],
  }) as unknown as ExperimentSettings;
const times = new Map([
  ['a', { seconds: 500, secondsPerStep: 0.4 }],
  ['b', { seconds: 700, secondsPerStep: 0.5 }],
]);

test('a run of a two-hundredth says what the whole would take', () => {
  expect(outlookOf(settings('synth16k', 976), times)).toBe(
    'A run took 10 m 0 s: 976 steps of 450 ms, and 2 m 41 s for the world and the evaluation; the world’s whole 195,312 steps would take about 1 d 0 h each.',
  );
});

test('there is nothing to say of whole runs, of worlds of one’s own, before a run is done, and of steps too few to time', () => {
  expect(outlookOf(settings('synth16k', 195_312), times)).toBeNull();
  expect(outlookOf(settings('my world', 10), times)).toBeNull();
  expect(outlookOf(settings('synth16k', 976), new Map())).toBeNull();
  const short = new Map([['a', { seconds: 5, secondsPerStep: null }]]);
  expect(outlookOf(settings('synth16k', 1), short)).toBeNull();
});

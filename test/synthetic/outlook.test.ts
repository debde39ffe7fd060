import { expect, test } from 'vitest';
import type { ExperimentSettings } from '../../synthetic/experiments/settings.ts';
import { outlookOf } from '../../synthetic/outlook.ts';

const settings = (world: string, steps: number): ExperimentSettings =>
  ({ world: { name: world }, architectures: [{ steps }] }) as unknown as ExperimentSettings;
const seconds = new Map([
  ['a', 500],
  ['b', 700],
]);

test('a run of a two-hundredth says what the whole would take', () => {
  expect(outlookOf(settings('synth16k', 976), seconds)).toBe(
    'A run took 10 m 0 s for 976 steps, evaluation included; the world’s whole 195,312 steps would take about 1 d 9 h each.',
  );
});

test('there is nothing to say of whole runs, of worlds of one’s own, and before a run is done', () => {
  expect(outlookOf(settings('synth16k', 195_312), seconds)).toBeNull();
  expect(outlookOf(settings('my world', 10), seconds)).toBeNull();
  expect(outlookOf(settings('synth16k', 976), new Map())).toBeNull();
});

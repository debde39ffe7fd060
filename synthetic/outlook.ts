/**
 * What a world's whole run would take, from one that was cut short.
 * @module
 */
import { duration } from '../training/progress.ts';
import type { CellTime } from './experiments/experiment.ts';
import type { ExperimentSettings } from './experiments/settings.ts';
import { isPreset, worldDefaults } from './worlds/presets.ts';

/**
 * What does not grow with the steps (the world, the final evaluation) is counted once.
 * @param times - of each finished run.
 * @returns a sentence, or null where runs are as long as the world asks for, or too short to time their steps.
 */
export function outlookOf(
  { world, architectures }: Pick<ExperimentSettings, 'world' | 'architectures'>,
  times: ReadonlyMap<string, CellTime>,
): string | null {
  const whole = isPreset(world.parameters) ? worldDefaults[world.name].steps : undefined;
  const steps = architectures[0]?.steps;
  const perStep = [...times.values()].flatMap(({ secondsPerStep }) => secondsPerStep ?? []);
  if (whole === undefined || steps === undefined || steps >= whole || perStep.length === 0)
    return null;
  const step = mean(perStep);
  const run = mean([...times.values()].map(({ seconds }) => seconds));
  const once = Math.max(0, run - step * steps);
  const [ran, all] = [steps, whole].map((count) => count.toLocaleString('en'));
  return `A run took ${duration(run)}: ${ran} steps of ${(1000 * step).toFixed(step < 0.1 ? 1 : 0)} ms, and ${duration(once)} for the world and the evaluation; the world’s whole ${all} steps would take about ${duration(once + step * whole)} each.`;
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, each) => sum + each, 0) / values.length;

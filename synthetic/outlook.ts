/**
 * What a world's whole run would take, from one that was cut short.
 * @module
 */
import { duration } from '../training/progress.ts';
import type { ExperimentSettings } from './experiments/settings.ts';
import { worldDefaults } from './worlds/presets.ts';

/**
 * @param seconds - of each finished run, evaluation included.
 * @returns a sentence, or null where runs are as long as the world asks for.
 */
export function outlookOf(
  { world, architectures }: Pick<ExperimentSettings, 'world' | 'architectures'>,
  seconds: ReadonlyMap<string, number>,
): string | null {
  const whole = worldDefaults[world.name]?.steps;
  const steps = architectures[0]?.steps;
  if (whole === undefined || steps === undefined || steps >= whole || seconds.size === 0)
    return null;
  const mean = [...seconds.values()].reduce((sum, each) => sum + each, 0) / seconds.size;
  const [ran, all] = [steps, whole].map((count) => count.toLocaleString('en'));
  return `A run took ${duration(mean)} for ${ran} steps, evaluation included; the world’s whole ${all} steps would take about ${duration((mean * whole) / steps)} each.`;
}

/**
 * A penalty's coefficient that follows L0, for architectures without a top-k or a controller of their own.
 *
 * Integral control with the published shape: running means of L0 and of its change, and a factor that moves by
 * ± gain · tanh(10 |error| / target) a step, a hundredth of it while L0 already moves toward the target. The published
 * gain, 3e-4, is meant for 200,000 steps; here it is a number of e-folds spread over the run, and the factor rests in its
 * last fifth, so that what is evaluated had one coefficient.
 * Source: github.com/decoderesearch/synth-sae-bench-experiments @66eee05, saes/components/coefficient_autotuner.py.
 * @module
 */
import type { StepSchedule } from '../train.ts';

/** As far as the factor can move in a run, up or down: e to this power, before its bounds. */
const E_FOLDS = 12;
const BOUNDS: readonly [number, number] = [0.01, 100];
const L0_DECAY = 0.99;
const RATE_DECAY = 0.95;
const WHILE_MOVING = 0.01;
const RESTS_AFTER = 0.8;

/** @param coefficient - the penalty's start, to be multiplied: too weak rather than too strong, since latents die of it. */
export function controlledPenalty(
  coefficient: number,
  targetL0: number,
  steps: number,
): StepSchedule {
  const gain = E_FOLDS / steps;
  let factor = 1;
  let smoothed: number | null = null;
  let rate = 0;
  return (step, l0) => {
    if (l0 !== null) {
      const before: number = smoothed ?? l0;
      smoothed = L0_DECAY * before + (1 - L0_DECAY) * l0;
      rate = RATE_DECAY * rate + (1 - RATE_DECAY) * (smoothed - before);
      if (step < RESTS_AFTER * steps) {
        const excess = smoothed - targetL0;
        const size = gain * Math.tanh((10 * Math.abs(excess)) / targetL0);
        const damped = excess * rate < 0 ? size * WHILE_MOVING : size;
        factor *= excess > 0 ? 1 + damped : 1 - damped;
        factor = Math.min(Math.max(factor, BOUNDS[0]), BOUNDS[1]);
      }
    }
    return { sparsityCoefficient: coefficient * factor };
  };
}

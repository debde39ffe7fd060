/**
 * A penalty's coefficient that follows L0, for architectures without a top-k or a controller of their own.
 *
 * Integral control, as published runs have it: a factor moves by ± gain · tanh(10 |error| / target) a step. Theirs moves a
 * hundredth of that while L0 comes nearer, however slowly, which suits 200,000 steps; in a run of thousands L0 would still
 * be on its way at the end. Here the error is the one expected a little later, if L0 goes on as it does: a slow approach
 * is pushed, a fast one braked. Gain and time constants are shares of the run.
 * Source: github.com/decoderesearch/synth-sae-bench-experiments @66eee05, saes/components/coefficient_autotuner.py.
 * @module
 */
import type { StepSchedule } from '../train.ts';

/** As far as the factor can move in a run, up or down: e to this power, before its bounds. */
const E_FOLDS = 16;
const BOUNDS: readonly [number, number] = [0.001, 100];
/** Shares of the run: what running means look back on, and how far ahead the error is expected. */
const LOOKS_BACK = 0.01;
const LOOKS_AHEAD = 0.05;

/** @param coefficient - the penalty's start, to be multiplied: too weak rather than too strong, since latents die of it. */
export function controlledPenalty(
  coefficient: number,
  targetL0: number,
  steps: number,
): StepSchedule {
  const gain = E_FOLDS / steps;
  const share = Math.min(1, 1 / (LOOKS_BACK * steps));
  let factor = 1;
  let smoothed: number | null = null;
  let rate = 0;
  return (_step, l0) => {
    if (l0 !== null) {
      const before: number = smoothed ?? l0;
      smoothed = before + share * (l0 - before);
      rate += share * (smoothed - before - rate);
      const expected = Math.max(0, smoothed + LOOKS_AHEAD * steps * rate);
      factor *= Math.exp(gain * Math.tanh((2 * (expected - targetL0)) / targetL0));
      factor = Math.min(Math.max(factor, BOUNDS[0]), BOUNDS[1]);
    }
    return { sparsityCoefficient: coefficient * factor };
  };
}

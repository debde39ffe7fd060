/**
 * What a run will cost on a backend of the TensorFlow.js port: real steps with the run's own rows and two small numbers of
 * latents, and what every further latent adds. Parameters and dense acts both grow with the latents, so that whichever of them
 * decides the peak decides it there too.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import type { TrainConfig, TrainState } from '../../reference/train-step.ts';
import { createTrainer } from '../trainer.ts';

export interface PortPlan {
  readonly parameters: number;
  /** Bytes of tensors. */
  readonly memory: {
    /** Parameters and both moments, kept between steps. */
    readonly state: number;
    /** All that is there at once within a step, with AuxK at work. */
    readonly peak: number;
  };
  /** Operations of the five dense products. */
  readonly work: number;
  readonly seconds: { readonly step: number };
  /** What was really run to predict from. */
  readonly calibrated: { readonly d_sae: readonly [number, number]; readonly steps: number };
}

/** A run of so many latents, as it starts. */
export type Start = (d_sae: number) => {
  readonly config: TrainConfig;
  readonly state: TrainState;
  readonly batch: (rows: number) => Float32Array;
};

/** Operations of an encode product that is small enough to be run for calibration, by what a backend does in a second. */
const affordable = { fast: 4e9, slow: 2e7 } as const;

/**
 * On the backend in use.
 * @param slow - whether it is plain JavaScript or an adapter in software.
 * @param seconds - spent on real steps.
 */
export async function planOnPort(
  { d_in, d_sae }: Pick<TrainConfig, 'd_in' | 'd_sae'>,
  rows: number,
  seconds: number,
  start: Start,
  slow: boolean,
): Promise<PortPlan> {
  const most = affordable[slow ? 'slow' : 'fast'];
  const many = Math.min(d_sae, Math.max(64, Math.floor(most / (2 * d_in * rows))));
  const few = Math.ceil(many / 2);
  const [large, small] = [
    await measure(many, rows, seconds / 2, start),
    await measure(few, rows, seconds / 2, start),
  ];
  /** At d_sae, from both: what does not grow with latents stays as it is. */
  const extended = (at: 'peak' | 'step'): number => {
    const each = Math.max(0, (large[at] - small[at]) / (many - few));
    return large[at] + each * (d_sae - many);
  };
  const parameters = 2 * d_in * d_sae + d_sae + d_in;
  return {
    parameters,
    memory: { state: 12 * parameters, peak: extended('peak') },
    work: 10 * rows * d_in * d_sae,
    seconds: { step: extended('step') },
    calibrated: { d_sae: [many, few], steps: large.steps + small.steps },
  };
}

interface Measured {
  /** Bytes. */
  readonly peak: number;
  /** Seconds. */
  readonly step: number;
  readonly steps: number;
}

async function measure(
  latents: number,
  rows: number,
  seconds: number,
  start: Start,
): Promise<Measured> {
  const { config, state, batch } = start(latents);
  // Whatever does not fire at once is dead, so that AuxK is at work.
  const trainer = createTrainer({ ...config, deadAfter: 1 }, state);
  try {
    const x = batch(rows);
    for (let warm = 0; warm < 2; warm++) await trainer.step(x);
    const { peakBytes } = await tf.profile(async () => {
      await trainer.step(x);
      return [];
    });
    const from = performance.now();
    let steps = 0;
    while (steps < 2 || performance.now() - from < seconds * 1000) {
      await trainer.step(x);
      steps++;
    }
    return { peak: peakBytes, step: (performance.now() - from) / 1000 / steps, steps };
  } finally {
    trainer.dispose();
  }
}

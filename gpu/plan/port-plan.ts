/**
 * What a run will cost on a backend of the TensorFlow.js port: real steps at three small shapes, and what grows with
 * parameters, with acts and with rows, solved from what they took. The port's dense arrays are what counts there.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import { lusolve } from 'mathjs';
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
    /** Of `peak`: what grows with the parameters alone, with rows · d_sae, and with rows · d_in. */
    readonly byParameters: number;
    readonly byActs: number;
    readonly byRows: number;
  };
  /** Operations of the five dense products. */
  readonly work: number;
  readonly seconds: { readonly step: number };
  /** What was really run to predict from: latents and rows of each shape, and steps altogether. */
  readonly calibrated: {
    readonly shapes: readonly { readonly d_sae: number; readonly rows: number }[];
    readonly steps: number;
  };
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
  const latents = Math.min(
    d_sae,
    Math.max(64, Math.floor(most / (2 * d_in * Math.min(rows, 512)))),
  );
  const some = Math.max(16, Math.min(rows, Math.floor(most / (2 * d_in * latents))));
  const shapes = [
    { d_sae: latents, rows: some },
    { d_sae: latents, rows: Math.ceil(some / 2) },
    { d_sae: Math.ceil(latents / 2), rows: some },
  ];
  const measured: Measured[] = [];
  for (const shape of shapes) measured.push(await measure(shape, seconds / shapes.length, start));
  const terms = (latents: number, n: number): [number, number, number] => [
    d_in * latents,
    n * latents,
    n * d_in,
  ];
  const solved = lusolve(
    shapes.map((shape) => terms(shape.d_sae, shape.rows)),
    measured.map(({ peak }) => [peak]),
  ) as number[][];
  const whole = terms(d_sae, rows);
  const [byParameters, byActs, byRows] = whole.map((size, i) => Math.max(0, size * solved[i][0]));
  // Time: what grows with the products, and what every parameter costs whatever the rows.
  const products = shapes.map((shape) => shape.rows * d_in * shape.d_sae);
  const perProduct = Math.max(
    0,
    (measured[0].step - measured[1].step) / (products[0] - products[1]),
  );
  const perParameter = Math.max(0, measured[0].step - perProduct * products[0]) / (d_in * latents);
  const parameters = 2 * d_in * d_sae + d_sae + d_in;
  return {
    parameters,
    memory: {
      state: 12 * parameters,
      peak: byParameters + byActs + byRows,
      byParameters,
      byActs,
      byRows,
    },
    work: 10 * rows * d_in * d_sae,
    seconds: { step: perProduct * rows * d_in * d_sae + perParameter * d_in * d_sae },
    calibrated: { shapes, steps: measured.reduce((sum, { steps }) => sum + steps, 0) },
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
  shape: { readonly d_sae: number; readonly rows: number },
  seconds: number,
  start: Start,
): Promise<Measured> {
  const { config, state, batch } = start(shape.d_sae);
  // Whatever does not fire at once is dead, so that AuxK is at work.
  const trainer = createTrainer({ ...config, deadAfter: 1 }, state);
  try {
    const x = batch(shape.rows);
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

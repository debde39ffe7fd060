/**
 * Ours on a peer's batches.
 * @module
 */
import { samplePrefixes } from '../../reference/prefixes.ts';
import {
  initialState,
  type StepDraws,
  type TrainConfig,
  type TrainState,
} from '../../reference/train-step.ts';
import type { StepKernel } from '../kernels/step-kernel.ts';
import { createRng } from '../rng.ts';
import type { PeerSettings } from './peer-settings.ts';
import type { TensorFile } from './tensor-file.ts';

/** Whose initial weights, and whose drawn prefixes where there are any: the peer's, or our own of a seed. */
export type Start = 'theirs' | { readonly seed: number };

export interface TrainedOnBatches {
  readonly state: TrainState;
  /** Of each step, as the peer adds it up. */
  readonly losses: Float64Array;
}

export interface OwnRun {
  readonly config: TrainConfig;
  /** The peer's, of which `config` is made. */
  readonly settings: PeerSettings;
  readonly kernel: StepKernel;
}

/**
 * @param file - a peer's seed: x (steps, batch, d_in), `initial.*`, and prefixes (steps, count) where it drew them.
 * @param onStep - told the steps done.
 */
export async function trainOnBatches(
  file: TensorFile,
  { config, settings, kernel }: OwnRun,
  start: Start,
  onStep: (step: number) => void,
): Promise<TrainedOnBatches> {
  const rng = createRng(start === 'theirs' ? 0 : start.seed);
  const count = 'prefixes_a_step' in settings ? settings.prefixes_a_step : 0;
  const recorded = start === 'theirs' && count > 0 ? await file.values('prefixes') : null;
  const prefixRng = rng.split('prefixes');
  const drawsAt = (step: number): StepDraws => {
    if (count === 0) return {};
    if (recorded !== null) {
      return { prefixes: [...recorded.subarray(step * count, (step + 1) * count)] };
    }
    const { power } = config.dialect.prefixes;
    return { prefixes: samplePrefixes(config.d_sae, count, 1, power, prefixRng.uniform) };
  };
  let first = initialState(config, rng.split('initialise').uniform);
  if (start === 'theirs') first = { ...first, params: await file.params('initial.') };
  const stepper = kernel.open(config, first);
  try {
    const losses = new Float64Array(config.steps);
    for (let step = 0; step < config.steps; step++) {
      losses[step] = (await stepper.step(await file.batch('x', step), config, drawsAt(step))).loss;
      onStep(step + 1);
    }
    return { state: await stepper.state(), losses };
  } finally {
    await stepper.close();
  }
}

/**
 * What one training step hands to the next, on the device, and the way there and back.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import {
  initialState as initialReferenceState,
  type TrainConfig,
  type TrainState,
} from '../reference/train-step.ts';
import { mostSinceFired } from './dead-latents.ts';
import {
  disposeParams,
  downloadParams,
  downloadVector,
  uploadParams,
  type SaeTensors,
} from './params.ts';

export interface TrainStateTensors {
  /** Steps done. */
  readonly step: number;
  readonly params: SaeTensors;
  /** Adam's first and second moments. */
  readonly m: SaeTensors;
  readonly v: SaeTensors;
  /** Scalar. */
  readonly threshold: tf.Scalar;
  /** (d_sae), int32, in the dialect's unit. */
  readonly sinceFired: tf.Tensor1D;
  /**
   * No count in `sinceFired` is larger; known to the host without asking the device. While a latent with this count would
   * not be dead, a step leaves auxk out.
   */
  readonly sinceFiredAtMost: number;
}

/** State before the first step, as the reference starts from the same draws. @param uniform - draws from [0, 1). */
export function initialState(config: TrainConfig, uniform: () => number): TrainStateTensors {
  return uploadState(initialReferenceState(config, uniform));
}

/** Rounds to float32; counts beyond 2³⁰ become 2³⁰. */
export function uploadState(state: TrainState): TrainStateTensors {
  const counts = Int32Array.from(state.sinceFired, (count) => Math.min(count, mostSinceFired));
  return {
    step: state.step,
    params: uploadParams(state.params),
    m: uploadParams(state.m),
    v: uploadParams(state.v),
    threshold: tf.scalar(state.threshold),
    sinceFired: tf.tensor1d(counts, 'int32'),
    sinceFiredAtMost: counts.reduce((most, count) => Math.max(most, count), 0),
  };
}

export async function downloadState(state: TrainStateTensors): Promise<TrainState> {
  const [params, m, v, threshold, sinceFired] = await Promise.all([
    downloadParams(state.params),
    downloadParams(state.m),
    downloadParams(state.v),
    downloadVector(state.threshold),
    downloadVector(state.sinceFired),
  ]);
  return { step: state.step, params, m, v, threshold: threshold[0], sinceFired };
}

export function disposeState(state: TrainStateTensors): void {
  disposeParams(state.params);
  disposeParams(state.m);
  disposeParams(state.v);
  tf.dispose([state.threshold, state.sinceFired]);
}

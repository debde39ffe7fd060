/**
 * Trains on the engine: one run's state in its memory, a step at a time.
 * @module
 */
import type { SaeParams } from '../../reference/params.ts';
import { selectionCount } from '../../reference/select.ts';
import type { TrainConfig, TrainState } from '../../reference/train-step.ts';
import { requireSupportedByThreads } from '../supported.ts';
import { centre, zeros } from './batch.ts';
import { type Blocks, download, valuesOf } from './blocks.ts';
import { decode, losses, openLevels } from './decode.ts';
import { type Input, noHint, selectAbove, selectBatch } from './encode.ts';
import type { Engine } from './engine.ts';
import { type State, stateFrom } from './state.ts';
import { type StepReport, trainStep } from './train-step.ts';

/** Latents and errors of one batch, as inference sees it. */
export interface InferenceReport {
  readonly squaredError: number;
  readonly active: number;
  /** (d_sae): 1 where the latent is above 0 in some row. */
  readonly fired: Uint8Array;
}

/** A state by the reference's names, float32. */
export interface Snapshot {
  readonly step: number;
  readonly params: Record<keyof Blocks, Float32Array>;
  readonly m: Record<keyof Blocks, Float32Array>;
  readonly v: Record<keyof Blocks, Float32Array>;
  readonly threshold: number;
  readonly sinceFired: Int32Array;
}

export interface Trainer {
  /** @throws {@link RangeError} as `trainStep`; the state is then the one before the step. */
  step(x: Float32Array): StepReport;
  infer(x: Float32Array, operator: 'threshold' | 'batch'): InferenceReport;
  state(): Snapshot;
  /** Ends the engine and its threads. */
  close(): Promise<void>;
}

/** @throws {@link UsageError} on a decision this port does not support, {@link RangeError} on what memory cannot hold. */
export function createTrainer(engine: Engine, config: TrainConfig, start: TrainState): Trainer {
  requireSupportedByThreads(config);
  const state = uploadState(engine, start);
  const { sizes, params } = state;
  const { dialect } = config;
  return {
    step(x) {
      const { loss, l0, dead, gradientNorm } = trainStep(engine, state, x, config);
      return { loss, l0, dead, gradientNorm };
    },
    infer(x, operator) {
      const mark = engine.mark();
      const rows = x.length / sizes.d_in;
      const batch = centre(engine, x, rows, sizes, params, dialect.encode.subtractsDecoderBias);
      const input: Input = {
        centred: batch.centred,
        rows,
        d_in: sizes.d_in,
        stride: sizes.stride,
        W_enc: params.W_enc,
        b_enc: dialect.encode.usesEncoderBias ? params.b_enc : zeros(engine, sizes.panels * 12),
        latents: sizes.d_sae,
        norms: dialect.select.score === 'acts' ? 0 : state.norms,
        known: 0,
      };
      const latents =
        operator === 'threshold'
          ? selectAbove(engine, input, state.threshold)
          : selectBatch(engine, input, selectionCount(config.k, rows, sizes.d_sae), noHint());
      const whole = openLevels(engine, batch.x, latents, state, [sizes.d_sae], new Float64Array(2));
      decode(engine, whole, latents.count);
      const squaredError = losses(engine, whole)[1] * rows;
      const fired = new Uint8Array(sizes.d_sae);
      for (const latent of engine.i32(latents.latent, latents.count)) fired[latent] = 1;
      engine.release(mark);
      return { squaredError, active: latents.count, fired };
    },
    state: () => ({
      step: state.step,
      params: download(engine, sizes, params),
      m: download(engine, sizes, state.m),
      v: download(engine, sizes, state.v),
      threshold: state.threshold,
      sinceFired: state.sinceFired.slice(),
    }),
    close: () => engine.close(),
  };
}

function uploadState(engine: Engine, start: TrainState): State {
  const { d_in, d_sae } = shapeOf(start.params);
  return stateFrom(engine, d_in, d_sae, {
    ...start,
    params: valuesOf(start.params),
    m: valuesOf(start.m),
    v: valuesOf(start.v),
  });
}

const shapeOf = ({ W_enc }: SaeParams): { d_in: number; d_sae: number } => ({
  d_in: W_enc.rows,
  d_sae: W_enc.cols,
});

/**
 * What training on a world needs of a kernel: whole steps, with settings that may change from one to the next, and the
 * state whenever a curve asks for it.
 * @module
 */
import type { Matrix } from '../../reference/matrix.ts';
import type { StepDraws, TrainConfig, TrainState } from '../../reference/train-step.ts';

/** Something that computes training steps. */
export interface StepKernel {
  /** As results name it: what has the same name gives the same bits on the same machine, GPUs apart. */
  readonly name: string;
  /** @throws {@link UsageError} naming a decision or setting of the run that it does not support. */
  readonly open: (config: TrainConfig, start: TrainState) => Stepper;
  /** Ends a process behind it. */
  readonly close: () => Promise<void>;
}

/** A kernel with one run's state. */
export interface Stepper {
  /**
   * @param x - (rows, d_in).
   * @param config - the run's; k and the penalty's coefficient may differ from step to step.
   * @throws {@link RangeError} as the reference's step.
   */
  readonly step: (
    x: Matrix,
    config: TrainConfig,
    draws: StepDraws,
  ) => StepFigures | Promise<StepFigures>;
  /** A copy, in float64 whatever was computed in. */
  readonly state: () => TrainState | Promise<TrainState>;
  readonly close: () => Promise<void>;
}

/** What a step reports. */
export interface StepFigures {
  readonly loss: number;
  /** Mean number of latents per row. */
  readonly l0: number;
}

/** For kernels without anything to end. */
export const nothingToClose = async (): Promise<void> => {};

/**
 * Trains on the backend in use: keeps the state on the device, takes rows from the host, reads one report a step.
 * @module
 */
import type { TrainConfig, TrainState } from '../reference/train-step.ts';
import { uploadMatrix } from './params.ts';
import { readReport, type StepReport } from './report.ts';
import { requireSupported } from './supported.ts';
import { disposeState, downloadState, uploadState, type TrainStateTensors } from './train-state.ts';
import { disposeStep, trainStep } from './train-step.ts';

export interface Trainer {
  /**
   * @param x - (rows, d_in), row-major.
   * @param now - the run's settings, where some differ in this step.
   * @throws {@link RangeError} as `trainStep` and `readReport`; the state is then the one before the step.
   */
  step(x: Float32Array | Float64Array, now?: TrainConfig): Promise<StepReport>;
  /** The state so far, for a checkpoint. */
  download(): Promise<TrainState>;
  /** On the device; belongs to the trainer and lives until its next step. */
  state(): TrainStateTensors;
  dispose(): void;
}

/** @throws {@link UsageError} on a decision this port does not support. */
export function createTrainer(config: TrainConfig, initial: TrainState): Trainer {
  requireSupported(config);
  let state = uploadState(initial);
  return {
    async step(x, now = config) {
      const rows = x.length / config.d_in;
      if (!Number.isInteger(rows)) {
        throw new RangeError(
          `x: expected rows of d_in = ${config.d_in} values, got ${x.length} values`,
        );
      }
      const batch = uploadMatrix(x, rows, config.d_in);
      const result = trainStep(state, batch, now);
      batch.dispose();
      let report: StepReport;
      try {
        report = await readReport(result);
      } catch (error) {
        disposeStep(result);
        throw error;
      }
      disposeStep(result, true);
      disposeState(state);
      state = { ...result.state, sinceFiredAtMost: report.mostSinceFired };
      return report;
    },
    download: () => downloadState(state),
    state: () => state,
    dispose: () => disposeState(state),
  };
}

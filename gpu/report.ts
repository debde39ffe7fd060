/**
 * The numbers of one step, read from the device together.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import type { StepTensors } from './train-step.ts';

export interface StepReport {
  /** Of the step reported on: 0 for the first. */
  readonly step: number;
  readonly loss: number;
  readonly reconstructionLoss: number;
  /** L_0..L_G. */
  readonly levelLosses: readonly number[];
  /** Before alpha. */
  readonly auxkLoss: number;
  /** Mean number of latents per row. */
  readonly l0: number;
  /** Latents that auxk took for dead. */
  readonly deadCount: number;
  /** After the step; negative if it was never set. */
  readonly threshold: number;
  /** Of all four gradients before clipping. */
  readonly gradientNorm: number;
  readonly learningRate: number;
  /** The largest count of tokens or steps since a latent fired, rounded up to float32. */
  readonly mostSinceFired: number;
}

/**
 * Packs what is reported into one tensor and reads it once. Disposes nothing of the step.
 * @throws {@link RangeError} saying what is not finite, where the reference would have thrown in the step itself.
 */
export async function readReport(result: StepTensors): Promise<StepReport> {
  const rows = result.latents.shape[0];
  const packed = tf.tidy(() => {
    const scalars = [
      result.loss,
      result.reconstructionLoss,
      result.auxk?.loss ?? tf.scalar(0),
      tf.sum(tf.sum(tf.step(result.latents), 1)),
      tf.sum(result.dead),
      result.state.threshold,
      result.gradientNorm,
      tf.cast(tf.max(result.state.sinceFired), 'float32'),
    ];
    return tf.concat([tf.stack(scalars), result.levelLosses]);
  });
  const values = await packed.data();
  packed.dispose();
  const [loss, reconstructionLoss, auxkLoss, kept, deadCount, threshold, gradientNorm, most] =
    values;
  const report: StepReport = {
    step: result.state.step - 1,
    loss,
    reconstructionLoss,
    levelLosses: [...values.slice(8)],
    auxkLoss,
    l0: kept / rows,
    deadCount,
    threshold,
    gradientNorm,
    learningRate: result.learningRate,
    // float32 rounds counts beyond 2²⁴ to its neighbours, perhaps down.
    mostSinceFired: most < 2 ** 24 ? most : Math.ceil(most * (1 + 2 ** -23)),
  };
  requireFinite(report);
  return report;
}

function requireFinite(report: StepReport): void {
  const at = `step ${report.step}`;
  if (!Number.isFinite(report.reconstructionLoss)) {
    throw new RangeError(
      `${at}: expected a finite loss, got ${report.reconstructionLoss}; the batch or the parameters hold values that are not finite, or overflow float32`,
    );
  }
  if (!Number.isFinite(report.auxkLoss)) {
    throw new RangeError(
      `${at}: auxk: expected a finite loss, got ${report.auxkLoss}; the residual has no variance over the batch; expected rows that differ`,
    );
  }
  if (!Number.isFinite(report.threshold)) {
    throw new RangeError(
      `${at}: threshold: expected a positive latent for its first update, got none`,
    );
  }
  if (!Number.isFinite(report.gradientNorm)) {
    throw new RangeError(`${at}: expected a finite gradient norm, got ${report.gradientNorm}`);
  }
}

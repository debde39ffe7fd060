/**
 * How good an SAE is on rows it was not trained on: explained variance, L0 and dead latents, by the inference threshold
 * and by batch selection. Sums in float64.
 * @module
 */

import { rowsInOrder, type ActivationShards } from './activation-shards.ts';
import type { InferenceOperator, Trainer } from './trainer.ts';

export interface Evaluation {
  /** 1 - Σ‖x - x̂‖² / Σ‖x - mean‖², both sums over all rows: 1 is perfect, 0 no better than the mean. */
  readonly explainedVariance: number;
  /** Mean number of latents above 0 per row. */
  readonly l0: number;
  /** Latents that are above 0 in no row. */
  readonly dead: number;
  readonly rows: number;
}

/** One {@link Evaluation} for each way of choosing latents. */
export type Evaluations = Readonly<Record<InferenceOperator, Evaluation>>;

/**
 * @param heldout - all its rows are used, in order.
 * @param batchRows - rows at once; also the batch that batch selection selects over.
 * @param normFactor - rows are divided by it, as in training.
 * @param signal - stops between batches, with the signal's reason thrown.
 */
export async function evaluate(
  trainer: Trainer,
  heldout: ActivationShards,
  batchRows: number,
  normFactor: number,
  signal?: AbortSignal,
): Promise<Evaluations> {
  const spread = createSpread(heldout.d_in);
  const sums = { threshold: createSums(), batch: createSums() };
  for await (const { x, rows } of rowsInOrder(heldout, batchRows)) {
    signal?.throwIfAborted();
    scale(x, 1 / normFactor);
    spread.add(x, rows);
    for (const operator of ['threshold', 'batch'] as const) {
      sums[operator].add(await trainer.infer(x, rows, operator), rows);
    }
  }
  const total = spread.total();
  return { threshold: sums.threshold.result(total), batch: sums.batch.result(total) };
}

/** x ← factor · x, in place; nothing happens for a factor of 1. */
export function scale(x: Float32Array, factor: number): void {
  if (factor === 1) return;
  for (let i = 0; i < x.length; i++) x[i] *= factor;
}

/** Σ‖x - mean‖² in one pass. Sums are taken about the first row, so that a large common offset cancels exactly. */
function createSpread(d_in: number): {
  add(x: Float32Array, rows: number): void;
  total(): number;
} {
  let first: Float32Array | undefined;
  const sum = new Float64Array(d_in);
  let squares = 0;
  let count = 0;
  return {
    add(x, rows) {
      first ??= x.slice(0, d_in);
      for (let row = 0; row < rows; row++) {
        for (let i = 0; i < d_in; i++) {
          const value = x[row * d_in + i] - first[i];
          sum[i] += value;
          squares += value * value;
        }
      }
      count += rows;
    },
    total: () => squares - sum.reduce((total, value) => total + value * value, 0) / count,
  };
}

function createSums(): {
  add(report: Awaited<ReturnType<Trainer['infer']>>, rows: number): void;
  result(totalSpread: number): Evaluation;
} {
  let squaredError = 0;
  let active = 0;
  let count = 0;
  let everFired: Uint8Array | undefined;
  return {
    add(report, rows) {
      squaredError += report.squaredError;
      active += report.active;
      count += rows;
      everFired ??= new Uint8Array(report.fired.length);
      for (let j = 0; j < everFired.length; j++) if (report.fired[j] !== 0) everFired[j] = 1;
    },
    result: (totalSpread) => ({
      explainedVariance: 1 - squaredError / totalSpread,
      l0: active / count,
      dead: everFired?.reduce((dead, fired) => dead + (1 - fired), 0) ?? 0,
      rows: count,
    }),
  };
}

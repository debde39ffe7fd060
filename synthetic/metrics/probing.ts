/**
 * Sparse probing: how well a true feature can be told from its k most telling latents. Latents are chosen by the
 * difference of their means between the classes, a logistic probe reads them, and its accuracy on other rows counts.
 * Definition: SAEBench 0.6.0, sparse_probing/probe_training.py, with true features in place of labelled texts.
 * @module
 */
import { matrix } from '../../reference/matrix.ts';
import { valueAt, type SparseRows } from '../sparse-rows.ts';
import { fitLogistic } from './logistic-regression.ts';
import type { ProbeTask } from './probe-task.ts';

/**
 * @param latents - (samples, d_sae).
 * @param k - latents that a probe reads; all of them if there are fewer.
 * @returns accuracy on the test rows, in [0, 1]; ½ where no latent tells anything.
 */
export function sparseProbeAccuracy(latents: SparseRows, task: ProbeTask, k: number): number {
  const chosen = mostTelling(meanDifferences(latents, task), k);
  const read = (rows: Int32Array): Float64Array => {
    const values = new Float64Array(rows.length * chosen.length);
    rows.forEach((n, i) =>
      chosen.forEach((l, j) => (values[i * chosen.length + j] = valueAt(latents, n, l))),
    );
    return values;
  };
  const { train, test } = task;
  const { weights, intercept } = fitLogistic(
    matrix(train.length, chosen.length, read(train)),
    train.length / 2,
  );
  const values = read(test);
  const scores = Float64Array.from(test, (_, i) =>
    weights.reduce((sum, w, j) => sum + w * values[i * chosen.length + j], intercept),
  );
  return balancedAccuracy(scores);
}

/** Mean over the training rows with the feature on minus mean over those without: (d_sae). */
export function meanDifferences(latents: SparseRows, { train }: ProbeTask): Float64Array {
  const out = new Float64Array(latents.cols);
  const half = train.length / 2;
  train.forEach((n, i) => {
    const share = (i < half ? 1 : -1) / half;
    for (let e = latents.start[n]; e < latents.start[n + 1]; e++) {
      out[latents.index[e]] += share * latents.value[e];
    }
  });
  return out;
}

/** Share of scores above 0 in the first half, and not above 0 in the second. */
export function balancedAccuracy(scores: Float64Array): number {
  const half = scores.length / 2;
  let right = 0;
  scores.forEach((score, i) => {
    if (score > 0 === i < half) right++;
  });
  return right / scores.length;
}

/** Indices of the k largest sizes, the lowest among equals first. */
export function mostTelling(values: Float64Array, k: number): number[] {
  return [...values.keys()]
    .sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]) || a - b)
    .slice(0, k);
}

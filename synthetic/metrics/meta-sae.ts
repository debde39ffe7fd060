/**
 * Meta-SAE: how well a quarter as many latents, four at a time, rebuild an SAE's decoder rows. Low is best: latents that
 * stand each for one thing are no sums of fewer others, those that hold their parents too are. A BatchTopK SAE of its own
 * is trained, with the reference, so this is no part of `evaluate`: a minute for 64 rows of 64. There 300 steps of 128
 * rows at 5e-3 give the same to 0.005 in two seconds.
 *
 * Definition: Bussmann et al. 2025 (arXiv 2503.17547), appendix D.1, with the settings of SAEBench,
 * meta_structure/main.py: width ⌈d_sae / 4⌉, k = 4, 1,500 steps of 1,024 rows drawn with replacement. The learning rate
 * stays 5e-4 from first to last, and the dialect is this package's default.
 * @module
 */
import { dot, matrix, row, type Matrix } from '../../reference/matrix.ts';
import { trainConfig } from '../../reference/train-config.ts';
import { initialState, trainStep } from '../../reference/train-step.ts';
import type { Rng } from '../rng.ts';
import { sparseRows } from '../sparse-rows.ts';
import { trainedCode } from '../trained-code.ts';
import { rowNorms } from './code.ts';
import { explainedVariance, NO_VARIANCE } from './explained-variance.ts';

export interface MetaSaeOptions {
  /** Meta-latents; ⌈d_sae / 4⌉ if left out. */
  readonly width?: number;
  /** Meta-latents for each row, on average; at most all. */
  readonly k?: number;
  readonly steps?: number;
  /** Rows of a step. */
  readonly batch?: number;
  readonly learningRate?: number;
}

/**
 * Explained variance of a meta-SAE's reconstruction of all decoder rows, about their mean row.
 * @param decoder - (d_sae, d_in); only the directions of its rows count. Rows of dead latents are kept.
 * @param rng - of initialisation and batches: sub-streams are taken, nothing is drawn.
 * @returns in (-∞, 1]; 0 where all rows are equal; null without rows.
 * @throws {@link RangeError} on a batch that is no whole number >= 1, and as `trainConfig` does.
 */
export function metaSaeExplainedVariance(
  decoder: Matrix,
  rng: Rng,
  {
    width = Math.ceil(decoder.rows / 4),
    k = 4,
    steps = 1500,
    batch = 1024,
    learningRate = 5e-4,
  }: MetaSaeOptions = {},
): number | null {
  if (!Number.isInteger(batch) || batch < 1) {
    throw new RangeError(`batch: expected a whole number >= 1, got ${batch}`);
  }
  if (decoder.rows === 0) return null;
  const norms = rowNorms(decoder);
  const rows = matrix(
    decoder.rows,
    decoder.cols,
    decoder.data.map((w, i) => w / norms[Math.floor(i / decoder.cols)]),
  );
  if (variance(rows) < NO_VARIANCE) return 0;
  const config = trainConfig({
    d_in: decoder.cols,
    d_sae: width,
    k: Math.min(k, width),
    steps,
    learningRate,
    warmupSteps: 0,
    decayStart: null,
  });
  const draws = rng.split('batches');
  let state = initialState(config, rng.split('initialise').uniform);
  for (let step = 0; step < steps; step++) {
    state = trainStep(state, drawn(rows, batch, draws), config).state;
  }
  const { judged } = trainedCode(
    state,
    { x: rows, features: sparseRows(matrix(rows.rows, 0)) },
    config,
    rows.rows,
  );
  return explainedVariance(rows, judged.reconstruction);
}

/** Mean squared distance from the mean row, from the differences: rows are of length 1, and equal ones must give 0. */
function variance(rows: Matrix): number {
  let sum = 0;
  const first = row(rows, 0);
  const mean = new Float64Array(rows.cols);
  for (let l = 0; l < rows.rows; l++) {
    const difference = row(rows, l).map((value, i) => value - first[i]);
    sum += dot(difference, difference) / rows.rows;
    difference.forEach((value, i) => (mean[i] += value / rows.rows));
  }
  return sum - dot(mean, mean);
}

function drawn(rows: Matrix, count: number, rng: Rng): Matrix {
  const out = matrix(count, rows.cols);
  for (let n = 0; n < count; n++) out.data.set(row(rows, rng.below(rows.rows)), n * rows.cols);
  return out;
}

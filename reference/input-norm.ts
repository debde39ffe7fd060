/**
 * Scaling of inputs: by one number estimated before training and folded into the trained SAE, or anew in every step.
 * @module
 */
import type { Dialect } from './dialects.ts';
import { map, matrix, norm, row, scale, type Matrix } from './matrix.ts';
import type { SaeParams } from './params.ts';

/** f = √(mean squared length): inputs are trained on as x / f. Source: dl `training.py`, `get_norm_factor`. */
export function normFactor(meanSquaredLength: number): number {
  if (!(meanSquaredLength > 0) || !Number.isFinite(meanSquaredLength)) {
    throw new RangeError(
      `normFactor: expected a mean squared length above 0, got ${meanSquaredLength}`,
    );
  }
  return Math.sqrt(meanSquaredLength);
}

/**
 * What x is multiplied by in training, as the dialect estimates it: 1 / √(mean squared norm) (dl), where batches count
 * alike, or √d_in / mean norm (sl), where rows do.
 * Source: dl `training.py`, `get_norm_factor`; sl `training/activation_scaler.py`, `estimate_scaling_factor`.
 * @param batches - each (rows, d_in).
 * @throws {@link RangeError} if the dialect estimates none, there is no batch, or all are zero.
 */
export function estimateInputScale(batches: readonly Matrix[], dialect: Dialect): number {
  const { estimate } = dialect.input;
  if (estimate === 'none') {
    throw new RangeError(`input.estimate: dialect ${dialect.name} scales inputs by no estimate`);
  }
  if (batches.length === 0) throw new RangeError('inputScale: expected at least one batch, got 0');
  if (estimate === 'root-mean-square-norm') {
    const means = batches.map((x) => mean(rowLengths(x).map((length) => length * length)));
    return 1 / normFactor(mean(Float64Array.from(means)));
  }
  const average = mean(Float64Array.from(batches.flatMap((x) => [...rowLengths(x)])));
  if (!(average > 0)) {
    throw new RangeError(`inputScale: expected a mean norm above 0, got ${average}`);
  }
  return Math.sqrt(batches[0].cols) / average;
}

/**
 * Parameters and threshold that do on x what the given ones do on x · c, divided by c.
 * Into biases: b_enc / c, b_dec / c and a threshold that was set / c (dl `scale_biases`). Into weights: W_enc · c,
 * W_dec / c, b_dec / c, and a threshold in units of rescaled acts / c (sl `fold_activation_norm_scaling_factor`).
 */
export function foldInputScale(
  params: SaeParams,
  threshold: number,
  c: number,
  dialect: Dialect,
): { params: SaeParams; threshold: number } {
  if (dialect.input.folds === 'into-biases') return foldNormFactor(params, threshold, 1 / c);
  const rescaled = dialect.select.score === 'acts-times-decoder-norm';
  return {
    params: {
      ...params,
      W_enc: scale(params.W_enc, c),
      W_dec: map(params.W_dec, (w) => w / c),
      b_dec: params.b_dec.map((b) => b / c),
    },
    threshold: rescaled ? threshold / c : threshold,
  };
}

/**
 * {@link foldInputScale} into biases, with f = 1 / c: biases, thresholds of latents, and a threshold that was set, all
 * times f. Source: dl `MatryoshkaBatchTopKSAE.scale_biases`, `JumpReluAutoEncoder.scale_biases`.
 */
export function foldNormFactor(
  params: SaeParams,
  threshold: number,
  factor: number,
): { params: SaeParams; threshold: number } {
  const times = (values: Float64Array): Float64Array => values.map((value) => value * factor);
  return {
    params: {
      ...params,
      b_enc: times(params.b_enc),
      b_dec: times(params.b_dec),
      ...(params.threshold === undefined ? {} : { threshold: times(params.threshold) }),
    },
    threshold: threshold >= 0 ? threshold * factor : threshold,
  };
}

export interface Normalised {
  /** What the SAE sees: (rows, d_in). */
  readonly x: Matrix;
  /** The running mean of row norms after this batch; as before where the dialect keeps none. */
  readonly meanNorm: number;
  /** Takes what the SAE returns, (rows, d_in), back to the units of the input. */
  readonly restore: (reconstruction: Matrix) => Matrix;
}

/**
 * What a step does to its input.
 * Each row (bm `preprocess_input`, `postprocess_output`): (x - mean) / (s + epsilon), s the deviation with d_in - 1;
 * restored as x̂ · s + mean, without the epsilon, so not exactly the inverse.
 * Running mean norm (nb `RunningAvgNormalizer`): q ← decay · q + (1 - decay) · mean ‖x‖ from q = 0 without correction,
 * so that early batches come out large; then x · √d_in / q.
 * @param x - (rows, d_in).
 * @param meanNorm - q before this batch.
 * @param update - whether q moves, as it does in training.
 * @throws {@link RangeError} if q is 0, or rows of one value are to be divided by their deviation.
 */
export function normaliseInput(
  x: Matrix,
  meanNorm: number,
  dialect: Dialect,
  update: boolean,
): Normalised {
  const { normaliser, epsilon, decay } = dialect.input;
  if (normaliser === 'none') return { x, meanNorm, restore: (reconstruction) => reconstruction };
  if (normaliser === 'each-row') return { ...standardiseRows(x, epsilon), meanNorm };
  const q = update ? decay * meanNorm + (1 - decay) * mean(rowLengths(x)) : meanNorm;
  if (!(q > 0)) {
    throw new RangeError(
      `input: expected a running mean norm above 0 to divide by, got ${q}; is the first batch all zeros?`,
    );
  }
  return {
    x: scale(x, Math.sqrt(x.cols) / q),
    meanNorm: q,
    // Of latents the published code divides by √d_sae here, and so this does.
    restore: (values) => scale(values, q / Math.sqrt(values.cols)),
  };
}

function standardiseRows(x: Matrix, epsilon: number): Omit<Normalised, 'meanNorm'> {
  if (x.cols < 2) {
    throw new RangeError(
      `input: expected d_in >= 2 to divide rows by their deviation, got ${x.cols}`,
    );
  }
  const out = matrix(x.rows, x.cols);
  const means = new Float64Array(x.rows);
  const deviations = new Float64Array(x.rows);
  for (let b = 0; b < x.rows; b++) {
    means[b] = mean(row(x, b));
    const centred = row(x, b).map((value) => value - means[b]);
    deviations[b] = norm(centred) / Math.sqrt(x.cols - 1);
    const divisor = deviations[b] + epsilon;
    if (divisor === 0) {
      throw new RangeError(`input: row ${b} has deviation 0, and nothing is added to divide by`);
    }
    row(out, b).set(centred.map((value) => value / divisor));
  }
  return {
    x: out,
    restore: (reconstruction) =>
      map(reconstruction, (value, i) => {
        const b = Math.floor(i / reconstruction.cols);
        return value * deviations[b] + means[b];
      }),
  };
}

/** Norm of each row: (rows). */
function rowLengths(x: Matrix): Float64Array {
  return Float64Array.from({ length: x.rows }, (_, b) => norm(row(x, b)));
}

function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

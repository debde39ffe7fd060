/**
 * What a trained SAE makes of labelled samples: latents as training selects them, in the units of x, and beside them how
 * many its inference would keep.
 * @module
 */
import { decode } from '../reference/decode.ts';
import { preActivations, relu } from '../reference/encode.ts';
import { normaliseInput } from '../reference/input-norm.ts';
import { jumpRelu, keptThresholds } from '../reference/jump-relu.ts';
import { matrix, norm, row, scale, type Matrix } from '../reference/matrix.ts';
import { refine } from '../reference/refine.ts';
import { aboveThreshold, batchTopK, selectionScores, topK } from '../reference/select.ts';
import type { SaeParams } from '../reference/params.ts';
import type { TrainConfig, TrainState } from '../reference/train-step.ts';
import { blockedProduct } from './blocked-product.ts';
import type { Judged } from './evaluate.ts';
import { sparseRowsBuilder } from './sparse-rows.ts';
import type { LabelledBatch } from './worlds/world.ts';

export interface TrainedCode {
  readonly judged: Judged;
  /** Mean number of latents per row that the inference threshold lets through. */
  readonly thresholdL0: number;
}

/**
 * @param batch - rows per selection, as in training; fewer in the last one.
 * @throws {@link RangeError} on parameters that are not finite.
 */
export function trainedCode(
  state: TrainState,
  { x, features }: LabelledBatch,
  config: TrainConfig,
  batch: number,
): TrainedCode {
  const { dialect, d_sae, inputScale } = config;
  // Before the first step there is no running mean: the rows' own stands in.
  const meanNorm = state.averages?.meanNorm ?? meanRowNorm(x) * inputScale;
  const latents = sparseRowsBuilder(d_sae);
  const reconstruction = matrix(x.rows, x.cols);
  let overThreshold = 0;
  for (let start = 0; start < x.rows; start += batch) {
    const rows = rowsOf(x, start, Math.min(start + batch, x.rows));
    const scaled = inputScale === 1 ? rows : scale(rows, inputScale);
    const input = normaliseInput(scaled, meanNorm, dialect, false);
    const { selected, passed } = select(input.x, state, config);
    overThreshold += passed;
    const restored = input.restore(decode(selected, state.params)).data;
    for (let i = 0; i < restored.length; i++) {
      reconstruction.data[start * x.cols + i] = restored[i] / inputScale;
    }
    const units = unitsOf(input.restore, rows);
    for (let n = 0; n < rows.rows; n++) {
      for (let j = 0; j < d_sae; j++) {
        const latent = selected.data[n * d_sae + j];
        if (latent !== 0) latents.add(j, (latent * units[n]) / inputScale);
      }
      latents.endRow();
    }
  }
  return {
    judged: {
      latents: latents.finish(),
      W_dec: state.params.W_dec,
      reconstruction,
      x,
      features,
    },
    thresholdL0: overThreshold / x.rows,
  };
}

/** Latents of the input as the SAE sees it, and how many pass inference's gate. */
function select(
  input: Matrix,
  state: TrainState,
  config: TrainConfig,
): { selected: Matrix; passed: number } {
  const { params, threshold } = state;
  const { dialect, selection } = config;
  const pre = preActivations(input, params, dialect, blockedProduct);
  if (selection === 'jump') {
    const { threshold: cuts } = params;
    if (cuts === undefined) throw new RangeError('params: expected a threshold for each latent');
    const selected = relu(jumpRelu(pre, keptThresholds(cuts, dialect)));
    return { selected, passed: countAbove0(selected) };
  }
  const scored = scoredOf(pre, params, config);
  const asTrained = byCount(scored, config);
  if (dialect.encode.refinement === 0) {
    return { selected: asTrained, passed: countAbove0(byThreshold(scored, threshold, config)) };
  }
  const again = (first: Matrix): Scored =>
    scoredOf(refine(pre, first, input, params, dialect, blockedProduct).pre, params, config);
  // Before the first step there is no threshold: the dialect's start stands in.
  const first = byThreshold(scored, state.firstThreshold ?? dialect.threshold.start, config);
  return {
    selected: byCount(again(asTrained), config),
    passed: countAbove0(byThreshold(again(first), threshold, config)),
  };
}

/** What selection chooses from, and by what. */
interface Scored {
  readonly acts: Matrix;
  readonly scores: Matrix;
}

function scoredOf(pre: Matrix, { W_dec }: SaeParams, { dialect }: TrainConfig): Scored {
  const acts = relu(pre);
  return { acts, scores: selectionScores(acts, W_dec, dialect) };
}

/** Latents as training selects them. */
function byCount({ acts, scores }: Scored, { selection, k }: TrainConfig): Matrix {
  if (selection === 'all') return acts;
  return (selection === 'batch' ? batchTopK : topK)(acts, k, scores);
}

/** Latents as inference selects them. */
function byThreshold({ acts, scores }: Scored, threshold: number, config: TrainConfig): Matrix {
  return config.selection === 'all' ? acts : aboveThreshold(acts, threshold, scores);
}

/** What one unit of a latent in each row is worth in the units of the rows: (rows). */
function unitsOf(restore: (values: Matrix) => Matrix, { rows, cols }: Matrix): Float64Array {
  const ones = restore(matrix(rows, cols, new Float64Array(rows * cols).fill(1)));
  const zeros = restore(matrix(rows, cols));
  return Float64Array.from({ length: rows }, (_, n) => ones.data[n * cols] - zeros.data[n * cols]);
}

function meanRowNorm(x: Matrix): number {
  let sum = 0;
  for (let n = 0; n < x.rows; n++) sum += norm(row(x, n));
  return sum / x.rows;
}

function countAbove0({ data }: Matrix): number {
  let count = 0;
  for (const value of data) if (value > 0) count++;
  return count;
}

/** Rows start..end-1 as a view. */
function rowsOf(a: Matrix, start: number, end: number): Matrix {
  return matrix(end - start, a.cols, a.data.subarray(start * a.cols, end * a.cols));
}

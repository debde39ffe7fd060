/**
 * Scales of inputs: estimated before training and folded, or in every step.
 * @module
 */
import fc from 'fast-check';
import type { Dialect } from '../../../reference/dialect.ts';
import type { Matrix } from '../../../reference/matrix.ts';
import type { SaeParams } from '../../../reference/params.ts';
import { dialect, matrixOf, number, paramsOf, positiveValues, sizes, values } from '../cases.ts';
import type { Judge } from '../judge.ts';
import type { Oracle } from '../oracle.ts';
import type { Reference } from '../reference.ts';
import {
  add,
  div,
  mul,
  one,
  real,
  sign,
  sqrt,
  square,
  sub,
  sum,
  surely,
  type Real,
} from '../real.ts';
import {
  at,
  build,
  length,
  range,
  realMatrix,
  realParams,
  reals,
  rowOf,
  type RealMatrix,
} from '../real-matrix.ts';
import { average } from './threshold.ts';

function mean(terms: readonly Real[]): Real {
  return div(sum(terms), real(terms.length));
}

function rowLengths(x: RealMatrix): Real[] {
  return range(x.rows).map((b) => length(rowOf(x, b)));
}

/** What x is multiplied by. */
function inputScale(batches: readonly RealMatrix[], estimate: string): Real {
  if (estimate === 'root-mean-square-norm') {
    return div(one, sqrt(mean(batches.map((x) => mean(rowLengths(x).map(square))))));
  }
  const d_in = real(batches[0].cols);
  return div(sqrt(d_in), mean(batches.flatMap(rowLengths)));
}

/** x as the SAE is given it, how to undo that, and the running mean. */
export interface RealNormalised {
  readonly x: RealMatrix;
  readonly restore: (reconstruction: RealMatrix) => RealMatrix;
  readonly meanNorm: Real;
}

export function normalisedInput(
  x: RealMatrix,
  meanNorm: Real,
  { input }: Dialect,
  update: boolean,
): RealNormalised {
  if (input.normaliser === 'none') return { x, restore: (same) => same, meanNorm };
  if (input.normaliser === 'running-mean-norm') {
    const q = update ? average(meanNorm, mean(rowLengths(x)), input.decay) : meanNorm;
    const times = (a: RealMatrix, factor: Real): RealMatrix => ({
      ...a,
      data: a.data.map((value) => mul(factor, value)),
    });
    return {
      x: times(x, div(sqrt(real(x.cols)), q)),
      // √ of what is restored: of latents nb divides by √d_sae.
      restore: (a) => times(a, div(q, sqrt(real(a.cols)))),
      meanNorm: q,
    };
  }
  const means = range(x.rows).map((b) => mean(rowOf(x, b)));
  const centred = build(x.rows, x.cols, (b, i) => sub(at(x, b, i), means[b]));
  const deviations = rowLengths(centred).map((norm) => div(norm, sqrt(real(x.cols - 1))));
  const divisors = deviations.map((s) => add(s, real(input.epsilon)));
  return {
    x: build(x.rows, x.cols, (b, i) => div(at(centred, b, i), divisors[b])),
    restore: (a) => build(a.rows, a.cols, (b, i) => add(mul(at(a, b, i), deviations[b]), means[b])),
    meanNorm,
  };
}

interface InputCase {
  readonly x: Matrix;
  readonly batches: readonly Matrix[];
  readonly reconstruction: Matrix;
  readonly meanNorm: number;
  readonly update: boolean;
  readonly params: SaeParams;
  readonly thresholds: Float64Array | null;
  readonly threshold: number;
  readonly factor: number;
  readonly dialect: Dialect;
}

export const inputNorm: Oracle<InputCase> = {
  name: 'input scaling',
  holds: [
    'inputNorm.normFactor',
    'inputNorm.estimateInputScale',
    'inputNorm.foldInputScale',
    'inputNorm.foldNormFactor',
    'inputNorm.normaliseInput',
  ],
  cases: sizes.chain((size) =>
    fc.record({
      x: matrixOf(size.rows, size.d_in),
      batches: fc.array(matrixOf(size.rows, size.d_in), { minLength: 1, maxLength: 2 }),
      reconstruction: matrixOf(size.rows, size.d_in),
      meanNorm: positiveValues(1).map(([value]) => value),
      update: fc.boolean(),
      params: paramsOf(size),
      thresholds: fc.option(values(size.d_sae)),
      threshold: number,
      factor: number.map((value) => Math.abs(value) || 1),
      dialect,
    }),
  ),
  check(given, { inputNorm }, judge) {
    const { batches, factor, dialect } = given;
    judge.near('factor', inputNorm.normFactor(factor), sqrt(real(factor)));
    const exact = batches.map(realMatrix);
    const estimate = (): number => inputNorm.estimateInputScale(batches, dialect);
    const lengths = exact.flatMap(rowLengths);
    if (dialect.input.estimate === 'none') judge.refused('no estimate', estimate);
    else if (surely(sign(sum(lengths))) === 0) judge.refused('a scale of zeros', estimate);
    else judge.near('scale', estimate(), inputScale(exact, dialect.input.estimate));
    judgeFolding(given, inputNorm, judge);
    judgeNormaliser(given, inputNorm, judge);
  },
};

function judgeFolding(
  { params, thresholds, threshold, factor, dialect }: InputCase,
  { foldInputScale, foldNormFactor }: Reference['inputNorm'],
  judge: Judge,
): void {
  const model = thresholds === null ? params : { ...params, threshold: thresholds };
  const { W_enc, b_enc, W_dec, b_dec } = realParams(params);
  const c = real(factor);
  const f = div(one, c);
  const byBiases = dialect.input.folds === 'into-biases';
  // dl's factor is f = 1 / c; sl divides by c.
  const over = (value: Real): Real => (byBiases ? mul(value, f) : div(value, c));
  const folded = foldInputScale(model, threshold, factor, dialect);
  judge.allNear('folded b_dec', folded.params.b_dec, b_dec.map(over));
  if (byBiases) {
    judge.allNear('folded b_enc', folded.params.b_enc, b_enc.map(over));
    judge.allNear('W_enc', folded.params.W_enc, W_enc);
    judge.allNear('W_dec', folded.params.W_dec, W_dec);
    const kept = threshold >= 0 ? over(real(threshold)) : real(threshold);
    judge.near('folded threshold', folded.threshold, kept);
    if (thresholds !== null) {
      judge.allNear('folded thresholds', folded.params.threshold!, reals(thresholds).map(over));
    }
  } else {
    judge.allNear('b_enc', folded.params.b_enc, b_enc);
    const encoder = { ...W_enc, data: W_enc.data.map((w) => mul(w, c)) };
    judge.allNear('folded W_enc', folded.params.W_enc, encoder);
    judge.allNear('folded W_dec', folded.params.W_dec, { ...W_dec, data: W_dec.data.map(over) });
    const rescaled = dialect.select.score === 'acts-times-decoder-norm';
    judge.near(
      'folded threshold',
      folded.threshold,
      rescaled ? over(real(threshold)) : real(threshold),
    );
  }
  const times = foldNormFactor(params, threshold, factor);
  const timesFactor = (value: Real): Real => mul(value, c);
  judge.allNear('b_enc f', times.params.b_enc, b_enc.map(timesFactor));
  judge.allNear('b_dec f', times.params.b_dec, b_dec.map(timesFactor));
  const kept = threshold >= 0 ? timesFactor(real(threshold)) : real(threshold);
  judge.near('threshold f', times.threshold, kept);
}

function judgeNormaliser(
  { x, reconstruction, meanNorm, update, dialect }: InputCase,
  { normaliseInput }: Reference['inputNorm'],
  judge: Judge,
): void {
  const normalise = (): ReturnType<typeof normaliseInput> =>
    normaliseInput(x, meanNorm, dialect, update);
  if (dialect.input.normaliser === 'each-row' && x.cols === 1) {
    judge.refused('a deviation of one dimension', normalise);
    return;
  }
  const exactX = realMatrix(x);
  if (dialect.input.normaliser === 'running-mean-norm') {
    const zeroRows = surely(sign(sum(rowLengths(exactX)))) === 0;
    if (meanNorm === 0 && (zeroRows || !update)) {
      judge.refused('a mean norm of 0', normalise);
      return;
    }
  }
  if (dialect.input.normaliser === 'each-row' && dialect.input.epsilon === 0) {
    const equal = range(x.rows).some((b) =>
      rowOf(exactX, b).every((v) => v.approx === x.data[b * x.cols]),
    );
    // Of equal values the mean may be off by a rounding, and then the deviation is not 0.
    if (equal) surely(null);
  }
  const exact = normalisedInput(exactX, real(meanNorm), dialect, update);
  const got = normalise();
  judge.allNear('normalised', got.x, exact.x);
  judge.near('mean norm', got.meanNorm, exact.meanNorm);
  judge.allNear('restored', got.restore(reconstruction), exact.restore(realMatrix(reconstruction)));
}

/**
 * Scores, and which acts are kept: by rank over the batch or in each row, or above a threshold. Copies, so exact.
 * @module
 */
import fc from 'fast-check';
import type { Dialect } from '../../../reference/dialect.ts';
import type { Matrix } from '../../../reference/matrix.ts';
import { actsOf, dialect, matrixOf, number, sizes } from '../cases.ts';
import type { Judge } from '../judge.ts';
import type { Oracle } from '../oracle.ts';
import { big, compare, mul, sign, surely, type Real } from '../real.ts';
import { at, build, length, range, realMatrix, rowOf, type RealMatrix } from '../real-matrix.ts';

/** act, or act · ‖w_j‖. */
export function selectionScores(acts: RealMatrix, W_dec: RealMatrix, dialect: Dialect): RealMatrix {
  if (dialect.select.score === 'acts') return acts;
  const norms = range(W_dec.rows).map((j) => length(rowOf(W_dec, j)));
  return build(acts.rows, acts.cols, (b, j) => mul(at(acts, b, j), norms[j]));
}

/** K = trunc(k · rows) where the product is a double by definition: the one nearest to the exact product. */
export function selectionCount(k: number, rows: number): number {
  return Math.trunc(big(k).mul(rows).toNumber());
}

/** The `count` places of `candidates` with the largest scores, lower place first among equals; positive ones only. */
function largest(scores: Float64Array, candidates: readonly number[], count: number): number[] {
  const ranked = [...candidates].sort((i, j) => scores[j] - scores[i] || i - j);
  return ranked.slice(0, count).filter((i) => scores[i] > 0);
}

/** The acts at `places`, 0 elsewhere. */
function kept(acts: Matrix, places: readonly number[]): Float64Array {
  return acts.data.map((act, i) => (places.includes(i) ? act : 0));
}

/**
 * Whether float64 may have selected `mask` from these scores: nothing surely smaller in place of something surely larger,
 * nothing that is surely not positive, and the right number.
 */
export function judgeSelection(
  where: string,
  judge: Judge,
  mask: readonly boolean[],
  scores: readonly Real[],
  count: number,
): void {
  const chosen = scores.filter((_, i) => mask[i]);
  const left = scores.filter((_, i) => !mask[i]);
  const signs = scores.map(sign);
  const surelyPositive = signs.filter((s) => s === 1).length;
  const maybePositive = signs.filter((s) => s === 1 || s === null).length;
  const least = Math.min(count, surelyPositive);
  const most = Math.min(count, maybePositive);
  const counted = least <= chosen.length && chosen.length <= most;
  judge.same(`${where}: ${chosen.length} of ${least}..${most} selected`, counted, true);
  const positive = chosen.every((score) => sign(score) === null || sign(score) === 1);
  judge.same(`${where}: selected scores are positive`, positive, true);
  // Only among positive scores does order decide; one that may be 0 may be left out.
  const order = chosen.length < count ? [] : chosen.flatMap((a) => left.map((b) => compare(a, b)));
  judge.same(`${where}: nothing larger is left out`, order.includes(-1), false);
  const open = maybePositive > surelyPositive || order.includes(null) || least !== most;
  if (open) judge.open();
}

interface SelectCase {
  readonly acts: Matrix;
  readonly W_dec: Matrix;
  readonly scores: Matrix;
  readonly k: number;
  readonly rowK: number;
  readonly threshold: number;
  readonly dialect: Dialect;
}

export const select: Oracle<SelectCase> = {
  name: 'selection',
  holds: [
    'select.selectionCount',
    'select.selectionScores',
    'select.batchTopK',
    'select.topK',
    'select.aboveThreshold',
  ],
  cases: sizes.chain(({ rows, d_in, d_sae }) =>
    actsOf(rows, d_sae).chain((acts) =>
      fc.record({
        acts: fc.constant(acts),
        W_dec: matrixOf(d_sae, d_in),
        scores: fc.oneof(fc.constant(acts), actsOf(rows, d_sae), matrixOf(rows, d_sae)),
        k: fc.oneof(
          fc.integer({ min: 0, max: rows * d_sae }).map((K) => K / rows),
          fc.integer({ min: 0, max: d_sae }),
          fc.double({ min: 0, max: d_sae, noNaN: true }),
          fc.constantFrom(0.29, 0.57, 1.12).filter((k) => k <= d_sae),
        ),
        rowK: fc.integer({ min: 0, max: d_sae }),
        // Where a threshold is one of the scores, > and >= differ.
        threshold: fc.oneof(number, fc.constantFrom(...acts.data)),
        dialect,
      }),
    ),
  ),
  check({ acts, W_dec, scores, k, rowK, threshold, dialect }, { select }, judge) {
    const { rows, cols } = acts;
    const all = range(rows * cols);
    const ranked = select.selectionScores;
    if (dialect.select.score === 'acts') {
      judge.allNear('scores', ranked(acts, W_dec, dialect), realMatrix(acts));
    } else {
      const signs = range(cols).map((j) => surely(sign(length(rowOf(realMatrix(W_dec), j)))));
      if (signs.includes(0)) judge.refused('scores', () => ranked(acts, W_dec, dialect));
      else {
        judge.allNear(
          'scores',
          ranked(acts, W_dec, dialect),
          selectionScores(realMatrix(acts), realMatrix(W_dec), dialect),
        );
      }
    }
    const same = (where: string, got: Matrix, places: readonly number[]): void =>
      kept(acts, places).forEach((value, i) => judge.same(`${where}[${i}]`, got.data[i], value));

    const count = selectionCount(k, rows);
    judge.same('selectionCount', select.selectionCount(k, rows, cols), count);
    same('batchTopK', select.batchTopK(acts, k, scores), largest(scores.data, all, count));
    same(
      'topK',
      select.topK(acts, rowK, scores),
      range(rows).flatMap((b) =>
        largest(
          scores.data,
          range(cols).map((j) => b * cols + j),
          rowK,
        ),
      ),
    );
    same(
      'aboveThreshold',
      select.aboveThreshold(acts, threshold, scores),
      all.filter((i) => acts.data[i] > 0 && scores.data[i] > threshold),
    );
  },
};

/**
 * L_g = mean over rows of ‖x̂_g - x‖², and Σ c_g L_g.
 * @module
 */
import fc from 'fast-check';
import type { Dialect } from '../../../reference/dialect.ts';
import type { Matrix } from '../../../reference/matrix.ts';
import { dialect, matrixOf, sizes, values } from '../cases.ts';
import type { Oracle } from '../oracle.ts';
import { div, mul, one, real, square, sum, zero, type Real } from '../real.ts';
import {
  build,
  difference,
  inner,
  meanSquaredLength,
  range,
  realMatrix,
  reals,
  rowOf,
  type RealMatrix,
} from '../real-matrix.ts';
import { rowWeights } from './tilt.ts';

/** E_0..E_G. @param levels - x̂_0..x̂_G. */
export function levelErrors(x: RealMatrix, levels: readonly RealMatrix[]): RealMatrix[] {
  return levels.map((level) => difference(level, x));
}

/** c_0..c_G from w_1..w_G. */
export function levelCoefficients(
  weights: readonly number[],
  d_in: number,
  { loss }: Dialect,
): Real[] {
  const levels = weights.length + (loss.emptyPrefix ? 1 : 0);
  const overLevels = loss.overLevels === 'mean' ? div(one, real(levels)) : one;
  const share = loss.overDimensions === 'mean' ? div(overLevels, real(d_in)) : overLevels;
  const first = loss.emptyPrefix ? one : zero;
  return [first, ...reals(weights)].map((weight) => mul(weight, share));
}

/** L_g. @param weights - of rows, where the loss is tilted. */
export function levelLoss(error: RealMatrix, weights: readonly Real[] | null): Real {
  return weights === null ? meanSquaredLength(error) : inner(weights, rowSquares(error));
}

/** What rows of a level weigh; null where they weigh alike. */
export function levelWeights(error: RealMatrix, { loss }: Dialect): readonly Real[] | null {
  return loss.tilt === 0 ? null : rowWeights(rowSquares(error), loss.tilt);
}

function rowSquares(error: RealMatrix): Real[] {
  return range(error.rows).map((b) => sum(rowOf(error, b).map(square)));
}

interface LossCase {
  readonly x: Matrix;
  readonly b_dec: Float64Array;
  readonly levels: readonly Matrix[];
  readonly weights: Float64Array;
  readonly dialect: Dialect;
}

export const loss: Oracle<LossCase> = {
  name: 'level losses and their sum',
  holds: [
    'loss.defaultLevelWeights',
    'loss.levelCoefficients',
    'loss.levelErrors',
    'loss.levelLosses',
    'loss.reconstructionLoss',
  ],
  cases: fc.tuple(sizes, fc.integer({ min: 1, max: 3 })).chain(([{ rows, d_in }, levels]) =>
    fc.record({
      x: matrixOf(rows, d_in),
      b_dec: values(d_in),
      levels: fc.array(matrixOf(rows, d_in), { minLength: levels, maxLength: levels }),
      weights: values(levels).map((weights) => weights.map(Math.abs)),
      dialect,
    }),
  ),
  check({ x, b_dec, levels, weights, dialect }, { loss }, judge) {
    const first = build(x.rows, x.cols, (_, i) => real(b_dec[i]));
    const exact = levelErrors(realMatrix(x), [first, ...levels.map(realMatrix)]);
    const errors = loss.levelErrors(x, b_dec, levels);
    exact.forEach((level, g) => judge.allNear(`E_${g}`, errors[g], level));
    const losses = exact.map((error) => levelLoss(error, levelWeights(error, dialect)));
    const got = loss.levelLosses(errors, dialect.loss.tilt);
    judge.allNear('L', got, losses);

    const coefficients = levelCoefficients([...weights], x.cols, dialect);
    const c = loss.levelCoefficients([...weights], x.cols, dialect);
    judge.allNear('c', c, coefficients);
    judge.near('Σ c L', loss.reconstructionLoss(got, c), inner(coefficients, losses));
    judge.near(
      'Σ c L of given losses',
      loss.reconstructionLoss(got, c),
      inner(reals(c), reals(got)),
    );

    const count = weights.length;
    const fallback = dialect.loss.defaultWeight === 'one' ? one : div(one, real(count));
    judge.allNear(
      'default weights',
      Float64Array.from(loss.defaultLevelWeights(count, dialect)),
      weights.length === 0 ? [sum([])] : [...weights].map(() => fallback),
    );
  },
};

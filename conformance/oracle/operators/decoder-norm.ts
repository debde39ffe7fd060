/**
 * ŵ = w / (‖w‖ + ε), g - (g·ŵ) ŵ, and norms folded into the encoder.
 * @module
 */
import fc from 'fast-check';
import type { Matrix } from '../../../reference/matrix.ts';
import type { SaeParams } from '../../../reference/params.ts';
import { matrixOf, paramsOf, sizes, values } from '../cases.ts';
import type { Oracle } from '../oracle.ts';
import { add, compare, div, mul, real, sign, sub, surely, type Real } from '../real.ts';
import {
  at,
  build,
  inner,
  length,
  range,
  realMatrix,
  realParams,
  rowOf,
  type RealMatrix,
  type RealParams,
} from '../real-matrix.ts';

export function normaliseRows(W_dec: RealMatrix, epsilon: number): RealMatrix {
  const lengths = rowNorms(W_dec).map((norm) => add(norm, real(epsilon)));
  return build(W_dec.rows, W_dec.cols, (j, i) => div(at(W_dec, j, i), lengths[j]));
}

export function rowNorms(W_dec: RealMatrix): Real[] {
  return range(W_dec.rows).map((j) => length(rowOf(W_dec, j)));
}

export function projectGradient(
  gradient: RealMatrix,
  W_dec: RealMatrix,
  epsilon: number,
): RealMatrix {
  const unit = normaliseRows(W_dec, epsilon);
  const parallel = range(unit.rows).map((j) => inner(rowOf(gradient, j), rowOf(unit, j)));
  return build(unit.rows, unit.cols, (j, i) =>
    sub(at(gradient, j, i), mul(parallel[j], at(unit, j, i))),
  );
}

/** Whether a row is zero, which nothing divides where ε is 0. */
export function hasZeroRow(W_dec: RealMatrix): boolean {
  return rowNorms(W_dec).some((norm) => surely(sign(norm)) === 0);
}

/** Parameters with unit decoder rows: a norm of at least 1e-8, which a zero row counts as, goes into the encoder. */
export function foldDecoderNorm(params: RealParams): RealParams {
  const { W_enc, b_enc, W_dec, b_dec, threshold } = params;
  const n = foldableNorms(W_dec);
  return {
    W_enc: build(W_enc.rows, W_enc.cols, (i, j) => mul(at(W_enc, i, j), n[j])),
    b_enc: b_enc.map((b, j) => mul(b, n[j])),
    W_dec: build(W_dec.rows, W_dec.cols, (j, i) => div(at(W_dec, j, i), n[j])),
    b_dec,
    ...(threshold === undefined ? {} : { threshold: threshold.map((t, j) => mul(t, n[j])) }),
  };
}

function foldableNorms(W_dec: RealMatrix): Real[] {
  const least = real(1e-8);
  return rowNorms(W_dec).map((norm) => (surely(compare(norm, least)) < 0 ? least : norm));
}

interface NormCase {
  readonly gradient: Matrix;
  readonly params: SaeParams;
  readonly thresholds: Float64Array;
  readonly epsilon: number;
}

export const decoderNorm: Oracle<NormCase> = {
  name: 'decoder norm',
  holds: [
    'decoderNorm.projectGradient',
    'decoderNorm.normaliseRows',
    'decoderNorm.rowNorms',
    'decoderNorm.foldDecoderNorm',
  ],
  cases: sizes.chain((size) =>
    fc.record({
      gradient: matrixOf(size.d_sae, size.d_in),
      params: paramsOf(size),
      thresholds: values(size.d_sae),
      epsilon: fc.constantFrom(0, 1e-6, 2 ** -23, 1e-8, 0.5),
    }),
  ),
  check({ gradient, params, thresholds, epsilon }, { decoderNorm }, judge) {
    const W_dec = realMatrix(params.W_dec);
    const norms = rowNorms(W_dec);
    judge.allNear('norms', decoderNorm.rowNorms(params.W_dec), norms);
    if (epsilon === 0 && hasZeroRow(W_dec)) {
      judge.refused('rows', () => decoderNorm.normaliseRows(params.W_dec, 0));
    } else {
      judge.allNear(
        'rows',
        decoderNorm.normaliseRows(params.W_dec, epsilon),
        normaliseRows(W_dec, epsilon),
      );
      judge.allNear(
        'projected',
        decoderNorm.projectGradient(gradient, params.W_dec, epsilon),
        projectGradient(realMatrix(gradient), W_dec, epsilon),
      );
    }
    const given = { ...params, threshold: thresholds };
    const folded = decoderNorm.foldDecoderNorm(given);
    const exact = foldDecoderNorm(realParams(given));
    judge.allNear('folded W_enc', folded.W_enc, exact.W_enc);
    judge.allNear('folded b_enc', folded.b_enc, exact.b_enc);
    judge.allNear('folded W_dec', folded.W_dec, exact.W_dec);
    judge.allNear('folded b_dec', folded.b_dec, exact.b_dec);
    judge.allNear('folded thresholds', folded.threshold!, exact.threshold!);
  },
};

/**
 * pre' = pre + η (input - z W_dec) W_enc, and back through it.
 * @module
 */
import fc from 'fast-check';
import type { Dialect } from '../../../reference/dialect.ts';
import type { Matrix } from '../../../reference/matrix.ts';
import type { SaeParams } from '../../../reference/params.ts';
import { actsOf, dialect, matrixOf, paramsOf, sizes } from '../cases.ts';
import type { Oracle } from '../oracle.ts';
import { add, isZero, mul, neg, real, sub, sum, zero, type Real } from '../real.ts';
import {
  at,
  build,
  columnOf,
  inner,
  range,
  realMatrix,
  realParams,
  rowOf,
  type RealMatrix,
  type RealParams,
} from '../real-matrix.ts';
import { encoderInput } from './encode.ts';

export interface RealRefinement {
  readonly first: RealMatrix;
  readonly residual: RealMatrix;
  readonly pre: RealMatrix;
}

export function refined(
  pre: RealMatrix,
  first: RealMatrix,
  x: RealMatrix,
  params: RealParams,
  dialect: Dialect,
): RealRefinement {
  const input = encoderInput(x, params, dialect);
  const eta = real(dialect.encode.refinement);
  const residual = build(input.rows, input.cols, (b, i) =>
    sub(at(input, b, i), inner(rowOf(first, b), columnOf(params.W_dec, i))),
  );
  return {
    first,
    residual,
    pre: build(pre.rows, pre.cols, (b, j) =>
      add(at(pre, b, j), mul(eta, inner(rowOf(residual, b), columnOf(params.W_enc, j)))),
    ),
  };
}

/** What the first pre-activations receive, and what parameters do besides. */
export interface Received {
  readonly pre: RealMatrix;
  readonly W_enc: RealMatrix;
  readonly W_dec: RealMatrix;
  readonly b_dec: readonly Real[];
}

export function receivedThrough(
  delta: RealMatrix,
  { first, residual }: RealRefinement,
  { W_enc, W_dec }: RealParams,
  { encode }: Dialect,
): Received {
  const eta = real(encode.refinement);
  const upstream = build(residual.rows, residual.cols, (b, i) =>
    mul(eta, inner(rowOf(delta, b), rowOf(W_enc, i))),
  );
  return {
    pre: build(delta.rows, delta.cols, (b, j) =>
      isZero(at(first, b, j))
        ? at(delta, b, j)
        : sub(at(delta, b, j), inner(rowOf(upstream, b), rowOf(W_dec, j))),
    ),
    W_enc: build(W_enc.rows, W_enc.cols, (i, j) =>
      mul(eta, inner(columnOf(residual, i), columnOf(delta, j))),
    ),
    W_dec: build(W_dec.rows, W_dec.cols, (j, i) =>
      neg(inner(columnOf(first, j), columnOf(upstream, i))),
    ),
    b_dec: range(residual.cols).map((i) =>
      encode.subtractsDecoderBias ? neg(sum(columnOf(upstream, i))) : zero,
    ),
  };
}

interface RefineCase {
  readonly pre: Matrix;
  readonly first: Matrix;
  readonly x: Matrix;
  readonly delta: Matrix;
  readonly params: SaeParams;
  readonly dialect: Dialect;
}

export const refine: Oracle<RefineCase> = {
  name: 'refinement',
  holds: ['refine.refine', 'refine.refinementGradient'],
  cases: sizes.chain((size) =>
    fc.record({
      pre: matrixOf(size.rows, size.d_sae),
      first: actsOf(size.rows, size.d_sae),
      x: matrixOf(size.rows, size.d_in),
      delta: matrixOf(size.rows, size.d_sae),
      params: paramsOf(size),
      dialect,
    }),
  ),
  check({ pre, first, x, delta, params, dialect }, { refine }, judge) {
    const exactParams = realParams(params);
    const exact = refined(realMatrix(pre), realMatrix(first), realMatrix(x), exactParams, dialect);
    const got = refine.refine(pre, first, x, params, dialect);
    judge.allNear('first', got.first, exact.first);
    judge.allNear('residual', got.residual, exact.residual);
    judge.allNear('pre', got.pre, exact.pre);

    // Of the reference's own residual: each operator on its own inputs.
    const given = { ...exact, residual: realMatrix(got.residual) };
    const back = receivedThrough(realMatrix(delta), given, exactParams, dialect);
    const answer = refine.refinementGradient(delta, got, params, dialect);
    judge.allNear('gradient at pre', answer.pre, back.pre);
    judge.allNear('W_enc', answer.W_enc, back.W_enc);
    judge.allNear('W_dec', answer.W_dec, back.W_dec);
    judge.allNear('b_dec', answer.b_dec, back.b_dec);
  },
};

/**
 * pre = (x - b_dec) W_enc + b_enc, then ReLU.
 * @module
 */
import fc from 'fast-check';
import type { Dialect } from '../../../reference/dialect.ts';
import type { Matrix } from '../../../reference/matrix.ts';
import type { SaeParams } from '../../../reference/params.ts';
import { dialect, matrixOf, paramsOf, sizes } from '../cases.ts';
import type { Oracle } from '../oracle.ts';
import { add, positivePart, sub } from '../real.ts';
import {
  at,
  build,
  columnOf,
  inner,
  realMatrix,
  realParams,
  rowOf,
  type RealMatrix,
  type RealParams,
} from '../real-matrix.ts';

/** What W_enc is multiplied by: (rows, d_in). */
export function encoderInput(x: RealMatrix, { b_dec }: RealParams, dialect: Dialect): RealMatrix {
  if (!dialect.encode.subtractsDecoderBias) return x;
  return build(x.rows, x.cols, (b, i) => sub(at(x, b, i), b_dec[i]));
}

/** (rows, d_sae). */
export function preActivations(x: RealMatrix, params: RealParams, dialect: Dialect): RealMatrix {
  const input = encoderInput(x, params, dialect);
  return build(x.rows, params.W_enc.cols, (b, j) => {
    const product = inner(rowOf(input, b), columnOf(params.W_enc, j));
    return dialect.encode.usesEncoderBias ? add(product, params.b_enc[j]) : product;
  });
}

/** max(pre, 0). */
export function positiveParts(pre: RealMatrix): RealMatrix {
  return { ...pre, data: pre.data.map(positivePart) };
}

interface EncodeCase {
  readonly x: Matrix;
  readonly params: SaeParams;
  readonly dialect: Dialect;
}

export const encode: Oracle<EncodeCase> = {
  name: 'encode',
  holds: ['encode.encoderInput', 'encode.preActivations', 'encode.relu', 'encode.encode'],
  cases: sizes.chain((size) =>
    fc.record({ x: matrixOf(size.rows, size.d_in), params: paramsOf(size), dialect }),
  ),
  check({ x, params, dialect }, { encode }, judge) {
    const exactX = realMatrix(x);
    const exactParams = realParams(params);
    const pre = preActivations(exactX, exactParams, dialect);
    judge.allNear(
      'input',
      encode.encoderInput(x, params, dialect),
      encoderInput(exactX, exactParams, dialect),
    );
    judge.allNear('pre', encode.preActivations(x, params, dialect), pre);
    judge.allNear('acts', encode.encode(x, params, dialect), positiveParts(pre));
    judge.allNear('relu', encode.relu(x), positiveParts(exactX));
  },
};

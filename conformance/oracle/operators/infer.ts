/**
 * A trained SAE on new rows: input normalised, encoded, gated, decoded, taken back to the units of x.
 * @module
 */
import fc from 'fast-check';
import type { Dialect } from '../../../reference/dialect.ts';
import type { Matrix } from '../../../reference/matrix.ts';
import type { SaeParams } from '../../../reference/params.ts';
import { dialect, matrixOf, number, paramsOf, positiveValues, sizes, values } from '../cases.ts';
import type { Oracle } from '../oracle.ts';
import { compare, mul, one, positivePart, real, sign, surely, zero, type Real } from '../real.ts';
import {
  at,
  build,
  realMatrix,
  realParams,
  type RealMatrix,
  type RealParams,
} from '../real-matrix.ts';
import { decodePrefix } from './decode.ts';
import { foldDecoderNorm, rowNorms } from './decoder-norm.ts';
import { preActivations } from './encode.ts';
import { normalisedInput } from './input-norm.ts';
import { refined } from './refine.ts';

/** What a pre-activation must be above to be a latent: 0, and the threshold or its own. */
function cut(j: number, model: RealParams, threshold: number, dialect: Dialect): Real {
  switch (dialect.inference.gate) {
    case 'none':
      return zero;
    case 'threshold':
      return positivePart(real(threshold));
    case 'latent-thresholds':
      return positivePart(model.threshold![j]);
  }
}

interface InferCase {
  readonly x: Matrix;
  readonly params: SaeParams;
  readonly threshold: number;
  readonly firstThreshold: number;
  readonly meanNorm: number;
  readonly dialect: Dialect;
}

export const infer: Oracle<InferCase> = {
  name: 'inference',
  holds: ['infer.infer'],
  cases: sizes.chain((size) =>
    fc.record({
      x: matrixOf(size.rows, size.d_in),
      params: fc
        .tuple(paramsOf(size), values(size.d_sae))
        .map(([params, threshold]) => ({ ...params, threshold })),
      threshold: fc.oneof(number, fc.constantFrom(-1, 0)),
      firstThreshold: fc.oneof(number, fc.constantFrom(-1, 0)),
      meanNorm: positiveValues(1).map(([value]) => value || 1),
      dialect,
    }),
  ),
  check({ x, params, threshold, firstThreshold, meanNorm, dialect }, { infer }, judge) {
    const call = (): ReturnType<typeof infer.infer> =>
      infer.infer(x, params, threshold, dialect, meanNorm, firstThreshold);
    if (dialect.input.normaliser === 'each-row' && x.cols === 1) {
      judge.refused('a deviation of one dimension', call);
      return;
    }
    const input = normalisedInput(realMatrix(x), real(meanNorm), dialect, false);
    const rescaled = dialect.inference.values === 'acts-times-decoder-norm';
    // A threshold is in units of rescaled acts; without one the norms come last.
    const folds = rescaled && dialect.inference.gate !== 'none';
    const given = realParams(params);
    const model = folds ? foldDecoderNorm(given) : given;
    const norms = rowNorms(given.W_dec).map((norm) => (rescaled && !folds ? norm : one));
    const encoded = preActivations(input.x, model, dialect);
    const first = (): RealMatrix =>
      build(encoded.rows, encoded.cols, (b, j) => {
        const value = at(encoded, b, j);
        // The answer does not show which passed at first.
        const order = surely(compare(value, cut(j, model, firstThreshold, dialect)));
        return order === 1 ? value : zero;
      });
    const pre =
      dialect.encode.refinement === 0
        ? encoded
        : refined(encoded, first(), input.x, model, dialect).pre;
    const got = call();
    const acts = build(pre.rows, pre.cols, (b, j) => {
      // A latent of norm 0 is 0 and decodes to 0 whatever its act is.
      if (surely(sign(norms[j])) === 0) return zero;
      const value = at(pre, b, j);
      const order = compare(value, cut(j, model, threshold, dialect));
      const passed = got.latents.data[b * pre.cols + j] !== 0;
      if (order === null) {
        judge.open();
        return passed ? value : zero;
      }
      // An act times a norm may underflow to 0: then what was let through shows in the values below.
      const mayUnderflow = rescaled && !folds && order === 1;
      if (!mayUnderflow) judge.same(`latent [${b}, ${j}] passes`, passed, order === 1);
      return order === 1 ? value : zero;
    });
    const latents = build(pre.rows, pre.cols, (b, j) => mul(at(acts, b, j), norms[j]));
    const perUnit = dialect.input.normaliser === 'running-mean-norm';
    judge.allNear('latents', got.latents, perUnit ? input.restore(latents) : latents);
    judge.allNear(
      'reconstruction',
      got.reconstruction,
      input.restore(decodePrefix(acts, model, pre.cols)),
    );
  },
};

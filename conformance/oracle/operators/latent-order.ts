/**
 * q ← decay q + (1 - decay) mean (a ‖w‖)², or the share of rows where a is not 0; latents sorted by q. Sorting copies, so it
 * is exact.
 * @module
 */
import fc from 'fast-check';
import type { Dialect } from '../../../reference/dialect.ts';
import type { Matrix } from '../../../reference/matrix.ts';
import type { SaeParams } from '../../../reference/params.ts';
import { actsOf, dialect, paramsOf, positiveValues, sizes } from '../cases.ts';
import type { Oracle } from '../oracle.ts';
import { div, mul, real, square, sum, type Real } from '../real.ts';
import { at, build, columnOf, range, realMatrix, realParams, reals } from '../real-matrix.ts';
import { rowNorms } from './decoder-norm.ts';
import { average as weighted } from './threshold.ts';

/** p_j after a batch. @param average - before it; null before the first. */
export function frequencies(
  average: Float64Array | null,
  latents: Matrix,
  { latentOrder }: Dialect,
): Real[] {
  return range(latents.cols).map((j) => {
    const fired = range(latents.rows).filter((b) => latents.data[b * latents.cols + j] !== 0);
    const share = div(real(fired.length), real(latents.rows));
    return average === null ? share : weighted(real(average[j]), share, latentOrder.decay);
  });
}

interface OrderCase {
  readonly averages: Float64Array;
  readonly latents: Matrix;
  readonly params: SaeParams;
  readonly dialect: Dialect;
}

export const latentOrder: Oracle<OrderCase> = {
  name: 'latent order',
  holds: [
    'latentOrder.updateMeanSquares',
    'latentOrder.updateFrequencies',
    'latentOrder.latentOrder',
    'latentOrder.reorderLatents',
    'latentOrder.reorderColumns',
  ],
  cases: sizes.chain((size) =>
    fc.record({
      averages: positiveValues(size.d_sae),
      latents: actsOf(size.rows, size.d_sae),
      params: paramsOf(size),
      dialect,
    }),
  ),
  check({ averages, latents, params, dialect }, { latentOrder }, judge) {
    const norms = rowNorms(realMatrix(params.W_dec));
    const rows = real(latents.rows);
    judge.allNear(
      'averages',
      latentOrder.updateMeanSquares(averages, latents, params.W_dec, dialect),
      reals(averages).map((old, j) => {
        const squares = columnOf(realMatrix(latents), j).map((a) => square(mul(a, norms[j])));
        return weighted(old, div(sum(squares), rows), dialect.latentOrder.decay);
      }),
    );
    for (const before of [null, averages]) {
      judge.allNear(
        'frequencies',
        latentOrder.updateFrequencies(before ?? undefined, latents, dialect),
        frequencies(before, latents, dialect),
      );
    }
    const order = range(averages.length).sort((i, j) => averages[j] - averages[i] || i - j);
    const got = latentOrder.latentOrder(averages);
    order.forEach((latent, place) => judge.same(`order[${place}]`, got[place], latent));

    const { W_enc, b_enc, W_dec, b_dec } = realParams(params);
    const columns = latentOrder.reorderColumns(latents, Uint32Array.from(order));
    const exact = realMatrix(latents);
    judge.allNear(
      'columns in order',
      columns,
      build(latents.rows, latents.cols, (b, j) => at(exact, b, order[j])),
    );
    const withThreshold = { ...params, threshold: averages };
    const moved = latentOrder.reorderLatents(withThreshold, Uint32Array.from(order));
    const encoder = build(W_enc.rows, W_enc.cols, (i, j) => at(W_enc, i, order[j]));
    const decoder = build(W_dec.rows, W_dec.cols, (j, i) => at(W_dec, order[j], i));
    judge.allNear('W_enc in order', moved.W_enc, encoder);
    judge.allNear('W_dec in order', moved.W_dec, decoder);
    judge.allNear(
      'b_enc in order',
      moved.b_enc,
      order.map((j) => b_enc[j]),
    );
    judge.allNear(
      'threshold in order',
      moved.threshold ?? new Float64Array(0),
      order.map((j) => reals(averages)[j]),
    );
    judge.allNear('b_dec', moved.b_dec, b_dec);
  },
};

/**
 * auxk: dead latents chosen, decoded, and compared with the residual.
 * @module
 */
import { auxkCount } from '../../reference/auxk.ts';
import { dictionaryLearning } from '../../reference/dialects.ts';
import type { Call, Tensor, Tensors } from '../kernel.ts';
import { numberOf, scalar } from '../tensors.ts';
import { matrixSum, sum, sumOfSquares, type Arithmetic } from './arithmetic.ts';
import { largest } from './select.ts';

/** @throws {@link RangeError} if the residual's variance is 0. */
export function auxk(call: Call, arithmetic: Arithmetic): Tensors {
  const { residual, acts, W_dec, dead } = call.inputs;
  const { round, store } = arithmetic;
  const [rows, d_in] = residual.shape;
  const latents = chosen(call, arithmetic);
  if (dead.data.every((flag) => flag === 0)) {
    const nothing = new Float64Array(residual.data.length);
    return {
      loss: scalar(0),
      latents: { shape: acts.shape, data: latents },
      gradient: { shape: residual.shape, data: nothing },
    };
  }
  const d_sae = dead.data.length;
  const row = new Float64Array(d_sae);
  const column = new Float64Array(d_sae);
  const miss = residual.data.map((value, at) => {
    const i = at % d_in;
    const start = ((at - i) / d_in) * d_sae;
    for (let j = 0; j < d_sae; j++) {
      row[j] = latents[start + j];
      column[j] = W_dec.data[j * d_in + i];
    }
    return round(matrixSum(arithmetic, row, column, d_sae) - value);
  });
  const variance = meanSquare(arithmetic, centred(residual, arithmetic), rows);
  if (variance === 0) throw new RangeError('residual: expected rows that differ, got no variance');
  const factor = round(round(2 * numberOf(call, 'alpha')) / rows);
  return {
    loss: scalar(store(round(meanSquare(arithmetic, miss, rows) / variance))),
    latents: { shape: acts.shape, data: latents },
    gradient: {
      shape: residual.shape,
      data: miss.map((value) => store(round(round(factor * value) / variance))),
    },
  };
}

/** The k_aux largest acts of dead latents of each row, 0 elsewhere. */
function chosen({ inputs: { residual, acts, dead } }: Call, { keeps }: Arithmetic): Float64Array {
  const d_sae = dead.data.length;
  const flags = Uint8Array.from(dead.data);
  const count = auxkCount(flags, residual.shape[1], dictionaryLearning);
  const candidates = [...flags.keys()].filter((j) => flags[j] === 1);
  const latents = new Float64Array(acts.data.length);
  for (let start = 0; start < latents.length; start += d_sae) {
    const places = candidates.map((j) => start + j);
    for (const at of largest(acts.data, places, count, keeps)) latents[at] = acts.data[at];
  }
  return latents;
}

const meanSquare = (arithmetic: Arithmetic, values: Float64Array, rows: number): number =>
  arithmetic.round(sumOfSquares(arithmetic, values) / rows);

/** The residual less its mean over rows. */
function centred({ shape: [rows, d_in], data }: Tensor, arithmetic: Arithmetic): Float64Array {
  const { round } = arithmetic;
  const column = new Float64Array(rows);
  const means = Float64Array.from({ length: d_in }, (_, i) => {
    for (let b = 0; b < rows; b++) column[b] = data[b * d_in + i];
    return round(sum(arithmetic, column, rows) / rows);
  });
  return data.map((value, at) => round(value - means[at % d_in]));
}

/**
 * encode, from x - b_dec or in two products.
 * @module
 */
import type { Call, Tensors } from '../kernel.ts';
import { withLast } from '../tensors.ts';
import { matrixSum, type Arithmetic } from './arithmetic.ts';

/** ReLU((x - b_dec) W_enc + b_enc), or ReLU(x W_enc - b_dec W_enc + b_enc). */
export function encode({ inputs }: Call, arithmetic: Arithmetic): Tensors {
  const { x, W_enc, b_enc, b_dec } = inputs;
  const [d_in, d_sae] = W_enc.shape;
  const { round, store, split } = arithmetic;
  const acts = new Float64Array((x.data.length / d_in) * d_sae);
  const row = new Float64Array(d_in);
  const column = new Float64Array(d_in);
  const product = (j: number, value: (i: number) => number): number => {
    for (let i = 0; i < d_in; i++) {
      row[i] = value(i);
      column[i] = W_enc.data[i * d_sae + j];
    }
    return matrixSum(arithmetic, row, column, d_in);
  };
  for (let at = 0; at < acts.length; at++) {
    const j = at % d_sae;
    const start = ((at - j) / d_sae) * d_in;
    const centred = split
      ? round(product(j, (i) => x.data[start + i]) - product(j, (i) => b_dec.data[i]))
      : product(j, (i) => round(x.data[start + i] - b_dec.data[i]));
    acts[at] = store(Math.max(round(centred + b_enc.data[j]), 0));
  }
  return { acts: { shape: withLast(x.shape, d_sae), data: acts } };
}

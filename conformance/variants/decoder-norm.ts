/**
 * project-gradient and normalise-rows.
 * @module
 */
import type { Call, Tensor, Tensors } from '../kernel.ts';
import { numberOf } from '../tensors.ts';
import { norm, sumOfProducts, type Arithmetic } from './arithmetic.ts';

/** w_j / (‖w_j‖ + epsilon), before it is stored. */
function unitRows({ shape, data }: Tensor, epsilon: number, arithmetic: Arithmetic): Float64Array {
  const [d_sae, d_in] = shape;
  const { round } = arithmetic;
  const out = data.slice();
  for (let j = 0; j < d_sae; j++) {
    const row = out.subarray(j * d_in, (j + 1) * d_in);
    const length = round(norm(arithmetic, row) + round(epsilon));
    if (length === 0) throw new RangeError(`W_dec: expected a norm above 0, got 0 in row ${j}`);
    for (let i = 0; i < d_in; i++) row[i] = round(row[i] / length);
  }
  return out;
}

/** w_j / (‖w_j‖ + epsilon) for each row. */
export function normaliseRows(call: Call, arithmetic: Arithmetic): Tensors {
  const { W_dec } = call.inputs;
  const data = unitRows(W_dec, numberOf(call, 'epsilon'), arithmetic).map(arithmetic.store);
  return { W_dec: { shape: W_dec.shape, data } };
}

/** g_j - (g_j · ŵ_j) ŵ_j for each row. */
export function projectGradient(call: Call, arithmetic: Arithmetic): Tensors {
  const { gradient, W_dec } = call.inputs;
  const { round, store } = arithmetic;
  const [d_sae, d_in] = W_dec.shape;
  const unit = unitRows(W_dec, numberOf(call, 'epsilon'), arithmetic);
  const data = gradient.data.slice();
  for (let j = 0; j < d_sae; j++) {
    const row = data.subarray(j * d_in, (j + 1) * d_in);
    const direction = unit.subarray(j * d_in, (j + 1) * d_in);
    const along = sumOfProducts(arithmetic, row.slice(), direction, d_in);
    for (let i = 0; i < d_in; i++) row[i] = store(round(row[i] - round(along * direction[i])));
  }
  return { gradient: { shape: gradient.shape, data } };
}

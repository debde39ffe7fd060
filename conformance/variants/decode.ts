/**
 * decode: every prefix from scratch, where the reference keeps a running sum.
 * @module
 */
import { requirePrefixes } from '../../reference/prefixes.ts';
import type { Call, Tensors } from '../kernel.ts';
import { numbersOf } from '../tensors.ts';
import { matrixSum, type Arithmetic } from './arithmetic.ts';

/** x̂_g for every prefix in the format of sums, before it is stored: (prefixes, rows, d_in). */
export function reconstruct(call: Call, arithmetic: Arithmetic): Float64Array {
  const { latents, W_dec, b_dec } = call.inputs;
  const [d_sae, d_in] = W_dec.shape;
  const prefixes = numbersOf(call, 'prefixes');
  requirePrefixes(prefixes, d_sae);
  const rows = latents.data.length / d_sae;
  const out = new Float64Array(prefixes.length * rows * d_in);
  const row = new Float64Array(d_sae);
  const column = new Float64Array(d_sae);
  let at = 0;
  for (const width of prefixes) {
    for (let b = 0; b < rows; b++) {
      for (let i = 0; i < d_in; i++) {
        for (let j = 0; j < width; j++) {
          row[j] = latents.data[b * d_sae + j];
          column[j] = W_dec.data[j * d_in + i];
        }
        out[at++] = arithmetic.round(matrixSum(arithmetic, row, column, width) + b_dec.data[i]);
      }
    }
  }
  return out;
}

export function decode(call: Call, arithmetic: Arithmetic): Tensors {
  const { latents, b_dec } = call.inputs;
  const shape = [
    numbersOf(call, 'prefixes').length,
    ...latents.shape.slice(0, -1),
    b_dec.data.length,
  ];
  return { reconstructions: { shape, data: reconstruct(call, arithmetic).map(arithmetic.store) } };
}

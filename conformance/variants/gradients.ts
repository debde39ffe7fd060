/**
 * gradients: products of matrices, and sums of one term for each active latent.
 * @module
 */
import { dictionaryLearning } from '../../reference/dialects.ts';
import { levelCoefficients } from '../../reference/loss.ts';
import { groups } from '../../reference/prefixes.ts';
import type { Call, Tensors } from '../kernel.ts';
import { fromVector, numbersOf } from '../tensors.ts';
import { matrixSum, sum, type Arithmetic } from './arithmetic.ts';
import { reconstruct } from './decode.ts';

export function gradients(call: Call, arithmetic: Arithmetic): Tensors {
  const { x, latents, W_enc, b_dec, auxk_latents, auxk_gradient, W_dec } = call.inputs;
  const { round, store } = arithmetic;
  const [rows, d_in] = x.shape;
  const d_sae = latents.shape[1];
  const T = suffixSums(call, arithmetic);
  const group = groups(numbersOf(call, 'prefixes')).flatMap(({ start, end }, g) =>
    new Array<number>(end - start).fill(g),
  );
  const size = rows * d_in;
  const longest = Math.max(2 * rows, d_in, d_sae);
  const left = new Float64Array(longest);
  const right = new Float64Array(longest);
  /** Σ left(t) right(t) of n products. */
  const product = (n: number, a: (t: number) => number, b: (t: number) => number): number => {
    for (let t = 0; t < n; t++) {
      left[t] = a(t);
      right[t] = b(t);
    }
    return matrixSum(arithmetic, left, right, n);
  };

  const delta = latents.data.map((latent, at) => {
    const j = at % d_sae;
    const row = ((at - j) / d_sae) * d_in;
    const along = (upstream: Float64Array, start: number): number =>
      product(
        d_in,
        (i) => upstream[start + row + i],
        (i) => W_dec.data[j * d_in + i],
      );
    const selected = latent > 0 ? along(T, group[j] * size) : 0;
    const revived = auxk_latents.data[at] > 0 ? along(auxk_gradient.data, 0) : 0;
    return round(selected + revived);
  });

  const bias = new Float64Array(d_sae);
  for (let j = 0; j < d_sae; j++) {
    for (let b = 0; b < rows; b++) left[b] = delta[b * d_sae + j];
    bias[j] = sum(arithmetic, left, rows);
  }
  const decoder = W_dec.data.map((_, at) => {
    const i = at % d_in;
    const j = (at - i) / d_in;
    return product(
      2 * rows,
      (t) => (t < rows ? latents : auxk_latents).data[(t % rows) * d_sae + j],
      (t) =>
        t < rows ? T[group[j] * size + t * d_in + i] : auxk_gradient.data[(t - rows) * d_in + i],
    );
  });
  const encoder = W_enc.data.map((_, at) => {
    const j = at % d_sae;
    const i = (at - j) / d_sae;
    const part = (value: (b: number) => number): number =>
      product(rows, value, (b) => delta[b * d_sae + j]);
    const given = (b: number): number => x.data[b * d_in + i];
    return arithmetic.split
      ? round(part(given) - part(() => b_dec.data[i]))
      : part((b) => round(given(b) - b_dec.data[i]));
  });
  const origin = b_dec.data.map((_, i) => {
    for (let b = 0; b < rows; b++) left[b] = T[b * d_in + i];
    const direct = sum(arithmetic, left, rows);
    const encoded = product(
      d_sae,
      (j) => W_enc.data[i * d_sae + j],
      (j) => bias[j],
    );
    return round(direct - encoded);
  });
  return {
    'grad.W_enc': { shape: W_enc.shape, data: encoder.map(store) },
    'grad.b_enc': fromVector(bias.map(store)),
    'grad.W_dec': { shape: W_dec.shape, data: decoder.map(store) },
    'grad.b_dec': fromVector(origin.map(store)),
  };
}

/** T_g = Σ_{h >= g} (2 c_h / rows) (x̂_h - x): (levels, rows, d_in). */
function suffixSums(call: Call, arithmetic: Arithmetic): Float64Array {
  const { x, b_dec } = call.inputs;
  const { round } = arithmetic;
  const weights = numbersOf(call, 'level_weights');
  const [, ...shares] = levelCoefficients(weights, b_dec.data.length, dictionaryLearning);
  const size = x.data.length;
  const out = reconstruct(call, arithmetic);
  for (let g = shares.length - 1; g >= 0; g--) {
    const factor = round(round(2 * shares[g]) / x.shape[0]);
    for (let at = 0; at < size; at++) {
      const own = round(factor * round(out[g * size + at] - x.data[at]));
      const later = g + 1 < shares.length ? out[(g + 1) * size + at] : 0;
      out[g * size + at] = round(own + later);
    }
  }
  return out;
}

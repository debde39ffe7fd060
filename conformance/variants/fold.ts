/**
 * fold-input-scale and fold-decoder-norm.
 * @module
 */
import type { Call, Tensor, Tensors } from '../kernel.ts';
import { numberOf } from '../tensors.ts';
import { norm, type Arithmetic } from './arithmetic.ts';

const mapped = ({ shape, data }: Tensor, of: (value: number, i: number) => number): Tensor => ({
  shape,
  data: data.map(of),
});

/** An SAE trained on scale · x made one for x, by way of its biases or of its weights. */
export function foldInputScale(call: Call, { round, store }: Arithmetic): Tensors {
  const { W_enc, b_enc, W_dec, b_dec, threshold } = call.inputs;
  const scale = round(numberOf(call, 'scale'));
  if (!(scale > 0)) throw new RangeError(`scale: expected a number above 0, got ${scale}`);
  const times = (tensor: Tensor): Tensor => mapped(tensor, (value) => store(round(value * scale)));
  const over = (tensor: Tensor): Tensor => mapped(tensor, (value) => store(round(value / scale)));
  if (call.config['folds'] === 'into-biases') {
    const cut = threshold.data[0] < 0 ? threshold : over(threshold);
    return { W_enc, b_enc: over(b_enc), W_dec, b_dec: over(b_dec), threshold: cut };
  }
  const isRescaled = call.config['score'] === 'acts-times-decoder-norm';
  return {
    W_enc: times(W_enc),
    b_enc,
    W_dec: over(W_dec),
    b_dec: over(b_dec),
    threshold: isRescaled ? over(threshold) : threshold,
  };
}

/** Decoder norms, of 1e-8 at least, out of W_dec and into W_enc, b_enc and thresholds. */
export function foldDecoderNorm({ inputs }: Call, arithmetic: Arithmetic): Tensors {
  const { W_enc, b_enc, W_dec, b_dec, threshold } = inputs;
  const { round, store } = arithmetic;
  const [d_in, d_sae] = W_enc.shape;
  const norms = Float64Array.from({ length: d_sae }, (_, j) =>
    Math.max(norm(arithmetic, W_dec.data.subarray(j * d_in, (j + 1) * d_in)), round(1e-8)),
  );
  const times = (tensor: Tensor): Tensor =>
    mapped(tensor, (value, i) => store(round(value * norms[i % d_sae])));
  return {
    W_enc: times(W_enc),
    b_enc: times(b_enc),
    W_dec: mapped(W_dec, (value, i) => store(round(value / norms[Math.floor(i / d_in)]))),
    b_dec,
    threshold: times(threshold),
  };
}

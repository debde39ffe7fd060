/**
 * What a folded SAE owes the one it was folded from: on the same activations the same reconstruction and, up to one factor
 * a latent, the same acts, above the same thresholds.
 *
 * Both are evaluated here in float64. A folded tensor may be off by its own bound, so an act may be off by
 * e = Σ_i (|x_i - b_dec_i| e(W_enc) + e(b_dec) (|W_enc| + e(W_enc))) + e(b_enc), and a reconstruction by
 * e(b_dec) + Σ_j (e (|W_dec| + e(W_dec)) + act · e(W_dec)). A threshold decides where act and threshold differ by more than
 * both their errors.
 * @module
 */
import fc from 'fast-check';
import { norm, row } from '../../reference/matrix.ts';
import { valuesOf, type SaeParams } from '../../reference/params.ts';
import { gamma } from '../error-model.ts';
import type { Call, Tensor, Tensors } from '../kernel.ts';
import type { Bounds } from '../laws.ts';
import { tensor } from '../tensors.ts';

/** One row of activations for every width a call may have: the first d_in of them are used. */
export const activations: fc.Arbitrary<number[]> = fc.array(
  fc.integer({ min: -8, max: 8 }).map((n) => n / 4),
  { minLength: 6, maxLength: 6 },
);

/** An SAE, and the threshold of each latent, in units of act times `units`. */
export interface GatedSae {
  readonly params: SaeParams;
  readonly thresholds: Float64Array;
  readonly units: Float64Array;
}

/** A fold: on x the folded SAE does what the given one does on scale · x, divided by scale. */
export interface Fold {
  readonly given: GatedSae;
  readonly folded: GatedSae;
  /** Of the folded tensors, by name, and of `units`. */
  readonly errors: Bounds;
  readonly scale: number;
  /** Of each latent: folded act over given act. */
  readonly factors: Float64Array;
}

/** Acts of one row, and how far evaluation in float64 and the errors of tensors may have moved them. */
function encoded(
  x: readonly number[],
  { W_enc, b_enc, b_dec }: SaeParams,
  errors?: Bounds,
): { acts: Float64Array; error: Float64Array } {
  const [d_in, d_sae] = [W_enc.rows, W_enc.cols];
  const acts = new Float64Array(d_sae);
  const error = new Float64Array(d_sae);
  for (let j = 0; j < d_sae; j++) {
    let [sum, magnitude, moved] = [b_enc[j], Math.abs(b_enc[j]), errors?.b_enc[j] ?? 0];
    for (let i = 0; i < d_in; i++) {
      const w = W_enc.data[i * d_sae + j];
      const e = errors?.W_enc[i * d_sae + j] ?? 0;
      sum += (x[i] - b_dec[i]) * w;
      magnitude += (Math.abs(x[i]) + Math.abs(b_dec[i])) * Math.abs(w);
      moved += Math.abs(x[i] - b_dec[i]) * e + (errors?.b_dec[i] ?? 0) * (Math.abs(w) + e);
    }
    acts[j] = Math.max(sum, 0);
    error[j] = moved + gamma(2 * d_in + 4, 2 ** -53) * magnitude;
  }
  return { acts, error };
}

/** Acts of the given SAE on scale · x and of the folded one on x, and the error of their difference. */
function bothEncoded(
  x: readonly number[],
  { given, folded, errors, scale, factors }: Fold,
): { expected: Float64Array; got: Float64Array; error: Float64Array; before: Float64Array } {
  const own = encoded(
    x.map((value) => scale * value),
    given.params,
  );
  const { acts: got, error } = encoded(x, folded.params, errors);
  return {
    before: own.acts,
    expected: own.acts.map((act, j) => act * factors[j]),
    got,
    error: error.map((e, j) => e + own.error[j] * factors[j] + 2 ** -51 * got[j]),
  };
}

/** What is wrong with a fold's acts or reconstruction at x, all latents open; null if nothing. */
export function wrongReconstruction(x: readonly number[], fold: Fold): string | null {
  const { given, folded, errors, scale } = fold;
  const { before, expected, got, error } = bothEncoded(x, fold);
  for (let j = 0; j < got.length; j++) {
    if (!(Math.abs(got[j] - expected[j]) <= error[j])) {
      return `act ${j} of the folded SAE is ${got[j]} at x = (${shown(x, folded)}), expected ${expected[j]} ± ${error[j].toExponential(2)}`;
    }
  }
  const fuzz = gamma(2 * got.length + 4, 2 ** -53);
  for (let i = 0; i < folded.params.b_dec.length; i++) {
    let [sum, moved] = [folded.params.b_dec[i], errors.b_dec[i]];
    let [own, magnitude] = [given.params.b_dec[i], Math.abs(given.params.b_dec[i])];
    for (let j = 0; j < got.length; j++) {
      const w = row(folded.params.W_dec, j)[i];
      const e = errors.W_dec[j * folded.params.b_dec.length + i];
      sum += got[j] * w;
      moved += error[j] * (Math.abs(w) + e) + got[j] * (e + fuzz * Math.abs(w));
      const term = before[j] * row(given.params.W_dec, j)[i];
      own += term;
      magnitude += Math.abs(term);
    }
    const bound = moved + fuzz * ((2 * magnitude) / scale);
    if (!(Math.abs(sum - own / scale) <= bound)) {
      return `reconstruction[${i}] of the folded SAE is ${sum} at x = (${shown(x, folded)}), expected ${own / scale} ± ${bound.toExponential(2)}`;
    }
  }
  return null;
}

/** Which latent a folded threshold opens or closes wrongly at x; null if none. */
export function wrongGate(x: readonly number[], fold: Fold): string | null {
  const { given, folded, errors } = fold;
  const { before, got, error } = bothEncoded(x, fold);
  for (let j = 0; j < got.length; j++) {
    const isOpen = before[j] * given.units[j] > given.thresholds[j];
    const score = got[j] * folded.units[j];
    const moved = error[j] * (folded.units[j] + errors.units[j]) + got[j] * errors.units[j];
    const slack = moved + errors.threshold[j] + 2 ** -49 * (score + Math.abs(folded.thresholds[j]));
    const difference = score - folded.thresholds[j];
    if (!(Math.abs(difference) > slack) && !Number.isNaN(difference)) continue;
    if (difference > 0 !== isOpen) {
      return `latent ${j} of the folded SAE has ${score} against a threshold of ${folded.thresholds[j]} at x = (${shown(x, folded)}), and ${isOpen ? 'above' : 'not above'} it before: ${before[j] * given.units[j]} against ${given.thresholds[j]}`;
    }
  }
  return null;
}

const shown = (x: readonly number[], { params }: GatedSae): string =>
  x.slice(0, params.b_dec.length).join(', ');

/** Norm of each decoder row, and the error that errors of its values give it. */
export function normsOf(
  { W_dec }: SaeParams,
  W_decErrors?: Float64Array,
): { norms: Float64Array; errors: Float64Array } {
  const norms = Float64Array.from({ length: W_dec.rows }, (_, j) => norm(row(W_dec, j)));
  const errors = norms.map((length, j) => {
    const own = W_decErrors?.subarray(j * W_dec.cols, (j + 1) * W_dec.cols);
    return (own === undefined ? 0 : norm(own)) + gamma(W_dec.cols + 4, 2 ** -53) * length;
  });
  return { norms, errors };
}

/** The acts of an SAE at x. */
export function actsAt(x: readonly number[], params: SaeParams): Float64Array {
  return encoded(x, params).acts;
}

/** The parameters of a call as they are named in it, with the bounds that were computed for each value. */
export function boundsLike(
  params: SaeParams,
  bound: (name: 'W_enc' | 'b_enc' | 'W_dec' | 'b_dec', value: number, i: number) => number,
): Record<'W_enc' | 'b_enc' | 'W_dec' | 'b_dec', Float64Array> {
  const of = (name: 'W_enc' | 'b_enc' | 'W_dec' | 'b_dec'): Float64Array =>
    valuesOf(params, name).map((value, i) => bound(name, Math.abs(value), i));
  return { W_enc: of('W_enc'), b_enc: of('b_enc'), W_dec: of('W_dec'), b_dec: of('b_dec') };
}

/** The call with another threshold. */
export function withThreshold(call: Call, values: ArrayLike<number>): Call {
  const { threshold } = call.inputs;
  const inputs: Tensors = { ...call.inputs, threshold: like(threshold, values) };
  return { ...call, inputs };
}

const like = ({ shape }: Tensor, values: ArrayLike<number>): Tensor => tensor(shape, values);

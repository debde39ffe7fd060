/**
 * What auxk is tried on, what the reference makes of it, and how far from that a right kernel may be.
 * @module
 */
import fc from 'fast-check';
import { auxk as auxkReference, auxkCount } from '../../reference/auxk.ts';
import { dictionaryLearning } from '../../reference/dialects.ts';
import { columnMeans, multiply } from '../../reference/matrix.ts';
import { actsOf, flatSizes, permutationOf, tensorOf, type Sizes } from '../arbitraries.ts';
import { float32, largestMagnitude, underflow, type Profile } from '../error-model.ts';
import type { Call, Tensor, Tensors } from '../kernel.ts';
import { smallerCalls } from '../smaller-calls.ts';
import { fromMatrix, fromVector, numberOf, scalar, tensor, toMatrix } from '../tensors.ts';
import { divisionRoundings, elementwise, growth, meanSquare, type Known } from './loss.ts';

export const inputWords = {
  residual: '(rows, d_in): x - x̂_G',
  acts: '(rows, d_sae), >= 0',
  W_dec: '(d_sae, d_in)',
  dead: '(d_sae), 0 or 1',
} as const;

const alphas = fc.constantFrom(1 / 32, 0, 1, 0.03, 2.7);

/** None dead, all, or a number beside k_aux = floor(d_in / 2); which ones is free. */
function deadOf({ d_in, d_sae }: Sizes): fc.Arbitrary<Tensor> {
  const half = Math.floor(d_in / 2);
  const counts = [0, half - 1, half, half + 1, d_sae].filter((n) => n >= 0 && n <= d_sae);
  return fc
    .tuple(fc.constantFrom(...counts), permutationOf(d_sae))
    .map(([count, order]) => fromVector(order.map((rank) => (rank < count ? 1 : 0))));
}

/** Acts of any size, or few values that tie; now and then every act of a dead latent is 0. */
function auxkActs({ rows, d_sae }: Sizes, dead: Tensor): fc.Arbitrary<Tensor> {
  const length = rows * d_sae;
  const few = fc
    .array(fc.integer({ min: 0, max: 2 }), { minLength: length, maxLength: length })
    .map((data) => tensor([rows, d_sae], data));
  const any = fc.oneof(
    { weight: 2, arbitrary: actsOf([rows, d_sae]) },
    { weight: 1, arbitrary: few },
  );
  return fc.tuple(any, fc.integer({ min: 0, max: 5 })).map(([{ shape, data }, n]) =>
    tensor(
      shape,
      data.map((act, i) => (n === 0 && dead.data[i % d_sae] === 1 ? 0 : act)),
    ),
  );
}

/**
 * Residuals whose variance float32 can know: it divides the loss, so where rounding may change it by a quarter or more
 * (rows that are equal but for their last bits) any answer would be right; and from 2^-20 on no quotient overflows,
 * as squares of sums of nine products of values below 2^22 are below 2^100.
 */
function residualOf({ rows, d_in }: Sizes): fc.Arbitrary<Tensor> {
  return tensorOf([rows, d_in]).filter(isKnown);
}

export function isKnown(residual: Tensor): boolean {
  const { value, error } = varianceOf(residual, { ...float32, flushesSubnormals: true });
  return value >= 2 ** -20 && error <= value / 4;
}

export interface Parts {
  readonly sizes: fc.Arbitrary<Sizes>;
  readonly residual: (size: Sizes) => fc.Arbitrary<Tensor>;
  readonly dead: (size: Sizes) => fc.Arbitrary<Tensor>;
  readonly acts: (size: Sizes, dead: Tensor) => fc.Arbitrary<Tensor>;
  /** Which smaller calls are of the same kind. */
  readonly isValid: (call: Call) => boolean;
}

const usual: Parts = {
  sizes: flatSizes.filter(({ rows }) => rows > 1),
  residual: residualOf,
  dead: deadOf,
  acts: auxkActs,
  isValid: ({ inputs: { residual } }) => residual.shape[0] > 1 && isKnown(residual),
};

export function callsOf(parts: Partial<Parts>): fc.Arbitrary<Call> {
  const { sizes, residual, dead, acts, isValid } = { ...usual, ...parts };
  const drawn = sizes.chain((size) =>
    dead(size).chain((flags) =>
      fc
        .record({
          residual: residual(size),
          acts: acts(size, flags),
          W_dec: tensorOf([size.d_sae, size.d_in]),
          alpha: alphas,
        })
        .map(({ alpha, ...inputs }) => ({ config: { alpha }, inputs: { ...inputs, dead: flags } })),
    ),
  );
  return smallerCalls(drawn, inputWords, { isValid });
}

export const auxkCalls: fc.Arbitrary<Call> = callsOf({});

export const someDead = (size: Sizes): fc.Arbitrary<Tensor> =>
  deadOf(size).filter(({ data }) => data.includes(1));

/** Some dead latents, and acts without two equal positive values in a row, so that there is one right choice. */
export const tieFreeCalls: fc.Arbitrary<Call> = callsOf({
  dead: someDead,
  acts: ({ rows, d_sae }) =>
    fc.array(permutationOf(d_sae), { minLength: rows, maxLength: rows }).map((orders) =>
      tensor(
        [rows, d_sae],
        orders.flat().map((rank) => Math.max(rank - 1, 0) / 4),
      ),
    ),
  isValid: (call) => usual.isValid(call) && countDead(call) > 0 && !hasTies(call.inputs.acts),
});

function hasTies({ shape: [rows, cols], data }: Tensor): boolean {
  return Array.from({ length: rows }, (_, b) => data.subarray(b * cols, (b + 1) * cols)).some(
    (row) => {
      const positive = row.filter((act) => act > 0);
      return new Set(positive).size < positive.length;
    },
  );
}

export function reference(call: Call): Tensors {
  const { residual, acts, W_dec, dead } = call.inputs;
  const { loss, latents, gradient } = auxkReference(
    toMatrix(residual),
    toMatrix(acts),
    toMatrix(W_dec),
    Uint8Array.from(dead.data),
    numberOf(call, 'alpha'),
    dictionaryLearning,
  );
  return { loss: scalar(loss), latents: fromMatrix(latents), gradient: fromMatrix(gradient) };
}

export const countOf = ({ inputs: { dead, residual } }: Call): number =>
  auxkCount(Uint8Array.from(dead.data), residual.shape[1], dictionaryLearning);

/**
 * The normaliser V = mean ‖e - mean e‖². A mean is a sum of `rows` values and a division, then one subtraction:
 * e_d = ρ mean|e| + u (|d| + ρ mean|e|).
 */
export function varianceOf(residual: Tensor, profile: Profile): Known {
  const e = toMatrix(residual);
  const mean = columnMeans(e);
  const meanSize = columnMeans({ ...e, data: e.data.map(Math.abs) });
  const centred = e.data.map((value, i) => value - mean[i % e.cols]);
  const rho = elementwise(e.rows + divisionRoundings, profile);
  const errors = centred.map((value, i) => {
    const error = rho * meanSize[i % e.cols] + underflow(e.rows + 2, 1, profile);
    return error + elementwise(1, profile) * (Math.abs(value) + error) + underflow(3, 1, profile);
  });
  return meanSquare(centred, errors, e.rows, profile);
}

/**
 * Bounds given the chosen latents. The miss m = ê - e is a sum of one product for each chosen latent and of e:
 * e_m = ρ (Σ |a||w| + |e|). A quotient of S ± e_S and V ± e_V is within (S + e_S)/(V - e_V) - S/V of S/V, and so is
 * each gradient with |m| for S, times 2 alpha/rows. Further roundings: alpha to float32, two products, up to four
 * divisions in whatever order.
 */
export function auxkBounds(
  call: Call,
  latents: Tensor,
  profile: Profile,
): { loss: Float64Array; gradient: Float64Array } {
  const { residual, W_dec } = call.inputs;
  const chosen = toMatrix(latents);
  const weights = toMatrix(W_dec);
  const fit = multiply(chosen, weights);
  const fitSize = multiply(chosen, { ...weights, data: weights.data.map(Math.abs) });
  const { rows, cols } = fit;
  const largest = largestMagnitude(latents.data, W_dec.data, residual.data);
  const miss = fit.data.map((value, i) => value - residual.data[i]);
  const errors = miss.map((_, i) => {
    const b = Math.floor(i / cols) * chosen.cols;
    const products = chosen.data.subarray(b, b + chosen.cols).filter((act) => act !== 0).length;
    const size = fitSize.data[i] + Math.abs(residual.data[i]);
    return growth(products, 1, profile) * size + underflow(2 * products + 3, largest, profile);
  });

  const variance = varianceOf(residual, profile);
  const smallest = Math.max(variance.value - variance.error, 0);
  const rho = elementwise(3 + 4 * divisionRoundings, profile);
  // Intermediate results may underflow before they are divided by the variance or multiplied by the miss.
  const tiny = (size: number): number =>
    underflow(6, 1, profile) * Math.max(1, 1 / smallest) * Math.max(1, size);
  const quotient = ({ value, error }: Known): number =>
    ((1 + rho) * (value + error)) / smallest - value / variance.value + tiny(value);
  const factor = (2 * numberOf(call, 'alpha')) / rows;
  return {
    loss: Float64Array.of(quotient(meanSquare(miss, errors, rows, profile))),
    gradient: miss.map(
      (value, i) =>
        // With alpha 0 every gradient is 0, even over a variance that is not known apart from 0.
        (factor === 0 ? 0 : factor * quotient({ value: Math.abs(value), error: errors[i] })) +
        tiny(Math.abs(value)),
    ),
  };
}

export const countDead = ({ inputs }: Call): number =>
  inputs.dead.data.filter((flag) => flag === 1).length;

/**
 * fold-decoder-norm: decoder rows of unit norm, with the same reconstruction.
 *
 * Everything is multiplied or divided by n_j = max(‖w_j‖, 1e-8). In floating point n_j is off by γ(d_in) / 2 and a root,
 * relative to itself, and by √(d_in · 2^-149) where squares underflow: little beside 1e-8. A maximum moves by no more than
 * its larger argument.
 * @module
 */
import fc from 'fast-check';
import { foldDecoderNorm as foldReference } from '../../reference/decoder-norm.ts';
import { flatSizes, tensorOf, withNonFinite, type Sizes } from '../arbitraries.ts';
import { compareTensor, hasNonFinite } from '../compare.ts';
import { underflow, type Profile } from '../error-model.ts';
import type { Call, KernelSpec, Tensor, Tensors } from '../kernel.ts';
import { agreesWithReference, law, neverHidesNonFinite } from '../laws.ts';
import { smallerCalls } from '../smaller-calls.ts';
import { fromParams, fromVector, tensor, toParams } from '../tensors.ts';
import { copied, elementwise, growth } from './decoder-norm.ts';
import {
  activations,
  actsAt,
  boundsLike,
  normsOf,
  withThreshold,
  wrongGate,
  wrongReconstruction,
  type Fold,
} from './folded-sae.ts';
import { paramsOf, tame } from './train-step-calls.ts';

const inputWords = {
  W_enc: '(d_in, d_sae)',
  b_enc: '(d_sae)',
  W_dec: '(d_sae, d_in)',
  b_dec: '(d_in)',
  threshold: '(d_sae)',
};

function callsWith(inputs: (size: Sizes) => fc.Arbitrary<Tensors>): fc.Arbitrary<Call> {
  return smallerCalls(
    flatSizes.chain((size) => inputs(size).map((drawn) => ({ config: {}, inputs: drawn }))),
    inputWords,
  );
}

/** Values of every character. */
export const foldNormCalls: fc.Arbitrary<Call> = callsWith(({ d_in, d_sae }) =>
  fc.record({
    W_enc: tensorOf([d_in, d_sae]),
    b_enc: tensorOf([d_sae]),
    W_dec: tensorOf([d_sae, d_in]),
    b_dec: tensorOf([d_in]),
    threshold: tensorOf([d_sae]),
  }),
);

/** Values of like size, so that every tensor counts in what the SAE does. */
const tameCalls = callsWith((size) =>
  fc
    .tuple(paramsOf(size), tame([size.d_sae]))
    .map(([params, threshold]) => ({ ...params, threshold })),
);

function folded(call: Call): Tensors {
  const { threshold, ...params } = foldReference({
    ...toParams(call.inputs),
    threshold: call.inputs.threshold.data.slice(),
  });
  return { ...fromParams(params), threshold: fromVector(threshold!) };
}

const foldableNorms = (call: Call): Float64Array =>
  normsOf(toParams(call.inputs)).norms.map((norm) => Math.max(norm, 1e-8));

/**
 * Times n_j: d_in / 2 products and sums of its square, 1e-8 and the product rounded, one root. Divided by it, or multiplied
 * by 1 / n_j: two divisions more.
 */
function foldBounds(call: Call, _expected: Tensors, profile: Profile): FoldBounds {
  const params = toParams(call.inputs);
  const [d_in, d_sae] = call.inputs.W_enc.shape;
  const own = elementwise(profile);
  const norms = foldableNorms(call);
  // Norms and reciprocals stay in the format of sums; what is stored may lose once more.
  const sums = { ...own, u_out: own.u_acc };
  const stored = underflow(1, 1, own);
  const lost = 2 * Math.sqrt(underflow(d_in, 1, sums));
  const product = (value: number, n: number): number =>
    growth(d_in / 2 + 4, 1, own) * value * n +
    lost * value +
    underflow(2, Math.max(1, n, value), sums) +
    stored;
  const quotient = (value: number, n: number): number =>
    (growth(d_in / 2 + 4, 3, own) + lost / n) * (value / n) +
    underflow(2, 1, sums) * Math.max(1, 1 / n) +
    stored;
  const { threshold } = call.inputs;
  return {
    ...boundsLike(params, (name, value, i) => {
      if (name === 'b_dec') return copied(profile);
      return name === 'W_dec'
        ? quotient(value, norms[Math.floor(i / d_in)])
        : product(value, norms[i % d_sae]);
    }),
    threshold: threshold.data.map((value, j) => product(Math.abs(value), norms[j])),
  };
}

type FoldBounds = ReturnType<typeof boundsLike> & { readonly threshold: Float64Array };

/** What the kernel made of the call, beside what it was given. */
function foldOf(call: Call, got: Tensors, profile: Profile): Fold {
  const bounds = foldBounds(call, {}, profile);
  const ones = bounds.threshold.map(() => 1);
  const sae = (tensors: Tensors): Fold['given'] => ({
    params: toParams(tensors),
    thresholds: tensors.threshold.data,
    units: ones,
  });
  return {
    given: sae(call.inputs),
    folded: sae(got),
    errors: { ...bounds, units: ones.map(() => 0) },
    scale: 1,
    factors: foldableNorms(call),
  };
}

/** Thresholds half as large as the acts at x, or half as large again: a factor off shows. */
function nearThresholds(call: Call, x: readonly number[]): Call {
  const norms = foldableNorms(call);
  const near = actsAt(x, toParams(call.inputs)).map((act, j) =>
    act > 0 ? Math.fround(act * (norms[j] < 1 ? 0.5 : 1.5)) : call.inputs.threshold.data[j],
  );
  return withThreshold(call, near);
}

/** Latent j alone. */
function latentOf({ inputs }: Pick<Call, 'inputs'>, j: number): Tensors {
  const { W_enc, b_enc, W_dec, b_dec, threshold } = inputs;
  const [d_in, d_sae] = W_enc.shape;
  const column = W_enc.data.filter((_, i) => i % d_sae === j);
  return {
    W_enc: tensor([d_in, 1], column),
    b_enc: tensor([1], [b_enc.data[j]]),
    W_dec: tensor([1, d_in], W_dec.data.slice(j * d_in, (j + 1) * d_in)),
    b_dec,
    threshold: tensor([1], [threshold.data[j]]),
  };
}

export const foldDecoderNorm: KernelSpec = {
  name: 'fold-decoder-norm',
  summary: 'decoder norms n_j, of 1e-8 at least, out of W_dec and into W_enc, b_enc and thresholds',
  inputs: inputWords,
  outputs: inputWords,
  config: {},
  outputShapes: ({ inputs }) =>
    Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, shape])),
  reference: folded,
  laws: [
    agreesWithReference(foldNormCalls, folded, foldBounds),
    law(
      'a zero row stays zero, and every value finite',
      fc.tuple(foldNormCalls, fc.nat({ max: 8 })).map(([call, at]) => {
        const { W_dec } = call.inputs;
        const [d_sae, d_in] = W_dec.shape;
        const j = at % d_sae;
        const zeroed = W_dec.data.map((w, i) => (Math.floor(i / d_in) === j ? 0 : w));
        const inputs = { ...call.inputs, W_dec: tensor(W_dec.shape, zeroed) };
        return { call: { ...call, inputs }, j };
      }),
      async ({ call, j }, { run }) => {
        const got = await run(call);
        const { W_dec } = latentOf({ inputs: got }, j);
        const zeros: Tensor = tensor(W_dec.shape, new Float64Array(W_dec.data.length));
        return (
          compareTensor(`zero row ${j}`, W_dec, zeros, () => 0) ??
          (hasNonFinite(got) ? `a value is not finite where row ${j} of W_dec is zero` : null)
        );
      },
    ),
    law(
      'a latent folds alone as it does among others',
      fc.tuple(foldNormCalls, fc.nat({ max: 8 })).map(([call, at]) => ({ call, at })),
      async ({ call, at }, { run, profile }) => {
        const j = at % call.inputs.b_enc.data.length;
        const single: Call = { ...call, inputs: latentOf(call, j) };
        const bounds: Readonly<Record<string, Float64Array>> = foldBounds(single, {}, profile);
        const together = latentOf({ inputs: await run(call) }, j);
        const alone = await run(single);
        for (const [name, expected] of Object.entries(together)) {
          const limit = (i: number): number => 2 * bounds[name][i];
          const wrong = compareTensor(`${name} of latent ${j} alone`, alone[name], expected, limit);
          if (wrong !== null) return wrong;
        }
        return null;
      },
    ),
    law(
      'the folded SAE reconstructs the same, and its acts are the given ones times decoder norm',
      fc.tuple(tameCalls, activations).map(([call, x]) => ({ call, x })),
      async ({ call, x }, { run, profile }) =>
        wrongReconstruction(x, foldOf(call, await run(call), profile)),
    ),
    law(
      'a latent is above its folded threshold where it was above its own',
      fc.tuple(tameCalls, activations).map(([call, x]) => ({ call: nearThresholds(call, x), x })),
      async ({ call, x }, { run, profile }) => wrongGate(x, foldOf(call, await run(call), profile)),
    ),
    neverHidesNonFinite(
      withNonFinite(foldNormCalls, ['W_enc', 'b_enc', 'W_dec', 'b_dec', 'threshold']),
    ),
  ],
};

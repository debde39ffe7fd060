/**
 * fold-input-scale: an SAE trained on scale · x becomes one for x.
 *
 * By its rule either biases and threshold are divided by the scale, or W_enc is multiplied and W_dec and b_dec are divided
 * by it, and a threshold of acts times decoder norm too. What the rule leaves alone is copied.
 * @module
 */
import fc from 'fast-check';
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { foldInputScale as foldReference } from '../../reference/input-norm.ts';
import { flatSizes, tensorOf, withNonFinite, type Sizes } from '../arbitraries.ts';
import { compareTensor } from '../compare.ts';
import { underflow, type Profile } from '../error-model.ts';
import type { Call, KernelSpec, Tensors } from '../kernel.ts';
import { agreesWithReference, law, neverHidesNonFinite, type Bounds } from '../laws.ts';
import { smallerCalls } from '../smaller-calls.ts';
import { fromParams, numberOf, scalar, toParams } from '../tensors.ts';
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
import { paramsOf } from './train-step-calls.ts';

const inputWords = {
  W_enc: '(d_in, d_sae)',
  b_enc: '(d_sae)',
  W_dec: '(d_sae, d_in)',
  b_dec: '(d_in)',
  threshold: '()',
};

const foldsIntoBiases = ({ config }: Call): boolean => config['folds'] === 'into-biases';
const isRescaled = ({ config }: Call): boolean => config['score'] === 'acts-times-decoder-norm';

const settings = fc
  .record({
    scale: fc.oneof(
      fc.integer({ min: -10, max: 10 }).map((power) => 2 ** power),
      fc.float({ min: 2 ** -6, max: 2 ** 6, noNaN: true }),
    ),
    rule: fc.constantFrom(
      { folds: 'into-biases', score: 'acts' },
      { folds: 'into-weights', score: 'acts' },
      { folds: 'into-weights', score: 'acts-times-decoder-norm' },
    ),
  })
  .map(({ scale, rule }) => ({ scale, ...rule }));

/** A threshold never set is -1 under the first rule; under the second it starts at 0. */
const thresholdFor = (folds: string): fc.Arbitrary<number> =>
  fc.oneof(
    fc.constant(folds === 'into-biases' ? -1 : 0),
    fc.constant(0),
    tensorOf([1]).map(({ data }) => Math.abs(data[0])),
  );

function callsWith(params: (size: Sizes) => fc.Arbitrary<Tensors>): fc.Arbitrary<Call> {
  return smallerCalls(
    fc.tuple(flatSizes, settings).chain(([size, config]) =>
      fc.tuple(params(size), thresholdFor(config.folds)).map(([inputs, threshold]) => ({
        config,
        inputs: { ...inputs, threshold: scalar(threshold) },
      })),
    ),
    inputWords,
  );
}

/** Values of every character. */
export const inputScaleCalls: fc.Arbitrary<Call> = callsWith(({ d_in, d_sae }) =>
  fc.record({
    W_enc: tensorOf([d_in, d_sae]),
    b_enc: tensorOf([d_sae]),
    W_dec: tensorOf([d_sae, d_in]),
    b_dec: tensorOf([d_in]),
  }),
);

/** Values of like size, so that every tensor counts in what the SAE does. */
const tameCalls = callsWith((size) => paramsOf(size));

/** The settings of one call, as the reference takes them. */
export const dialectOf = (call: Call): Dialect => ({
  ...dictionaryLearning,
  input: {
    ...dictionaryLearning.input,
    folds: foldsIntoBiases(call) ? 'into-biases' : 'into-weights',
  },
  select: {
    ...dictionaryLearning.select,
    score: isRescaled(call) ? 'acts-times-decoder-norm' : 'acts',
  },
});

function folded(call: Call): Tensors {
  const { params, threshold } = foldReference(
    toParams(call.inputs),
    call.inputs.threshold.data[0],
    numberOf(call, 'scale'),
    dialectOf(call),
  );
  return { ...fromParams(params), threshold: scalar(threshold) };
}

/**
 * A product with the scale: the scale and the product rounded. A quotient may as well be a product with 1 / scale: one
 * division more.
 */
function scaleBounds(call: Call, _expected: Tensors, profile: Profile): FoldBounds {
  const c = numberOf(call, 'scale');
  const own = elementwise(profile);
  const tiny = underflow(3, Math.max(c, 1 / c), profile);
  const product = (value: number): number => growth(2, 0, own) * value * c + tiny;
  const quotient = (value: number): number => growth(2, 1, own) * (value / c) + tiny;
  const copy = (): number => copied(profile);
  const biases = foldsIntoBiases(call);
  const rules = biases
    ? { W_enc: copy, b_enc: quotient, W_dec: copy, b_dec: quotient }
    : { W_enc: product, b_enc: copy, W_dec: quotient, b_dec: quotient };
  const [threshold] = call.inputs.threshold.data.map(Math.abs);
  const isDivided = biases || isRescaled(call);
  return {
    ...boundsLike(toParams(call.inputs), (name, value) => rules[name](value)),
    threshold: Float64Array.of(isDivided ? quotient(threshold) : copied(profile)),
  };
}

type FoldBounds = ReturnType<typeof boundsLike> & { readonly threshold: Float64Array };

/** What the kernel made of the call, beside what it was given. */
function foldOf(call: Call, got: Tensors, profile: Profile): Fold {
  const bounds: Bounds = scaleBounds(call, {}, profile);
  const [given, after] = [toParams(call.inputs), toParams(got)];
  const d_sae = given.b_enc.length;
  const each = (value: number): Float64Array => new Float64Array(d_sae).fill(value);
  const scale = numberOf(call, 'scale');
  const [own, norms] = [normsOf(given), normsOf(after, bounds.W_dec)];
  const units = isRescaled(call);
  return {
    given: {
      params: given,
      thresholds: each(call.inputs.threshold.data[0]),
      units: units ? own.norms : each(1),
    },
    folded: {
      params: after,
      thresholds: each(got.threshold.data[0]),
      units: units ? norms.norms : each(1),
    },
    errors: {
      ...bounds,
      threshold: each(bounds.threshold[0]),
      units: units ? norms.errors : each(0),
    },
    scale,
    factors: each(foldsIntoBiases(call) ? 1 / scale : 1),
  };
}

/** A threshold half as large as what it is compared with at x, or half as large again: a factor off shows. */
function nearThreshold(call: Call, x: readonly number[], at: number): Call {
  const params = toParams(call.inputs);
  const scale = numberOf(call, 'scale');
  const acts = actsAt(
    x.map((value) => scale * value),
    params,
  );
  const { norms } = normsOf(params);
  const scores = acts.map((act, j) => (isRescaled(call) ? act * norms[j] : act));
  const positive = scores.filter((score) => score > 0);
  if (positive.length === 0) return call;
  const factor = at % 2 === 0 ? 0.5 : 1.5;
  return withThreshold(call, [Math.fround(factor * positive[at % positive.length])]);
}

export const foldInputScale: KernelSpec = {
  name: 'fold-input-scale',
  summary:
    'an SAE trained on scale · x made one for x: its scale folded into biases, or into weights',
  inputs: inputWords,
  outputs: inputWords,
  config: {
    scale: 'what x was multiplied by in training',
    folds:
      'into-biases: b_enc, b_dec and a threshold >= 0 over scale; into-weights: W_enc times scale, W_dec and b_dec over it',
    score:
      'what the threshold is compared with: acts, or acts-times-decoder-norm, where into-weights divides it too',
  },
  outputShapes: ({ inputs }) =>
    Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, shape])),
  reference: folded,
  laws: [
    agreesWithReference(inputScaleCalls, folded, scaleBounds),
    law(
      'on x the folded SAE acts and reconstructs as the given one does on scale · x, up to the scale',
      fc.tuple(tameCalls, activations).map(([call, x]) => ({ call, x })),
      async ({ call, x }, { run, profile }) =>
        wrongReconstruction(x, foldOf(call, await run(call), profile)),
    ),
    law(
      'on x the folded SAE has the latents above its threshold that the given one has on scale · x',
      fc
        .tuple(tameCalls, activations, fc.nat({ max: 17 }))
        .map(([call, x, at]) => ({ call: nearThreshold(call, x, at), x })),
      async ({ call, x }, { run, profile }) => wrongGate(x, foldOf(call, await run(call), profile)),
    ),
    law(
      'a threshold that was never set stays -1 where biases are folded',
      inputScaleCalls.map((call) => ({
        call: withThreshold({ ...call, config: { ...call.config, folds: 'into-biases' } }, [-1]),
      })),
      async ({ call }, { run }) =>
        compareTensor('threshold', (await run(call)).threshold, scalar(-1), () => 0),
    ),
    neverHidesNonFinite(
      withNonFinite(inputScaleCalls, ['W_enc', 'b_enc', 'W_dec', 'b_dec', 'threshold']),
    ),
  ],
};

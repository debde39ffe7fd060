/**
 * update-threshold: the moving average of the smallest positive latent that inference cuts at.
 *
 * No latent here is subnormal: a device that flushes them would take one for 0, and the smallest positive latent would
 * be another one, not a nearby one.
 * @module
 */
import fc from 'fast-check';
import { dictionaryLearning } from '../../reference/dialects.ts';
import { requireFinite } from '../../reference/matrix.ts';
import { smallestSelected, updateThreshold as updateReference } from '../../reference/threshold.ts';
import { flatSizes, latentsOf, permutationOf, withNonFinite } from '../arbitraries.ts';
import { compareTensor, compareTensors, hasNonFinite } from '../compare.ts';
import { gamma, underflow, type Profile } from '../error-model.ts';
import type { Call, KernelSpec, Tensor, Tensors } from '../kernel.ts';
import { answerOrRefusal, agreesWithReference, law, neverHidesNonFinite, only } from '../laws.ts';
import { smallerCalls } from '../smaller-calls.ts';
import { numberOf, scalar, tensor, toMatrix } from '../tensors.ts';
import { elementwise, growth } from './decoder-norm.ts';

/** The same values without subnormals. */
export const normal = ({ shape, data }: Tensor): Tensor =>
  tensor(
    shape,
    data.map((value) => (Math.abs(value) < 2 ** -126 ? 0 : value)),
  );

const inputWords = { threshold: '(), negative for never set', latents: '(rows, d_sae), >= 0' };

/** Latents after selection, often none positive; a threshold never set, 0, beside a latent, or anything. */
export const thresholdCalls: fc.Arbitrary<Call> = smallerCalls(
  flatSizes.chain(({ rows, d_sae }) =>
    fc
      .oneof(
        { weight: 5, arbitrary: latentsOf([rows, d_sae]) },
        {
          weight: 1,
          arbitrary: fc.constant(tensor([rows, d_sae], new Float64Array(rows * d_sae))),
        },
      )
      .map(normal)
      .chain((latents) =>
        fc
          .record({
            threshold: fc.oneof(
              fc.constantFrom(-1, -1, -0.25, 0, 0.5, 1000),
              fc.constantFrom(...latents.data),
            ),
            decay: fc.constantFrom(0.999, 0.999, 0.99, 0.5),
          })
          .map(({ threshold, decay }) => ({
            config: { decay },
            inputs: { threshold: scalar(threshold), latents },
          })),
      ),
  ),
  inputWords,
);

const smallestOf = (call: Call): number | null => smallestSelected(toMatrix(call.inputs.latents));
const thresholdOf = (call: Call): number => call.inputs.threshold.data[0];
const isRefused = (call: Call): boolean => thresholdOf(call) < 0 && smallestOf(call) === null;

const answered: fc.Arbitrary<Call> = thresholdCalls.filter((call) => !isRefused(call));
const first: fc.Arbitrary<Call> = thresholdCalls
  .filter((call) => smallestOf(call) !== null)
  .map((call) => ({ ...call, inputs: { ...call.inputs, threshold: scalar(-1) } }));
const later: fc.Arbitrary<Call> = thresholdCalls
  .filter((call) => smallestOf(call) !== null)
  .map((call) => ({
    ...call,
    inputs: { ...call.inputs, threshold: scalar(Math.abs(thresholdOf(call))) },
  }));

function updated(call: Call): Tensors {
  // Selection has refused such values before; alone, the operator has to.
  requireFinite('latents', call.inputs.latents.data);
  const dialect = {
    ...dictionaryLearning,
    threshold: { ...dictionaryLearning.threshold, decay: numberOf(call, 'decay') },
  };
  return { threshold: scalar(updateReference(thresholdOf(call), smallestOf(call), dialect)) };
}

/** Two constants rounded, two products, one sum: 3 u (θ + τ), also for 1 - decay taken in float32. First update: exact. */
function thresholdBound(call: Call, profile: Profile): number {
  if (thresholdOf(call) < 0) return 0;
  const magnitude = thresholdOf(call) + (smallestOf(call) ?? 0);
  return growth(2, 0, elementwise(profile)) * magnitude + underflow(3, 1, profile);
}

export const updateThreshold: KernelSpec = {
  name: 'update-threshold',
  summary:
    'decay · threshold + (1 - decay) · smallest positive latent; the first time, that latent',
  inputs: inputWords,
  outputs: { threshold: '()' },
  config: { decay: 'weight of the old threshold' },
  outputShapes: () => ({ threshold: [] }),
  reference: updated,
  laws: [
    agreesWithReference(answered, updated, (call, _expected, profile) => ({
      threshold: Float64Array.of(thresholdBound(call, profile)),
    })),
    law(
      'the first update takes the smallest positive latent as it is',
      only(first),
      async ({ call }, { run }) =>
        compareTensors(await run(call), { threshold: scalar(smallestOf(call)!) }, {}),
    ),
    law(
      'a later update ends between the old threshold and the smallest positive latent',
      only(later),
      async ({ call }, { run, profile }) => {
        const got = (await run(call)).threshold.data[0];
        const ends = [thresholdOf(call), smallestOf(call)!];
        const bound = thresholdBound(call, profile);
        return got >= Math.min(...ends) - bound && got <= Math.max(...ends) + bound
          ? null
          : `threshold returned ${got}, expected between ${ends.join(' and ')} ± ${bound.toExponential(2)}`;
      },
    ),
    law(
      'a later update, from a threshold of 0 too, takes 1 - decay of the way to the smallest positive latent',
      only(
        fc
          .tuple(later, fc.boolean())
          .map(([call, fromZero]) =>
            fromZero ? { ...call, inputs: { ...call.inputs, threshold: scalar(0) } } : call,
          ),
      ),
      async ({ call }, { run, profile }) => {
        const way = smallestOf(call)! - thresholdOf(call);
        const moved = (await run(call)).threshold.data[0] - thresholdOf(call);
        const share = scalar((1 - numberOf(call, 'decay')) * way);
        const size = smallestOf(call)! + thresholdOf(call);
        // Two differences and two products here are float64.
        const bound = thresholdBound(call, profile) + gamma(4, 2 ** -53) * size;
        return compareTensor('the way taken', scalar(moved), share, () => bound);
      },
    ),
    law(
      'without a positive latent a threshold that was set shrinks to decay times itself',
      only(
        later.map((call) => {
          const { shape, data } = call.inputs.latents;
          const latents = tensor(shape, new Float64Array(data.length));
          return { ...call, inputs: { ...call.inputs, latents } };
        }),
      ),
      async ({ call }, { run, profile }) => {
        const expected = scalar(numberOf(call, 'decay') * thresholdOf(call));
        const bound = thresholdBound(call, profile);
        return compareTensor('threshold', (await run(call)).threshold, expected, () => bound);
      },
    ),
    law(
      'only the values of latents matter, not their places',
      answered.chain((call) =>
        permutationOf(call.inputs.latents.data.length).map((order) => ({ call, order })),
      ),
      async ({ call, order }, { run }) => {
        const { shape, data } = call.inputs.latents;
        const latents = tensor(
          shape,
          order.map((i) => data[i]),
        );
        const moved = await run({ ...call, inputs: { ...call.inputs, latents } });
        return compareTensor('threshold', moved.threshold, (await run(call)).threshold, () => 0);
      },
    ),
    law(
      'refuses a first update without a positive latent, or returns NaN',
      only(
        thresholdCalls.map((call) => {
          const { shape, data } = call.inputs.latents;
          const latents = tensor(shape, new Float64Array(data.length));
          return { ...call, inputs: { threshold: scalar(-1), latents } };
        }),
      ),
      async ({ call }, subject) => {
        const output = await answerOrRefusal(call, subject);
        return output === null || hasNonFinite(output)
          ? null
          : `threshold returned ${output.threshold.data[0]} where there is nothing to assign`;
      },
    ),
    neverHidesNonFinite(withNonFinite(thresholdCalls, ['latents'])),
  ],
};

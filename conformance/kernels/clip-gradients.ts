/**
 * clip-gradients: all four gradients times min(1, max_norm / (norm + 1e-6)).
 *
 * Values reach 2^22, so their squares stay far from overflow; squares that underflow are charged.
 * @module
 */
import fc from 'fast-check';
import { clipGradients as clipReference, gradientNorm } from '../../reference/adam.ts';
import { flatSizes, tensorOf, withNonFinite } from '../arbitraries.ts';
import { compareTensor, compareTensors } from '../compare.ts';
import { gamma, underflow, type Profile } from '../error-model.ts';
import type { Call, KernelSpec, Tensors } from '../kernel.ts';
import { agreesWithReference, law, neverHidesNonFinite, only, type Bounds } from '../laws.ts';
import { smallerCalls } from '../smaller-calls.ts';
import { fromParams, numberOf, scalar, tensor, toParams } from '../tensors.ts';
import { copied, elementwise, growth } from './decoder-norm.ts';

const gradientNames = ['grad.W_enc', 'grad.b_enc', 'grad.W_dec', 'grad.b_dec'] as const;

const gradientTensors: fc.Arbitrary<Tensors> = flatSizes.chain(({ d_in, d_sae }) =>
  fc.record({
    'grad.W_enc': tensorOf([d_in, d_sae]),
    'grad.b_enc': tensorOf([d_sae]),
    'grad.W_dec': tensorOf([d_sae, d_in]),
    'grad.b_dec': tensorOf([d_in]),
  }),
);

const allValues = (tensors: Tensors): number[] =>
  gradientNames.flatMap((name) => [...tensors[name].data]);

const normOf = (inputs: Tensors): number => gradientNorm(toParams(inputs, 'grad.'));

/** One value is c, all others are 0: the norm is |c| exactly, in any arithmetic. */
const singleValue: fc.Arbitrary<Tensors> = fc
  .record({
    like: gradientTensors,
    name: fc.constantFrom(...gradientNames),
    at: fc.nat(),
    power: fc.integer({ min: -20, max: 2 }),
  })
  .map(({ like, name, at, power }) => {
    const zeros = Object.fromEntries(
      Object.entries(like).map(([key, { shape, data }]) => [
        key,
        tensor(shape, new Float64Array(data.length)),
      ]),
    );
    const { data } = zeros[name];
    data[at % data.length] = -(2 ** power);
    return zeros;
  });

const inputWords = {
  'grad.W_enc': '(d_in, d_sae)',
  'grad.b_enc': '(d_sae)',
  'grad.W_dec': '(d_sae, d_in)',
  'grad.b_dec': '(d_in)',
};

/** max_norm as far from the norm as it was, or 1. */
const besideNorm = (smaller: Call, larger: Call): Call[] => {
  const share = numberOf(larger, 'max_norm') / normOf(larger.inputs);
  return [1, Math.fround(share * normOf(smaller.inputs))]
    .filter((max_norm) => max_norm > 0 && Number.isFinite(max_norm))
    .map((max_norm) => ({ ...smaller, config: { max_norm } }));
};

/** max_norm as published, about the size of the 1e-6 added to the norm, and beside the norm itself. */
export const clipCalls: fc.Arbitrary<Call> = smallerCalls(
  fc
    .oneof({ weight: 3, arbitrary: gradientTensors }, { weight: 2, arbitrary: singleValue })
    .chain((inputs) => {
      const total = normOf(inputs);
      const beside = [0.5, 1, 1, 2].map((times) => Math.fround(times * total));
      return fc
        .constantFrom(1, 1, 2 ** -20, 1e5, ...(total > 2 ** -40 ? beside : []))
        .map((max_norm) => ({ config: { max_norm }, inputs }));
    }),
  inputWords,
  { adapt: besideNorm },
);

function clipped(call: Call): Tensors {
  const gradients = toParams(call.inputs, 'grad.');
  const result = clipReference(gradients, numberOf(call, 'max_norm'));
  return { ...fromParams(result, 'grad.'), norm: scalar(gradientNorm(gradients)) };
}

/** What underflow of squares, and of squares of the tensors' norms, takes from the norm at most. */
const squaresLost = (n: number, profile: Profile): number =>
  Math.sqrt(underflow(n + 4, 1, profile));

/**
 * norm: n squares in any order (γ(n) / 2), or four norms and then their norm (two roots, 4 more squares): n / 2 + 4
 * roundings and 2 roots. Zeros cost nothing, so n counts values that are not 0.
 * factor: adds the rounded 1e-6 and max_norm, an addition and a division; taking the minimum with 1 adds nothing, and
 * multiplying one more.
 */
function clipBounds(call: Call, expected: Tensors, profile: Profile): Bounds {
  const total = expected.norm.data[0];
  const n = allValues(call.inputs).filter((value) => value !== 0).length;
  const lost = squaresLost(n, profile);
  const rho = growth(n / 2 + 9, 3, profile) + (2 * lost) / (total + 1e-6);
  const tiny = underflow(2, 1, profile);
  return {
    norm: Float64Array.of(growth(n / 2 + 4, 2, profile) * total + lost),
    ...Object.fromEntries(
      gradientNames.map((name) => [
        name,
        expected[name].data.map((value) => rho * Math.abs(value) + tiny),
      ]),
    ),
  };
}

export const clipGradients: KernelSpec = {
  name: 'clip-gradients',
  summary: 'all gradients times min(1, max_norm / (norm + 1e-6))',
  inputs: inputWords,
  outputs: {
    'grad.W_enc': '(d_in, d_sae)',
    'grad.b_enc': '(d_sae)',
    'grad.W_dec': '(d_sae, d_in)',
    'grad.b_dec': '(d_in)',
    norm: '(): 2-norm of the four together, before clipping',
  },
  config: { max_norm: 'largest norm of the four together' },
  outputShapes: ({ inputs }) => ({
    ...Object.fromEntries(gradientNames.map((name) => [name, inputs[name].shape])),
    norm: [],
  }),
  reference: clipped,
  laws: [
    agreesWithReference(clipCalls, clipped, clipBounds),
    law(
      'clipping keeps directions: one factor for all four gradients',
      only(clipCalls),
      async ({ call }, { run, profile }) => {
        const before = allValues(call.inputs);
        const after = allValues(await run(call));
        const largest = before.reduce(
          (at, value, i) => (Math.abs(value) > Math.abs(before[at]) ? i : at),
          0,
        );
        if (before[largest] === 0) return null;
        // Values differ by the rounding of their own product with the factor alone.
        const factor = after[largest] / before[largest];
        const rho = 2 * growth(1, 1, elementwise(profile));
        const tiny = underflow(4, 1, profile);
        const at = before.findIndex(
          (value, i) =>
            !(Math.abs(after[i] - factor * value) <= rho * Math.abs(factor * value) + tiny),
        );
        return at < 0
          ? null
          : `value ${at} of the gradients became ${after[at]}, expected ${factor * before[at]}: value ${largest} was multiplied by ${factor}`;
      },
    ),
    law(
      'the clipped gradients together have a norm of at most max_norm',
      only(clipCalls),
      async ({ call }, { run, profile }) => {
        const bounds = clipBounds(call, clipped(call), profile);
        const rounding = Math.hypot(...gradientNames.flatMap((name) => [...bounds[name]]));
        const total = normOf(await run(call));
        const most = numberOf(call, 'max_norm') * (1 + gamma(8, 2 ** -53)) + rounding;
        return total <= most ? null : `the clipped gradients have norm ${total}, above ${most}`;
      },
    ),
    law(
      'gradients with a norm below max_norm - 1e-6, by more than rounding, come back as they are',
      only(
        gradientTensors.chain((inputs) =>
          // 1/256 is more than the norm's rounding, also for products of 11-bit operands.
          fc.constantFrom(1 + 2 ** -8, 2, 1000).map((times) => ({
            config: { max_norm: Math.fround(times * (normOf(inputs) + 1e-6)) },
            inputs,
          })),
        ),
      ),
      async ({ call }, { run, profile }) => {
        const exact = (name: string): [string, Float64Array] => [
          name,
          call.inputs[name].data.map(() => copied(profile)),
        ];
        const bounds = Object.fromEntries(gradientNames.map(exact));
        return compareTensors(await run(call), call.inputs, bounds);
      },
    ),
    law(
      'a norm of max_norm exactly becomes max_norm² / (max_norm + 1e-6)',
      only(
        singleValue.map((inputs) => ({
          config: { max_norm: Math.max(...allValues(inputs).map(Math.abs)) },
          inputs,
        })),
      ),
      async ({ call }, { run, profile }) => {
        const max_norm = numberOf(call, 'max_norm');
        const got = normOf(await run(call));
        const expected = max_norm ** 2 / (max_norm + 1e-6);
        const bounds = clipBounds(call, clipped(call), profile);
        const rounding = Math.hypot(...gradientNames.flatMap((name) => [...bounds[name]]));
        return compareTensor(
          'norm of the clipped gradients',
          scalar(got),
          scalar(expected),
          () => rounding + gamma(4, 2 ** -53) * expected,
        );
      },
    ),
    law(
      'the norm reported is that before clipping',
      only(clipCalls),
      async ({ call }, { run, profile }) => {
        const { norm } = clipped(call);
        const bound = clipBounds(call, clipped(call), profile).norm[0];
        return compareTensor('norm', (await run(call)).norm, norm, () => bound);
      },
    ),
    law(
      'zero gradients stay zero, and their norm is 0',
      only(
        gradientTensors.map((inputs) => ({
          config: { max_norm: 1 },
          inputs: Object.fromEntries(
            gradientNames.map((name) => {
              const { shape, data } = inputs[name];
              return [name, tensor(shape, new Float64Array(data.length))];
            }),
          ),
        })),
      ),
      async ({ call }, { run }) =>
        compareTensors(await run(call), { ...call.inputs, norm: scalar(0) }, {}),
    ),
    neverHidesNonFinite(withNonFinite(clipCalls, gradientNames)),
  ],
};

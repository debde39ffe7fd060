/**
 * adam-update: one update of one parameter. Clipping and the schedule before it have files of their own.
 *
 * Adam is ill-conditioned where the gradient is near 0, so its bound is never carried over from gradients: every kernel
 * is judged on the inputs it is given. Values reach 2^22, so squares stay far from overflow; squares that underflow are
 * charged.
 * @module
 */
import fc from 'fast-check';
import { adamUpdate as adamReference } from '../../reference/adam.ts';
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { matrix } from '../../reference/matrix.ts';
import type { SaeParams } from '../../reference/params.ts';
import { actsOf, permutationOf, tensorOf, withNonFinite } from '../arbitraries.ts';
import { compareTensor, compareTensors } from '../compare.ts';
import { gamma, underflow, type Profile } from '../error-model.ts';
import type { Call, KernelSpec, Tensor, Tensors } from '../kernel.ts';
import { agreesWithReference, law, neverHidesNonFinite, only } from '../laws.ts';
import { smallerCalls } from '../smaller-calls.ts';
import { numberOf, tensor } from '../tensors.ts';
import { copied, elementwise, growth } from './decoder-norm.ts';

export { clipGradients } from './clip-gradients.ts';
export { learningRate } from './learning-rate.ts';

const shapes: fc.Arbitrary<number[]> = fc.oneof(
  fc.tuple(fc.integer({ min: 1, max: 9 })),
  fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 9 })),
  fc.tuple(
    fc.integer({ min: 1, max: 3 }),
    fc.integer({ min: 1, max: 3 }),
    fc.integer({ min: 1, max: 3 }),
  ),
);

const inputWords = { parameter: '(…)', gradient: '(…)', m: '(…)', v: '(…), >= 0' };

/** Any update, or the first, whose moments are 0. A rate of 1 makes the update as large as the parameter. */
export const adamCalls: fc.Arbitrary<Call> = smallerCalls(
  shapes.chain((shape) =>
    fc
      .record({
        parameter: tensorOf(shape),
        gradient: tensorOf(shape),
        m: tensorOf(shape),
        v: actsOf(shape),
        step: fc.oneof(fc.constantFrom(0, 1, 2, 1_000_000), fc.nat({ max: 2000 })),
        rate: fc.constantFrom(0, 1e-4, 2e-4, 0.125, 1),
        betas: fc.constantFrom([0.9, 0.999], [0.9, 0.99], [0.5, 0.9375]),
        epsilon: fc.constantFrom(1e-8, 1e-8, 2 ** -10),
      })
      .map(({ step, rate, betas, epsilon, m, v, ...inputs }) => ({
        config: { step, rate, beta1: betas[0], beta2: betas[1], epsilon },
        inputs: { ...inputs, ...(step === 0 ? { m: zerosLike(m), v: zerosLike(v) } : { m, v }) },
      })),
  ),
  inputWords,
);

const zerosLike = ({ shape, data }: Tensor): Tensor => tensor(shape, new Float64Array(data.length));

/** The reference updates all four parameters; one tensor is its b_enc. */
function adamStep(call: Call): Tensors {
  const { parameter, gradient, m, v } = call.inputs;
  const alone = ({ data }: Tensor): SaeParams => ({
    W_enc: matrix(0, data.length),
    b_enc: data.slice(),
    W_dec: matrix(data.length, 0),
    b_dec: new Float64Array(0),
  });
  const dialect: Dialect = {
    ...dictionaryLearning,
    adam: {
      beta1: numberOf(call, 'beta1'),
      beta2: numberOf(call, 'beta2'),
      epsilon: numberOf(call, 'epsilon'),
    },
  };
  const result = adamReference(
    alone(parameter),
    alone(gradient),
    alone(m),
    alone(v),
    numberOf(call, 'step'),
    numberOf(call, 'rate'),
    dialect,
  );
  return {
    parameter: tensor(parameter.shape, result.params.b_enc),
    m: tensor(parameter.shape, result.m.b_enc),
    v: tensor(parameter.shape, result.v.b_enc),
  };
}

/**
 * Constants (1 - β, rate / (1 - β1^t), √(1 - β2^t), ε) are taken in double and then rounded, which the published code
 * does; 1 - 0.999 in float32 would be wrong by 200 u.
 * m, v: four roundings, of m + (1 - β1)(g - m) or of β1 m + (1 - β1) g, with magnitudes that cover both.
 * D = √v / c2 + ε: an error e of v moves √v by e / (√v + √(v - e)), or √e where v may be 0; then root, division, two
 * constants, one addition. A = rate / c1 · m: error of m, three roundings. The quotient is off by
 * (e_A + |Δ| e_D) / (D - e_D), and the difference is rounded once more.
 */
export function adamBounds(
  call: Call,
  expected: Tensors,
  profile: Profile,
): { parameter: Float64Array; m: Float64Array; v: Float64Array } {
  const [beta1, beta2] = [numberOf(call, 'beta1'), numberOf(call, 'beta2')];
  const t = numberOf(call, 'step') + 1;
  const c1 = 1 - beta1 ** t;
  const c2 = Math.sqrt(1 - beta2 ** t);
  const scale = numberOf(call, 'rate') / c1;
  const grow = (products: number, divisions = 0): number =>
    growth(products, divisions, elementwise(profile));
  // β^t within 2 units in the last place of a double, against what is left of 1.
  const power = (beta: number): number => (2 ** -51 * beta ** t) / (1 - beta ** t);
  const lost = underflow(1, 1, profile);

  const of = (name: string): Float64Array => call.inputs[name].data;
  const m = of('m').map((old, i) => {
    const g = Math.abs(of('gradient')[i]);
    return grow(4) * (Math.abs(old) + (1 - beta1) * (g + Math.abs(old))) + 4 * lost;
  });
  const v = of('v').map((old, i) => {
    const g = Math.abs(of('gradient')[i]);
    return grow(4) * (old + (1 - beta2) * g * g) + 4 * lost * Math.max(1, g);
  });
  const parameter = of('parameter').map((_, i) => {
    const second = expected.v.data[i];
    const root = Math.sqrt(second);
    const D = root / c2 + numberOf(call, 'epsilon');
    const rootError = second > v[i] ? v[i] / (root + Math.sqrt(second - v[i])) : Math.sqrt(v[i]);
    const e_D = (rootError / c2) * (1 + grow(3, 2)) + (grow(3, 2) + power(beta2)) * D;
    const A = scale * Math.abs(expected.m.data[i]);
    const e_A =
      scale * m[i] * (1 + grow(3, 1)) + (grow(3, 1) + power(beta1)) * A + 2 * lost * (1 + scale);
    const update = A / D;
    const e_update = ((e_A + update * e_D) / (D - e_D)) * (1 + grow(1, 1)) + grow(1, 1) * update;
    return e_update * (1 + grow(1)) + grow(1) * Math.abs(expected.parameter.data[i]) + 3 * lost;
  });
  return { parameter, m, v };
}

/** Updates with moments of 0, as the first has. */
const firstCalls: fc.Arbitrary<Call> = adamCalls.map(({ config, inputs }) => ({
  config: { ...config, step: 0 },
  inputs: { ...inputs, m: zerosLike(inputs.m), v: zerosLike(inputs.v) },
}));

export const adamUpdate: KernelSpec = {
  name: 'adam-update',
  summary: 'one Adam update of one parameter, with bias correction and without weight decay',
  inputs: inputWords,
  outputs: { parameter: '(…)', m: '(…)', v: '(…)' },
  config: {
    step: 'updates done before this one',
    rate: 'learning rate of this update',
    beta1: 'weight of the old m',
    beta2: 'weight of the old v',
    epsilon: 'added to the root of the corrected v',
  },
  outputShapes: ({ inputs: { parameter } }) => ({
    parameter: parameter.shape,
    m: parameter.shape,
    v: parameter.shape,
  }),
  reference: adamStep,
  laws: [
    agreesWithReference(adamCalls, adamStep, adamBounds),
    law(
      'a zero gradient with zero moments changes nothing, whatever the step',
      only(
        adamCalls.map(({ config, inputs }) => ({
          config,
          inputs: {
            parameter: inputs.parameter,
            gradient: zerosLike(inputs.m),
            m: zerosLike(inputs.m),
            v: zerosLike(inputs.v),
          },
        })),
      ),
      async ({ call }, { run, profile }) => {
        const { parameter, m, v } = call.inputs;
        const bounds = { parameter: parameter.data.map(() => copied(profile)) };
        return compareTensors(await run(call), { parameter, m, v }, bounds);
      },
    ),
    law(
      'without a gradient m shrinks to beta1 m, and v to beta2 v',
      only(
        adamCalls.map((call) => ({
          ...call,
          inputs: { ...call.inputs, gradient: zerosLike(call.inputs.gradient) },
        })),
      ),
      async ({ call }, { run, profile }) => {
        const { m, v } = await run(call);
        const { m: boundM, v: boundV } = adamBounds(call, adamStep(call), profile);
        const shrunk = (name: 'm' | 'v', beta: number): Tensor => {
          const { shape, data } = call.inputs[name];
          return tensor(
            shape,
            data.map((value) => beta * value),
          );
        };
        const expected = {
          m: shrunk('m', numberOf(call, 'beta1')),
          v: shrunk('v', numberOf(call, 'beta2')),
        };
        return compareTensors({ m, v }, expected, { m: boundM, v: boundV });
      },
    ),
    law(
      'the first update is -rate · g / (|g| + epsilon)',
      only(firstCalls),
      async ({ call }, { run, profile }) => {
        const [rate, epsilon] = [numberOf(call, 'rate'), numberOf(call, 'epsilon')];
        const before = call.inputs.parameter;
        const expected = before.data.map((value, i) => {
          const g = call.inputs.gradient.data[i];
          return value - (rate * g) / (Math.abs(g) + epsilon);
        });
        const bound = adamBounds(call, adamStep(call), profile).parameter;
        const { parameter } = await run(call);
        return compareTensor(
          'parameter',
          parameter,
          tensor(before.shape, expected),
          // m / (1 - beta1) and the root of v / (1 - beta2) are g in exact arithmetic, here within float64.
          (i) => bound[i] + gamma(8, 2 ** -53) * (Math.abs(expected[i]) + rate),
        );
      },
    ),
    law(
      'the first update moves no value by more than the rate, and none along its gradient',
      only(firstCalls),
      async ({ call }, { run, profile }) => {
        const bound = adamBounds(call, adamStep(call), profile).parameter;
        const after = (await run(call)).parameter.data;
        const before = call.inputs.parameter.data;
        for (let i = 0; i < after.length; i++) {
          const against = -Math.sign(call.inputs.gradient.data[i]) * (after[i] - before[i]);
          if (!(against >= -bound[i] && against <= numberOf(call, 'rate') + bound[i])) {
            return `value ${i} moved by ${after[i] - before[i]} for a gradient of ${call.inputs.gradient.data[i]} and a rate of ${numberOf(call, 'rate')}`;
          }
        }
        return null;
      },
    ),
    law(
      'rate 0 leaves the parameter as it is while the moments move',
      only(adamCalls.map((call) => ({ ...call, config: { ...call.config, rate: 0 } }))),
      async ({ call }, { run, profile }) => {
        const { parameter } = call.inputs;
        const { m, v } = adamStep(call);
        const bounds = {
          ...adamBounds(call, { parameter, m, v }, profile),
          parameter: parameter.data.map(() => copied(profile)),
        };
        return compareTensors(await run(call), { parameter, m, v }, bounds);
      },
    ),
    law(
      'each value is updated by itself: permuting values permutes the update',
      adamCalls.chain((call) =>
        permutationOf(call.inputs.parameter.data.length).map((order) => ({ call, order })),
      ),
      async ({ call, order }, { run, profile }) => {
        const permute = (tensors: Tensors): Tensors =>
          Object.fromEntries(
            Object.entries(tensors).map(([name, { shape, data }]) => [
              name,
              tensor(
                shape,
                order.map((i) => data[i]),
              ),
            ]),
          );
        const permuted: Call = { ...call, inputs: permute(call.inputs) };
        const { parameter, m, v } = await run(call);
        const bounds = Object.fromEntries(
          Object.entries(adamBounds(permuted, adamStep(permuted), profile)).map(([name, bound]) => [
            name,
            bound.map((limit) => 2 * limit),
          ]),
        );
        return compareTensors(await run(permuted), permute({ parameter, m, v }), bounds);
      },
    ),
    neverHidesNonFinite(withNonFinite(adamCalls, ['parameter', 'gradient', 'm', 'v'])),
  ],
};

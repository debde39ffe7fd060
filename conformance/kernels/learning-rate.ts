/**
 * learning-rate: linear warm-up, constant, linear decay.
 * @module
 */
import fc from 'fast-check';
import { learningRate as rateReference } from '../../reference/adam.ts';
import { dictionaryLearning } from '../../reference/dialects.ts';
import { compareTensor, compareTensors } from '../compare.ts';
import type { Profile } from '../error-model.ts';
import type { Call, KernelSpec, Tensors } from '../kernel.ts';
import { agreesWithReference, law, only } from '../laws.ts';
import { numberOf, scalar } from '../tensors.ts';
import { elementwise, growth } from './decoder-norm.ts';

/** Steps on and beside every boundary of the schedule. Counts stay below 2^24, where float32 holds them exactly. */
export const rateCalls: fc.Arbitrary<Call> = fc
  .record({
    warmup_steps: fc.oneof(fc.constantFrom(0, 1, 1000), fc.nat({ max: 40 })),
    // Decay starts after warm-up, as the published code asserts.
    constant: fc.oneof(fc.constantFrom(1, 2), fc.integer({ min: 1, max: 40 })),
    decaying: fc.oneof(fc.constantFrom(1, 2, 100_000), fc.integer({ min: 1, max: 40 })),
    decays: fc.boolean(),
    learning_rate: fc.constantFrom(2e-4, 3e-4, 1, 0.125),
    near: fc.nat({ max: 9 }),
    anywhere: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ warmup_steps, constant, decaying, decays, learning_rate, near, anywhere }) => {
    const decay_start = warmup_steps + constant;
    const steps = decay_start + decaying;
    const places = [0, 1, warmup_steps - 1, warmup_steps, decay_start - 1, decay_start];
    const step = [...places, decay_start + 1, steps - 1][near] ?? Math.floor(anywhere * steps);
    return {
      config: {
        step: Math.min(Math.max(step, 0), steps - 1),
        steps,
        warmup_steps,
        decay_start: decays ? decay_start : null,
        learning_rate,
      },
      inputs: {},
    };
  });

function scheduled(call: Call): Tensors {
  const { decay_start } = call.config;
  return {
    rate: scalar(
      rateReference(
        numberOf(call, 'step'),
        {
          learningRate: numberOf(call, 'learning_rate'),
          steps: numberOf(call, 'steps'),
          warmupSteps: numberOf(call, 'warmup_steps'),
          decayStart: decay_start === null ? null : Number(decay_start),
          cosineTo: null,
        },
        dictionaryLearning,
      ),
    ),
  };
}

/** learning_rate rounded, one division, one product; 1 - done / length is as good, so the bound is not relative to it. */
const rateBound = (call: Call, profile: Profile): number =>
  growth(3, 1, elementwise(profile)) * numberOf(call, 'learning_rate');

export const learningRate: KernelSpec = {
  name: 'learning-rate',
  summary: 'linear warm-up from 0, constant, then linear decay to 0',
  inputs: {},
  outputs: { rate: '()' },
  config: {
    step: 'updates done before this one',
    steps: 'updates in the whole run',
    warmup_steps: 'updates before the full rate is reached',
    decay_start: 'first update of the decay, or null',
    learning_rate: 'the full rate',
  },
  outputShapes: () => ({ rate: [] }),
  reference: scheduled,
  laws: [
    agreesWithReference(rateCalls, scheduled, (call, _expected, profile) => ({
      rate: Float64Array.of(rateBound(call, profile)),
    })),
    law(
      'with warm-up, update 0 has rate 0',
      only(
        rateCalls.map((call) => ({
          ...call,
          config: {
            ...call.config,
            step: 0,
            warmup_steps: Math.max(1, numberOf(call, 'warmup_steps')),
            decay_start: null,
          },
        })),
      ),
      async ({ call }, { run }) => compareTensors(await run(call), { rate: scalar(0) }, {}),
    ),
    law(
      'from the end of warm-up to the start of decay the rate is learning_rate, rounded',
      only(
        rateCalls.map((call) => {
          const { decay_start, steps, warmup_steps, step } = call.config;
          const last = Number(decay_start ?? steps) - 1;
          const within = Math.max(Number(warmup_steps), Math.min(Number(step), last));
          return { ...call, config: { ...call.config, step: within } };
        }),
      ),
      async ({ call }, { run, profile }) => {
        const full = numberOf(call, 'learning_rate');
        const bound = growth(1, 0, elementwise(profile)) * full;
        return compareTensor('rate', (await run(call)).rate, scalar(full), () => bound);
      },
    ),
    law(
      'the rate never rises once decay has started',
      only(
        rateCalls
          .filter(
            ({ config }) =>
              config.decay_start !== null && Number(config.decay_start) < Number(config.steps) - 1,
          )
          .map((call) => {
            const { decay_start, steps, step } = call.config;
            const from = Math.max(Number(decay_start), Math.min(Number(step), Number(steps) - 2));
            return { ...call, config: { ...call.config, step: from } };
          }),
      ),
      async ({ call }, { run, profile }) => {
        const now = (await run(call)).rate.data[0];
        const next: Call = {
          ...call,
          config: { ...call.config, step: numberOf(call, 'step') + 1 },
        };
        const then = (await run(next)).rate.data[0];
        return then <= now + 2 * rateBound(call, profile)
          ? null
          : `the rate rose from ${now} to ${then} in the next update`;
      },
    ),
    law(
      'the last update of a decay has the share 1 / (steps - decay_start) of the rate',
      only(
        rateCalls
          .filter(({ config }) => config.decay_start !== null)
          .map((call) => ({
            ...call,
            config: { ...call.config, step: numberOf(call, 'steps') - 1 },
          })),
      ),
      async ({ call }, { run, profile }) => {
        const updates = numberOf(call, 'steps') - numberOf(call, 'decay_start');
        const expected = scalar(numberOf(call, 'learning_rate') / updates);
        const bound = rateBound(call, profile);
        return compareTensor('rate', (await run(call)).rate, expected, () => bound);
      },
    ),
  ],
};

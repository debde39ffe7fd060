/**
 * since-fired: tokens since each latent fired, and which latents are dead. Counting is exact.
 *
 * Counts stay below 2^24, where a float32 counter stops counting by ones. No latent is subnormal: a device that flushes
 * would not see it fire.
 * @module
 */
import fc from 'fast-check';
import { deadMask, updateSinceFired } from '../../reference/dead-latents.ts';
import { dictionaryLearning } from '../../reference/dialects.ts';
import { requireFinite } from '../../reference/matrix.ts';
import { flatSizes, latentsOf, permutationOf } from '../arbitraries.ts';
import { compareTensor, compareTensors } from '../compare.ts';
import type { Profile } from '../error-model.ts';
import type { Call, KernelSpec, Tensor, Tensors } from '../kernel.ts';
import { agreesWithReference, law, only } from '../laws.ts';
import { smallerCalls } from '../smaller-calls.ts';
import { fromVector, numberOf, tensor, toMatrix } from '../tensors.ts';
import { normal } from './threshold.ts';

const inputWords = { since_fired: '(d_sae), whole numbers', latents: '(rows, d_sae), >= 0' };

/** dead_after as far from the new counts as it was, when there are fewer rows. */
const asFarFromDead = (smaller: Call, larger: Call): Call[] => {
  const rows = (call: Call): number => call.inputs.latents.shape[0];
  const dead_after = numberOf(larger, 'dead_after') - rows(larger) + rows(smaller);
  return [{ ...smaller, config: { dead_after } }];
};

/** dead_after equal to a new count, beside one, to an old one, or anything. */
export const sinceFiredCalls: fc.Arbitrary<Call> = smallerCalls(
  flatSizes.chain(({ rows, d_sae }) =>
    fc
      .record({
        latents: latentsOf([rows, d_sae]).map(normal),
        counts: fc.array(
          fc.oneof(fc.nat({ max: 20 }), fc.constantFrom(0, 1000), fc.nat({ max: 16_000_000 })),
          { minLength: d_sae, maxLength: d_sae },
        ),
      })
      .chain(({ latents, counts }) => {
        const beside = counts.flatMap((count) => [-1, 0, 0, 1].map((by) => count + rows + by));
        return fc
          .oneof(
            { weight: 3, arbitrary: fc.constantFrom(...beside) },
            { weight: 1, arbitrary: fc.constantFrom(...counts, 1, 10_000_000) },
          )
          .map((dead_after) => ({
            config: { dead_after },
            inputs: { since_fired: fromVector(counts), latents },
          }));
      }),
  ),
  inputWords,
  { adapt: asFarFromDead },
);

function counted(call: Call): Tensors {
  const { since_fired, latents } = call.inputs;
  // Selection has refused such values before; alone, the operator has to.
  requireFinite('latents', latents.data);
  const next = updateSinceFired(since_fired.data, toMatrix(latents), dictionaryLearning);
  const dead = deadMask(next, numberOf(call, 'dead_after'), dictionaryLearning);
  return { since_fired: fromVector(next), dead: fromVector(dead) };
}

/** Counts are exact up to 1 / u_out, the last whole number before a format has gaps; beyond, they are rounded. */
function countError(count: number, { u_out }: Profile): number {
  return count * u_out > 1 ? count * u_out : 0;
}

/** A latent whose count is rounded may be found dead from the count before rounding, or after it. */
function countErrors(
  call: Call,
  { since_fired }: Tensors,
  profile: Profile,
): { since_fired: Float64Array; dead: Float64Array } {
  const deadAfter = numberOf(call, 'dead_after');
  const errors = since_fired.data.map((count) => countError(count, profile));
  const isFree = (count: number, j: number): boolean =>
    errors[j] > 0 && Math.abs(count - deadAfter) <= 2 * errors[j];
  return { since_fired: errors, dead: since_fired.data.map((count, j) => +isFree(count, j)) };
}

export const sinceFired: KernelSpec = {
  name: 'since-fired',
  summary:
    'tokens since each latent fired, and 1 for each latent that has not for dead_after tokens',
  inputs: inputWords,
  outputs: { since_fired: '(d_sae)', dead: '(d_sae), 0 or 1' },
  config: { dead_after: 'tokens without firing after which a latent is dead' },
  outputShapes: ({ inputs: { since_fired } }) => ({
    since_fired: since_fired.shape,
    dead: since_fired.shape,
  }),
  reference: counted,
  laws: [
    agreesWithReference(sinceFiredCalls, counted, countErrors),
    law(
      'a latent that is positive in any row gets 0, every other one ages by the number of rows',
      only(sinceFiredCalls),
      async ({ call }, { run, profile }) => {
        const { since_fired, latents } = call.inputs;
        const [rows, d_sae] = latents.shape;
        const fired = (j: number): boolean =>
          latents.data.some((latent, i) => i % d_sae === j && latent > 0);
        const expected = since_fired.data.map((count, j) => (fired(j) ? 0 : count + rows));
        const got = (await run(call)).since_fired;
        return compareTensor('since_fired', got, tensor(got.shape, expected), (j) =>
          countError(expected[j], profile),
        );
      },
    ),
    law(
      'a latent is dead when its new count is dead_after or more',
      only(sinceFiredCalls),
      async ({ call }, { run, profile }) => {
        const { since_fired, dead } = await run(call);
        const bound = countErrors(call, { since_fired }, profile).dead;
        const expected = since_fired.data.map((count) =>
          Number(count >= numberOf(call, 'dead_after')),
        );
        return compareTensor('dead', dead, tensor(dead.shape, expected), (j) => bound[j]);
      },
    ),
    law(
      'permuting rows changes nothing',
      sinceFiredCalls.chain((call) =>
        permutationOf(call.inputs.latents.shape[0]).map((order) => ({ call, order })),
      ),
      async ({ call, order }, { run }) => {
        const { shape, data } = call.inputs.latents;
        const latents = tensor(
          shape,
          data.map((_, i) => data[order[Math.floor(i / shape[1])] * shape[1] + (i % shape[1])]),
        );
        const { since_fired, dead } = await run(call);
        const got = await run({ ...call, inputs: { ...call.inputs, latents } });
        return compareTensors(got, { since_fired, dead }, {});
      },
    ),
    law(
      'permuting latents permutes counts and dead latents',
      sinceFiredCalls.chain((call) =>
        permutationOf(call.inputs.since_fired.shape[0]).map((order) => ({ call, order })),
      ),
      async ({ call, order }, { run }) => {
        const permute = ({ shape, data }: Tensor): Tensor =>
          tensor(
            shape,
            data.map((_, i) => data[i - (i % order.length) + order[i % order.length]]),
          );
        const { since_fired, dead } = await run(call);
        const inputs = {
          since_fired: permute(call.inputs.since_fired),
          latents: permute(call.inputs.latents),
        };
        const expected = { since_fired: permute(since_fired), dead: permute(dead) };
        return compareTensors(await run({ ...call, inputs }), expected, {});
      },
    ),
    // No law for NaN: counts are whole numbers and cannot show it. Selection, which makes the latents, has to.
  ],
};

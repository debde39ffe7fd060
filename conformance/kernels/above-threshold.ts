/**
 * above-threshold: the selection of inference, a comparison with one number. Kept values are copied, so all is exact.
 * @module
 */
import fc from 'fast-check';
import { aboveThreshold as thresholdReference } from '../../reference/select.ts';
import { actsOf, sizes, tensorOf, withNonFinite } from '../arbitraries.ts';
import { compareTensor, compareTensors, place } from '../compare.ts';
import type { Call, KernelSpec, Tensor, Tensors } from '../kernel.ts';
import { agreesWithReference, law, neverHidesNonFinite, only } from '../laws.ts';
import { smallerCalls } from '../smaller-calls.ts';
import { fromMatrix, scalar, tensor, toMatrix } from '../tensors.ts';
import {
  batchReference,
  copyError,
  countOf,
  rowsOf,
  tieFreeCalls,
  widthOf,
} from './select-calls.ts';

const gateWords = { acts: '(…, d_sae), >= 0', threshold: '()' };

const thresholdCalls: fc.Arbitrary<Call> = smallerCalls(
  sizes.chain(({ lead, d_sae }) =>
    actsOf([...lead, d_sae]).chain((acts) =>
      fc
        // Equal to an act, negative (never set), zero, or anything.
        .oneof(
          fc.constantFrom(...acts.data),
          fc.constantFrom(-1, 0),
          tensorOf([1]).map(({ data }) => data[0]),
        )
        .map((threshold) => ({ config: {}, inputs: { acts, threshold: scalar(threshold) } })),
    ),
  ),
  gateWords,
);

const thresholdOf = ({ inputs }: Call): number => inputs.threshold.data[0];

/** The threshold is one of the acts. */
const atThreshold: fc.Arbitrary<Call> = smallerCalls(
  sizes
    .chain(({ lead, d_sae }) => actsOf([...lead, d_sae]))
    .chain((acts) =>
      fc
        .constantFrom(...acts.data)
        .map((act) => ({ config: {}, inputs: { acts, threshold: scalar(act) } })),
    ),
  gateWords,
  { isValid: (call) => call.inputs.acts.data.includes(thresholdOf(call)) },
);

function gateReference({ inputs }: Call): Tensors {
  const latents = thresholdReference(toMatrix(inputs.acts), inputs.threshold.data[0]);
  return { latents: fromMatrix(latents, inputs.acts.shape) };
}

export const aboveThreshold: KernelSpec = {
  name: 'above-threshold',
  summary: 'inference: keeps acts strictly above the threshold',
  inputs: gateWords,
  outputs: { latents: '(…, d_sae)' },
  config: {},
  outputShapes: ({ inputs }) => ({ latents: inputs.acts.shape }),
  reference: gateReference,
  laws: [
    agreesWithReference(thresholdCalls, gateReference, (_, { latents }, profile) => ({
      latents: latents.data.map(() => copyError(profile)),
    })),
    law(
      'a latent is 0 or its act, bit for bit',
      only(thresholdCalls),
      async ({ call }, { run }) => {
        const { latents } = await run(call);
        const { acts } = call.inputs;
        const expected = acts.data.map((act, i) => (latents.data[i] === 0 ? 0 : act));
        return compareTensor('latents', latents, tensor(acts.shape, expected), () => 0);
      },
    ),
    law(
      'a threshold of 0 or less keeps every act',
      only(
        thresholdCalls.map((call) => ({
          ...call,
          inputs: { ...call.inputs, threshold: scalar(-Math.abs(thresholdOf(call))) },
        })),
      ),
      async ({ call }, { run, profile }) =>
        compareTensor('latents', (await run(call)).latents, call.inputs.acts, () =>
          copyError(profile),
        ),
    ),
    law(
      'a row is cut alone as it is in a batch',
      thresholdCalls.chain((call) => fc.nat({ max: rowsOf(call) - 1 }).map((b) => ({ call, b }))),
      async ({ call, b }, { run }) => {
        const cols = widthOf(call);
        const slice = (data: Float64Array): Tensor =>
          tensor([1, cols], data.slice(b * cols, (b + 1) * cols));
        const acts = slice(call.inputs.acts.data);
        const alone = await run({ ...call, inputs: { ...call.inputs, acts } });
        const together = slice((await run(call)).latents.data);
        return compareTensor(`latents of row ${b} alone`, alone.latents, together, () => 0);
      },
    ),
    law(
      'a threshold between the K-th and the next act selects what BatchTopK selects',
      only(
        tieFreeCalls.map((call): Call => {
          const sorted = call.inputs.acts.data.toSorted().reverse();
          const K = countOf(call);
          // Half-way between neighbours; above the largest when none is kept, 0 when all are.
          const next = K < sorted.length ? sorted[K] : 0;
          const cut = ((K === 0 ? sorted[0] + 1 : sorted[K - 1]) + next) / 2;
          return {
            config: call.config,
            inputs: { acts: call.inputs.acts, threshold: scalar(cut) },
          };
        }),
      ),
      async ({ call }, { run }) => {
        const expected = batchReference({
          config: call.config,
          inputs: { acts: call.inputs.acts },
        });
        return compareTensors(await run(call), expected, {});
      },
    ),
    law(
      'an act equal to the threshold is dropped',
      only(atThreshold),
      async ({ call }, { run }) => {
        const { latents } = await run(call);
        const { acts, threshold } = call.inputs;
        const at = acts.data.findIndex(
          (act, i) => act === threshold.data[0] && latents.data[i] !== 0,
        );
        return at < 0
          ? null
          : `latents${place(at, acts.shape)} kept ${acts.data[at]}, equal to the threshold`;
      },
    ),
    law(
      'a higher threshold keeps a subset',
      thresholdCalls.chain((call) =>
        fc.integer({ min: 1, max: 8 }).map((more) => ({ call, more })),
      ),
      async ({ call, more }, { run }) => {
        const low = (await run(call)).latents;
        const threshold = scalar(call.inputs.threshold.data[0] + more / 2);
        const high = (await run({ ...call, inputs: { ...call.inputs, threshold } })).latents;
        const at = high.data.findIndex((latent, i) => latent !== 0 && low.data[i] !== latent);
        return at < 0
          ? null
          : `latents${place(at, high.shape)} is kept only by the higher threshold`;
      },
    ),
    neverHidesNonFinite(withNonFinite(thresholdCalls, ['acts'])),
  ],
};

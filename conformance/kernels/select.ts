/**
 * batch-topk and topk: which acts become latents.
 *
 * Selected values are copied, so they are compared exactly. Which of several equal acts is kept is left to the kernel:
 * any selection of the right size that keeps nothing smaller than what it drops is right.
 * @module
 */
import fc from 'fast-check';
import { permutationOf, withNonFinite } from '../arbitraries.ts';
import { compareTensor, compareTensors, place } from '../compare.ts';
import type { Profile } from '../error-model.ts';
import type { Call, KernelSpec, Law, Tensor } from '../kernel.ts';
import { agreesWithReference, law, neverHidesNonFinite, only } from '../laws.ts';
import { numberOf, tensor } from '../tensors.ts';
import {
  actsWords,
  batchCalls,
  batchReference,
  copyError,
  countOf,
  kForCount,
  roomyCalls,
  rowCalls,
  rowReference,
  rowsOf,
  tieFreeCalls,
  widthOf,
} from './select-calls.ts';
import { cutLaws } from './select-cut.ts';

/**
 * What is wrong with a selection of K among the acts of one range; null if nothing. Ties are free, and so is whether a
 * kernel that flushes sees a subnormal act at all.
 */
function wrongSelection(
  acts: Tensor,
  latents: Tensor,
  K: number,
  start: number,
  end: number,
  profile: Profile,
): string | null {
  const unseen = copyError(profile);
  let kept = 0;
  let seen = 0;
  let positive = 0;
  let smallestKept = Infinity;
  let largestDropped = 0;
  for (let i = start; i < end; i++) {
    const act = acts.data[i];
    const latent = latents.data[i];
    if (act > 0) positive++;
    if (act > unseen) seen++;
    if (latent !== 0 && latent !== act) {
      return `latents${place(i, acts.shape)} returned ${latent}, expected 0 or the act ${act} exactly`;
    }
    if (Number.isNaN(latent)) return `latents${place(i, acts.shape)} returned NaN`;
    if (latent !== 0) {
      kept++;
      smallestKept = Math.min(smallestKept, act);
    } else if (act > unseen) largestDropped = Math.max(largestDropped, act);
  }
  const expected = Math.min(K, positive);
  if (kept < Math.min(K, seen) || kept > expected) {
    return `kept ${kept} latents, expected ${expected} (K = ${K}, ${positive} positive acts)`;
  }
  return smallestKept >= largestDropped
    ? null
    : `kept the act ${smallestKept} and dropped the larger ${largestDropped}`;
}

/** A law that compares the kernel's answer to a changed call with its changed answer to the call itself. */
function equivariance(
  name: string,
  calls: fc.Arbitrary<{ call: Call; order: number[] }>,
  change: (t: Tensor, order: readonly number[]) => Tensor,
): Law {
  return law(name, calls, async ({ call, order }, { run }) => {
    const changed: Call = { ...call, inputs: { acts: change(call.inputs.acts, order) } };
    const expected = change((await run(call)).latents, order);
    return compareTensor('latents', (await run(changed)).latents, expected, () => 0);
  });
}

const permuteColumns = ({ shape, data }: Tensor, order: readonly number[]): Tensor =>
  tensor(
    shape,
    data.map((_, i) => data[i - (i % order.length) + order[i % order.length]]),
  );

const permuteRows = ({ shape, data }: Tensor, order: readonly number[]): Tensor => {
  const cols = shape[shape.length - 1];
  return tensor(
    shape,
    data.map((_, i) => data[order[Math.floor(i / cols)] * cols + (i % cols)]),
  );
};

export const batchTopk: KernelSpec = {
  name: 'batch-topk',
  summary: 'keeps the trunc(k · rows) largest acts of the whole batch',
  inputs: actsWords,
  outputs: { latents: '(…, d_sae)' },
  config: { k: 'mean number of latents kept per row; may be fractional' },
  outputShapes: ({ inputs }) => ({ latents: inputs.acts.shape }),
  reference: batchReference,
  laws: [
    law(
      'keeps the K largest positive acts of the whole batch, unchanged',
      only(batchCalls),
      async ({ call }, { run, profile }) => {
        const { latents } = await run(call);
        const { acts } = call.inputs;
        return wrongSelection(acts, latents, countOf(call), 0, acts.data.length, profile);
      },
    ),
    agreesWithReference(tieFreeCalls, batchReference, () => ({})),
    law('all leading dimensions count as rows', only(tieFreeCalls), async ({ call }, { run }) => {
      const { shape, data } = call.inputs.acts;
      const flat = await run({
        ...call,
        inputs: { acts: tensor([rowsOf(call), widthOf(call)], data) },
      });
      const got = (await run(call)).latents;
      return compareTensor('latents', got, tensor(shape, flat.latents.data), () => 0);
    }),
    law(
      'is idempotent: selecting K again changes nothing',
      only(batchCalls),
      async ({ call }, { run }) => {
        const { latents } = await run(call);
        const again = await run({ ...call, inputs: { acts: latents } });
        return compareTensor('latents', again.latents, latents, () => 0);
      },
    ),
    law(
      'K = 0 keeps nothing',
      only(batchCalls.map((call) => ({ ...call, config: { k: 0.75 / rowsOf(call) } }))),
      async ({ call }, { run }) => {
        const { shape, data } = call.inputs.acts;
        const nothing = { latents: tensor(shape, new Float64Array(data.length)) };
        return compareTensors(await run(call), nothing, {});
      },
    ),
    law(
      'with K at least the number of positive acts, all of them stay',
      only(roomyCalls),
      async ({ call }, { run, profile }) =>
        compareTensor('latents', (await run(call)).latents, call.inputs.acts, () =>
          copyError(profile),
        ),
    ),
    equivariance(
      'permuting rows permutes latents when no two acts tie',
      tieFreeCalls.chain((call) => permutationOf(rowsOf(call)).map((order) => ({ call, order }))),
      permuteRows,
    ),
    equivariance(
      'permuting latents permutes the selection when no two acts tie',
      tieFreeCalls.chain((call) => permutationOf(widthOf(call)).map((order) => ({ call, order }))),
      permuteColumns,
    ),
    law(
      'scaling acts by a power of two scales latents bit for bit',
      tieFreeCalls.chain((call) =>
        fc.integer({ min: -20, max: 20 }).map((power) => ({ call, power })),
      ),
      async ({ call, power }, { run }) => {
        const scaled = ({ shape, data }: Tensor): Tensor =>
          tensor(
            shape,
            data.map((value) => value * 2 ** power),
          );
        const got = await run({ ...call, inputs: { acts: scaled(call.inputs.acts) } });
        return compareTensor('latents', got.latents, scaled((await run(call)).latents), () => 0);
      },
    ),
    law(
      'with K fixed, adding rows of zeros changes nothing',
      tieFreeCalls.chain((call) => fc.integer({ min: 1, max: 3 }).map((more) => ({ call, more }))),
      async ({ call, more }, { run }) => {
        const K = countOf(call);
        const cols = widthOf(call);
        const rows = rowsOf(call);
        const padded = tensor(
          [rows + more, cols],
          [...call.inputs.acts.data, ...new Float64Array(more * cols)],
        );
        const got = await run({
          config: { k: kForCount(K, rows + more, cols) },
          inputs: { acts: padded },
        });
        const alone = (await run(call)).latents.data;
        const expected = tensor([rows + more, cols], [...alone, ...new Float64Array(more * cols)]);
        return compareTensor('latents', got.latents, expected, () => 0);
      },
    ),
    ...cutLaws,
    neverHidesNonFinite(withNonFinite(batchCalls, ['acts'])),
  ],
};

export const topk: KernelSpec = {
  name: 'topk',
  summary: 'keeps the k largest acts of each row',
  inputs: actsWords,
  outputs: { latents: '(…, d_sae)' },
  config: { k: 'latents kept per row, a whole number' },
  outputShapes: ({ inputs }) => ({ latents: inputs.acts.shape }),
  reference: rowReference,
  laws: [
    law(
      'keeps the k largest positive acts of each row, unchanged',
      only(rowCalls),
      async ({ call }, { run, profile }) => {
        const { latents } = await run(call);
        const cols = widthOf(call);
        for (let b = 0; b < rowsOf(call); b++) {
          const wrong = wrongSelection(
            call.inputs.acts,
            latents,
            numberOf(call, 'k'),
            b * cols,
            (b + 1) * cols,
            profile,
          );
          if (wrong !== null) return `row ${b}: ${wrong}`;
        }
        return null;
      },
    ),
    law(
      'a row selects alone as it does in a batch',
      rowCalls.chain((call) => fc.nat({ max: rowsOf(call) - 1 }).map((b) => ({ call, b }))),
      async ({ call, b }, { run }) => {
        const cols = widthOf(call);
        const slice = (data: Float64Array): Tensor =>
          tensor([1, cols], data.slice(b * cols, (b + 1) * cols));
        const alone = await run({ ...call, inputs: { acts: slice(call.inputs.acts.data) } });
        const together = slice((await run(call)).latents.data);
        // Which of equal acts is kept may differ; how many of each value may not.
        const sorted = ({ shape, data }: Tensor): Tensor => tensor(shape, data.toSorted());
        return compareTensor('latents, sorted', sorted(alone.latents), sorted(together), () => 0);
      },
    ),
    law(
      'of a single row BatchTopK and TopK are the same',
      only(
        tieFreeCalls.map((call) => {
          const row = tensor([1, widthOf(call)], call.inputs.acts.data.slice(0, widthOf(call)));
          return {
            config: { k: Math.min(Math.trunc(numberOf(call, 'k')), widthOf(call)) },
            inputs: { acts: row },
          };
        }),
      ),
      async ({ call }, { run }) => compareTensors(await run(call), batchReference(call), {}),
    ),
    neverHidesNonFinite(withNonFinite(rowCalls, ['acts'])),
  ],
};

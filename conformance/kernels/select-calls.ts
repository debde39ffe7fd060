/**
 * Calls of batch-topk and topk, what the reference answers, and what is known of a call before it is made.
 * @module
 */
import fc from 'fast-check';
import { batchTopK, topK } from '../../reference/select.ts';
import { actsOf, flatSizes, kFor, permutationOf, sizes, type Sizes } from '../arbitraries.ts';
import type { Profile } from '../error-model.ts';
import type { Call, Tensor, Tensors } from '../kernel.ts';
import { smallerCalls } from '../smaller-calls.ts';
import { fromMatrix, numberOf, tensor, toMatrix } from '../tensors.ts';

/** 0, 1 and 2: rows with ties wherever they are cut. */
const fewValues = (shape: readonly number[]): fc.Arbitrary<Tensor> => {
  const length = shape.reduce((product, n) => product * n, 1);
  return fc
    .array(fc.integer({ min: 0, max: 2 }), { minLength: length, maxLength: length })
    .map((data) => tensor(shape, data));
};

/** Acts of every character, one call in three with ties wherever it is cut. */
const anyActs = (shape: readonly number[]): fc.Arbitrary<Tensor> =>
  fc.oneof({ weight: 2, arbitrary: actsOf(shape) }, { weight: 1, arbitrary: fewValues(shape) });

/** k that cuts among the positive acts; all of them stay wherever else it falls. */
const kAmong = (acts: Tensor, rows: number): fc.Arbitrary<number> => {
  const positive = acts.data.filter((act) => act > 0).length;
  return fc
    .integer({ min: Math.min(positive, 1), max: positive })
    .map((K) => kForCount(K, rows, acts.data.length / rows));
};

const withK = ({ lead, d_sae, rows }: Sizes): fc.Arbitrary<Call> =>
  anyActs([...lead, d_sae]).chain((acts) =>
    fc
      .oneof(kFor(acts, rows), kAmong(acts, rows))
      .map((k) => ({ config: { k }, inputs: { acts } })),
  );

export const actsWords: Readonly<Record<string, string>> = { acts: '(…, d_sae), >= 0' };

/** The same number of kept acts, and one fewer, when rows or latents are left out. */
const sameCount = (smaller: Call, larger: Call): Call[] =>
  [0, 1]
    .map((fewer) => (countOf(larger) - fewer) / rowsOf(smaller))
    .filter((k) => k >= 0 && k <= widthOf(smaller))
    .map((k) => ({ ...smaller, config: { k } }));

/** Any acts, ties included. */
export const batchCalls: fc.Arbitrary<Call> = smallerCalls(sizes.chain(withK), actsWords, {
  adapt: sameCount,
});

/** Acts without two equal positive values, so that there is one right selection. */
export const tieFreeCalls: fc.Arbitrary<Call> = smallerCalls(
  sizes.chain((size) =>
    permutationOf(size.rows * size.d_sae).chain((order) => {
      const acts = tensor(
        [...size.lead, size.d_sae],
        order.map((rank) => Math.max(rank - 2, 0) / 4),
      );
      return kFor(acts, size.rows).map((k) => ({ config: { k }, inputs: { acts } }));
    }),
  ),
  actsWords,
  {
    adapt: sameCount,
    isValid: ({ inputs: { acts } }) => {
      const positive = acts.data.filter((act) => act > 0);
      return new Set(positive).size === positive.length;
    },
  },
);

export const rowCalls: fc.Arbitrary<Call> = smallerCalls(
  sizes.chain(({ lead, d_sae }) =>
    fc
      .record({
        acts: fc.oneof(actsOf([...lead, d_sae]), fewValues([...lead, d_sae])),
        k: fc.integer({ min: 0, max: d_sae }),
      })
      .map(({ acts, k }) => ({ config: { k }, inputs: { acts } })),
  ),
  actsWords,
);

/** As many as there are latents: nothing positive may be dropped. */
export const roomyCalls: fc.Arbitrary<Call> = smallerCalls(
  flatSizes.chain(({ lead, d_sae }) =>
    actsOf([...lead, d_sae]).map((acts) => ({ config: { k: d_sae }, inputs: { acts } })),
  ),
  actsWords,
  { isValid: (call) => numberOf(call, 'k') === widthOf(call) },
);

export function batchReference(call: Call): Tensors {
  const { acts } = call.inputs;
  return { latents: fromMatrix(batchTopK(toMatrix(acts), numberOf(call, 'k')), acts.shape) };
}

export function rowReference(call: Call): Tensors {
  const { acts } = call.inputs;
  return { latents: fromMatrix(topK(toMatrix(acts), numberOf(call, 'k')), acts.shape) };
}

/** How far a copied act may be off: a kernel that flushes may return 0 for a subnormal one. */
export const copyError = ({ flushesSubnormals }: Profile): number =>
  flushesSubnormals ? 2 ** -126 - 2 ** -149 : 0;

export function countOf(call: Call): number {
  const { acts } = call.inputs;
  return Math.trunc(numberOf(call, 'k') * (acts.data.length / acts.shape[acts.shape.length - 1]));
}

/** k that selects K of a batch of these rows; no more than d_sae, where all are selected. */
export function kForCount(K: number, rows: number, d_sae: number): number {
  return Math.min((K + 0.5) / rows, d_sae);
}

export const widthOf = (call: Call): number =>
  call.inputs.acts.shape[call.inputs.acts.shape.length - 1];
export const rowsOf = (call: Call): number => call.inputs.acts.data.length / widthOf(call);

/**
 * Laws of batch-topk about its cut: the smallest act that is kept, 0 where fewer than K are positive. It follows K, the
 * order of acts, and the batch as a whole.
 * @module
 */
import fc from 'fast-check';
import { compareTensor, place } from '../compare.ts';
import type { Profile } from '../error-model.ts';
import type { Call, Law, Tensor } from '../kernel.ts';
import { law } from '../laws.ts';
import { tensor } from '../tensors.ts';
import {
  batchCalls,
  copyError,
  countOf,
  kForCount,
  rowsOf,
  tieFreeCalls,
  widthOf,
} from './select-calls.ts';

/** The K-th largest act, by what was kept: above all where none is asked for, 0 where too few are positive. */
function cutOf({ data }: Tensor, K: number): number {
  if (K === 0) return Infinity;
  const kept = data.filter((latent) => latent !== 0);
  return kept.length < K ? 0 : Math.min(...kept);
}

/** The same call for another batch of the same width and K. */
function selecting(acts: Tensor, K: number): Call {
  const [rows, cols] = acts.shape;
  return { config: { k: kForCount(K, rows, cols) }, inputs: { acts } };
}

/** Rows start to end, in two dimensions. */
function rowsBetween(call: Call, start: number, end: number): Tensor {
  const cols = widthOf(call);
  return tensor([end - start, cols], call.inputs.acts.data.slice(start * cols, end * cols));
}

const anyNumber = fc.nat({ max: 999 });

/** Cut at one of the positive acts: below them all that is positive stays. */
const cutAmong = (calls: fc.Arbitrary<Call>): fc.Arbitrary<Call> =>
  fc.tuple(calls, anyNumber).map(([call, at]) => {
    const positive = call.inputs.acts.data.filter((act) => act > 0).length;
    const K = 1 + (at % Math.max(positive, 1));
    return { ...call, config: { k: kForCount(K, rowsOf(call), widthOf(call)) } };
  });

const cutWithoutTies = cutAmong(tieFreeCalls);
const cutAnywhere = fc.oneof(
  { weight: 1, arbitrary: cutAmong(batchCalls) },
  { weight: 2, arbitrary: cutWithoutTies },
);

const nested = law(
  'with K one larger, what was kept stays and the cut is no higher, when no two acts tie',
  cutWithoutTies
    .filter((call) => countOf(call) < call.inputs.acts.data.length)
    .map((call) => ({ call })),
  async ({ call }, { run }) => {
    const K = countOf(call);
    const { latents } = await run(call);
    const flat = rowsBetween(call, 0, rowsOf(call));
    const more = (await run(selecting(flat, K + 1))).latents;
    const lost = latents.data.findIndex((latent, i) => latent !== 0 && more.data[i] !== latent);
    if (lost >= 0) {
      return `latents${place(lost, latents.shape)} is ${latents.data[lost]} with K = ${K} and ${more.data[lost]} with K = ${K + 1}`;
    }
    const [cut, next] = [cutOf(latents, K), cutOf(more, K + 1)];
    return next <= cut ? null : `the cut rises from ${cut} with K = ${K} to ${next}`;
  },
);

/** Acts above one of them doubled: order and zeros stay, gaps do not. Exact in every format. */
function stretched({ shape, data }: Tensor, at: number): Tensor {
  const pivot = data[at % data.length];
  return tensor(
    shape,
    data.map((act) => (act > pivot ? 2 * act : act)),
  );
}

/** Positive acts replaced by neighbouring values of the kernel's format, from 1 up, in the same order. */
function crowded({ shape, data }: Tensor, { u_out }: Profile): Tensor {
  const gap = 2 * Math.max(u_out, 2 ** -24);
  const sorted = data.filter((act) => act > 0).sort();
  return tensor(
    shape,
    data.map((act) => (act > 0 ? 1 + sorted.indexOf(act) * gap : 0)),
  );
}

const ordinal = law(
  'acts in the same order are selected alike, whatever their sizes, when no two acts tie',
  fc
    .tuple(cutWithoutTies, fc.boolean(), anyNumber)
    .map(([call, crowds, at]) => ({ call, crowds, at })),
  async ({ call, crowds, at }, { run, profile }) => {
    const { acts } = call.inputs;
    const changed = crowds ? crowded(acts, profile) : stretched(acts, at);
    const kept = (await run(call)).latents.data;
    const got = (await run({ ...call, inputs: { acts: changed } })).latents;
    const expected = changed.data.map((act, i) => (kept[i] === 0 ? 0 : act));
    const wrong = compareTensor('latents', got, tensor(acts.shape, expected), () => 0);
    return wrong && `with acts ${changed.data.join(', ')}: ${wrong}`;
  },
);

const twice = law(
  'the same batch twice, with twice K, keeps the same acts twice',
  cutAnywhere.map((call) => ({ call })),
  async ({ call }, { run, profile }) => {
    const rows = rowsOf(call);
    const { data } = call.inputs.acts;
    const both = tensor([2 * rows, widthOf(call)], [...data, ...data]);
    const once = (await run(call)).latents.data;
    const got = (await run(selecting(both, 2 * countOf(call)))).latents;
    // Which of equal acts is kept is free; how many of each value is not.
    const sorted = (values: Float64Array): Tensor => tensor([values.length], values.toSorted());
    const expected = sorted(Float64Array.of(...once, ...once));
    return compareTensor('latents, sorted', sorted(got.data), expected, () => copyError(profile));
  },
);

/** A batch with places to part it at, and how its K may be shared out there. */
const splitCalls = fc
  .tuple(
    cutAnywhere.filter((call) => rowsOf(call) > 1),
    fc.array(fc.tuple(anyNumber, anyNumber), { minLength: 1, maxLength: 4 }),
  )
  .map(([call, places]) => ({ call, places }));

const split = law(
  'the cut of a batch lies between the cuts of its parts',
  splitCalls,
  async ({ call, places }, { run, profile }) => {
    const [rows, K] = [rowsOf(call), countOf(call)];
    const cut = cutOf((await run(call)).latents, K);
    // A subnormal act that one call sees and another does not.
    const unseen = 2 * copyError(profile);
    for (const [at, share] of places) {
      const middle = 1 + (at % (rows - 1));
      const parts = [rowsBetween(call, 0, middle), rowsBetween(call, middle, rows)];
      // No part is asked for more than it has, unless the batch is: below the last positive act every cut is 0.
      const [before, after] = parts.map(({ data }) => data.filter((act) => act > 0).length);
      const least = Math.max(0, Math.min(K, before + after) - after);
      const first = least + (share % (Math.min(K, before) - least + 1));
      const counts = [first, K - first];
      const cuts: number[] = [];
      for (const [part, acts] of parts.entries()) {
        const { latents } = await run(selecting(acts, counts[part]));
        cuts.push(cutOf(latents, counts[part]));
      }
      if (!(cut >= Math.min(...cuts) - unseen && cut <= Math.max(...cuts) + unseen)) {
        return `the cut is ${cut} with K = ${K}, and ${cuts.join(' and ')} of rows before and from ${middle} with K = ${counts.join(' and ')}`;
      }
    }
    return null;
  },
);

/** Each act becomes the next smaller, the same, or the next larger one of the batch or 0. */
function nudged({ shape, data }: Tensor, steps: readonly number[]): Tensor {
  const known = [...new Set([0, ...data])].sort((a, b) => a - b);
  return tensor(
    shape,
    data.map((act, i) => {
      const to = known.indexOf(act) + steps[i % steps.length];
      return known[Math.min(Math.max(to, 0), known.length - 1)];
    }),
  );
}

const steady = law(
  'the cut moves by no more than the act that moves most',
  fc
    .tuple(cutAnywhere, fc.array(fc.integer({ min: -1, max: 1 }), { minLength: 1, maxLength: 11 }))
    .map(([call, steps]) => ({ call, steps })),
  async ({ call, steps }, { run, profile }) => {
    const { acts } = call.inputs;
    const K = countOf(call);
    const moved = nudged(acts, steps);
    const most = Math.max(...acts.data.map((act, i) => Math.abs(act - moved.data[i])));
    const before = cutOf((await run(call)).latents, K);
    const after = cutOf((await run({ ...call, inputs: { acts: moved } })).latents, K);
    // Differences are rounded alike, so theirs keep their order.
    return Math.abs(after - before) <= most + 2 * copyError(profile)
      ? null
      : `the cut moves from ${before} to ${after} when acts move by ${most} at most, to ${moved.data.join(', ')}`;
  },
);

export const cutLaws: readonly Law[] = [nested, ordinal, twice, split, steady];

/**
 * Wrong selections.
 * @module
 */
import { matrix } from '../../reference/matrix.ts';
import { aboveThreshold, batchTopK, topK } from '../../reference/select.ts';
import type { Call, Tensors } from '../kernel.ts';
import { fromMatrix, numberOf, tensor, toMatrix } from '../tensors.ts';
import type { Mutant } from './mutant.ts';

/** The call's acts, answered by `select` on float64 matrices. */
function selecting(select: (call: Call) => ReturnType<typeof toMatrix>): Mutant['run'] {
  return (call) => ({ latents: fromMatrix(select(call), call.inputs.acts.shape) });
}

const actsOf = (call: Call): ReturnType<typeof toMatrix> => toMatrix(call.inputs.acts);
const wholeK = (call: Call): number => Math.trunc(numberOf(call, 'k'));

function keepTies(call: Call): Tensors {
  const acts = actsOf(call);
  const K = Math.trunc(numberOf(call, 'k') * acts.rows);
  const cut = K === 0 ? Infinity : acts.data.toSorted()[acts.data.length - K];
  const kept = acts.data.map((act) => (act >= cut ? act : 0));
  return { latents: tensor(call.inputs.acts.shape, kept) };
}

/** The K acts that come first by `before`, positive ones only. */
function firstOf(
  call: Call,
  before: (a: number, b: number, acts: ReturnType<typeof toMatrix>) => number,
): Tensors {
  const acts = actsOf(call);
  const K = Math.trunc(numberOf(call, 'k') * acts.rows);
  const kept = new Float64Array(acts.data.length);
  const positive = [...acts.data.keys()].filter((i) => acts.data[i] > 0);
  for (const i of positive.sort((a, b) => before(a, b, acts)).slice(0, K)) kept[i] = acts.data[i];
  return { latents: tensor(call.inputs.acts.shape, kept) };
}

/** Of each row: its largest act, or 1 where that is 0. */
function largestOfRows({ data, cols }: ReturnType<typeof toMatrix>): (i: number) => number {
  return (i) => {
    const start = i - (i % cols);
    return Math.max(...data.subarray(start, start + cols)) || 1;
  };
}

/** Laws that tell what is wrong. */
const batch = {
  largest: 'keeps the K largest positive acts of the whole batch, unchanged',
  leading: 'all leading dimensions count as rows',
  none: 'K = 0 keeps nothing',
  room: 'with K at least the number of positive acts, all of them stay',
  rows: 'permuting rows permutes latents when no two acts tie',
  columns: 'permuting latents permutes the selection when no two acts tie',
  nested: 'with K one larger, what was kept stays and the cut is no higher, when no two acts tie',
  ordinal: 'acts in the same order are selected alike, whatever their sizes, when no two acts tie',
  twice: 'the same batch twice, with twice K, keeps the same acts twice',
  split: 'the cut of a batch lies between the cuts of its parts',
  steady: 'the cut moves by no more than the act that moves most',
} as const;

/** Laws that tell what is wrong. */
const each = {
  largest: 'keeps the k largest positive acts of each row, unchanged',
  alone: 'a row selects alone as it does in a batch',
} as const;

/** Laws that tell what is wrong. */
const gate = {
  unset: 'a threshold of 0 or less keeps every act',
  alone: 'a row is cut alone as it is in a batch',
  equal: 'an act equal to the threshold is dropped',
  copied: 'a latent is 0 or its act, bit for bit',
  between: 'a threshold between the K-th and the next act selects what BatchTopK selects',
} as const;

export const mutants: readonly Mutant[] = [
  {
    operator: 'batch-topk',
    name: 'top-k in each row instead of over the batch',
    imitates: 'TopK (Gao et al. 2024) taken for BatchTopK',
    diagnosis: [batch.largest],
    run: selecting((call) => topK(actsOf(call), wholeK(call))),
  },
  {
    operator: 'batch-topk',
    name: 'only the first dimension counted as batch',
    imitates:
      'SAELens pull 570: three-dimensional input selected k · batch instead of k · batch · sequence',
    diagnosis: [batch.leading],
    run: selecting((call) => {
      const acts = actsOf(call);
      const K = Math.trunc(numberOf(call, 'k') * call.inputs.acts.shape[0]);
      return batchTopK(acts, K === 0 ? 0 : (K + 0.5) / acts.rows);
    }),
  },
  {
    operator: 'batch-topk',
    name: 'every act equal to the K-th largest is kept',
    imitates:
      'selection by comparison with the K-th value, as the indicator notation of the papers reads',
    diagnosis: [batch.largest],
    run: keepTies,
  },
  {
    operator: 'batch-topk',
    name: 'k rounded up',
    imitates: 'ceil(k · rows) instead of truncation; SAELens pull 547 made k fractional',
    diagnosis: [batch.largest],
    run: selecting((call) => {
      const acts = actsOf(call);
      const K = Math.min(Math.ceil(numberOf(call, 'k') * acts.rows), acts.data.length);
      return batchTopK(acts, Math.min((K + 0.5) / acts.rows, acts.cols));
    }),
  },
  {
    operator: 'batch-topk',
    name: 'top-k over the first half of the latents',
    imitates: 'SAEDashboard pull 33: top-k taken over a slice of latents',
    diagnosis: [batch.room, batch.columns],
    run: selecting((call) => {
      const acts = actsOf(call);
      const half = Math.ceil(acts.cols / 2);
      const slice = matrix(
        acts.rows,
        acts.cols,
        acts.data.map((act, i) => (i % acts.cols < half ? act : 0)),
      );
      return batchTopK(slice, numberOf(call, 'k'));
    }),
  },
  {
    operator: 'batch-topk',
    name: 'at least one act kept',
    imitates: 'max(1, K), where SAELens keeps none: k = 0.19 of 5 rows is K = 0',
    diagnosis: [batch.none],
    run: selecting((call) => {
      const acts = actsOf(call);
      const K = Math.max(1, Math.trunc(numberOf(call, 'k') * acts.rows));
      return batchTopK(acts, Math.min((K + 0.5) / acts.rows, acts.cols));
    }),
  },
  {
    operator: 'batch-topk',
    name: 'a fractional k refused',
    imitates: 'SAELens before pull 547: k had to be an integer',
    diagnosis: [batch.largest],
    run: selecting((call) => {
      const k = numberOf(call, 'k');
      if (!Number.isInteger(k)) throw new TypeError('k must be an integer');
      return batchTopK(actsOf(call), k);
    }),
  },
  {
    operator: 'batch-topk',
    name: 'the K-th act dropped and the next one kept',
    imitates: 'a partial sort that stops one exchange early',
    diagnosis: [batch.nested],
    run: (call) => {
      const { acts } = call.inputs;
      const K = Math.trunc(numberOf(call, 'k') * (acts.data.length / acts.shape.at(-1)!));
      const order = [...acts.data.keys()]
        .filter((i) => acts.data[i] > 0)
        .sort((a, b) => acts.data[b] - acts.data[a]);
      if (K > 0 && K < order.length) [order[K - 1], order[K]] = [order[K], order[K - 1]];
      const kept = new Set(order.slice(0, K));
      return {
        latents: tensor(
          acts.shape,
          acts.data.map((act, i) => (kept.has(i) ? act : 0)),
        ),
      };
    },
  },
  {
    operator: 'batch-topk',
    name: 'acts compared as shares of the largest of their row',
    imitates:
      'scores standardised row by row, as input_unit_norm of bartbussmann/matryoshka_sae and layer_norm of SAELens standardise inputs',
    diagnosis: [batch.ordinal],
    run: (call) =>
      firstOf(call, (a, b, acts) => {
        const share = largestOfRows(acts);
        const { data } = acts;
        return data[b] / share(b) - data[a] / share(a) || data[b] - data[a];
      }),
  },
  {
    operator: 'batch-topk',
    name: 'the K-th distinct value as the cut',
    imitates: 'torch.unique, sorted, where equal acts count one by one',
    diagnosis: [batch.twice],
    run: selecting((call) => {
      const acts = actsOf(call);
      const K = Math.trunc(numberOf(call, 'k') * acts.rows);
      const distinct = [...new Set(acts.data)].sort((a, b) => b - a);
      const cut = K === 0 ? Infinity : (distinct[K - 1] ?? 0);
      return matrix(
        acts.rows,
        acts.cols,
        acts.data.map((act) => (act >= cut ? act : 0)),
      );
    }),
  },
  {
    operator: 'batch-topk',
    name: 'rows take turns: the largest of each, then the second of each',
    imitates: 'a quota for each token, where BatchTopK lets one row take all',
    diagnosis: [batch.split],
    run: (call) =>
      firstOf(call, (a, b, { data, cols }) => {
        const turn = (i: number): number => {
          const start = i - (i % cols);
          return data
            .subarray(start, start + cols)
            .reduce(
              (larger, act, j) =>
                larger + Number(act > data[i] || (act === data[i] && start + j < i)),
              0,
            );
        };
        return turn(a) - turn(b) || data[b] - data[a];
      }),
  },
  {
    operator: 'batch-topk',
    name: 'acts compared by their whole parts, the first first among equals',
    imitates: 'a radix selection that stops before the last digits',
    diagnosis: [batch.rows, batch.columns, batch.ordinal, batch.steady],
    run: (call) =>
      firstOf(call, (a, b, { data }) => Math.floor(data[b]) - Math.floor(data[a]) || a - b),
  },
  {
    operator: 'topk',
    name: 'top-k over the batch instead of in each row',
    imitates: 'BatchTopK taken for TopK',
    diagnosis: [each.alone],
    run: selecting((call) => batchTopK(actsOf(call), numberOf(call, 'k'))),
  },
  {
    operator: 'topk',
    name: 'one latent too few',
    imitates: 'cutting at the k-th value with a strict comparison',
    diagnosis: [each.largest],
    run: selecting((call) => topK(actsOf(call), Math.max(wholeK(call) - 1, 0))),
  },
  {
    operator: 'topk',
    name: 'ties kept beyond k',
    imitates: 'a mask of acts >= the k-th value of the row',
    diagnosis: [each.largest],
    run: selecting((call) => {
      const acts = actsOf(call);
      const k = wholeK(call);
      const cut = Array.from({ length: acts.rows }, (_, b) =>
        k === 0
          ? Infinity
          : acts.data.slice(b * acts.cols, (b + 1) * acts.cols).sort()[acts.cols - k],
      );
      return matrix(
        acts.rows,
        acts.cols,
        acts.data.map((act, i) => (act >= cut[Math.floor(i / acts.cols)] ? act : 0)),
      );
    }),
  },
  {
    operator: 'topk',
    name: 'top-k over the first half of the latents',
    imitates: 'SAEDashboard pull 33: top-k taken over a slice of latents',
    diagnosis: [each.largest],
    run: selecting((call) => {
      const acts = actsOf(call);
      const half = Math.ceil(acts.cols / 2);
      const slice = matrix(
        acts.rows,
        acts.cols,
        acts.data.map((act, i) => (i % acts.cols < half ? act : 0)),
      );
      return topK(slice, wholeK(call));
    }),
  },
  {
    operator: 'above-threshold',
    name: 'acts equal to the threshold kept',
    imitates: '>= where every published implementation has >',
    diagnosis: [gate.equal],
    run: selecting((call) => {
      const acts = actsOf(call);
      const [threshold] = call.inputs.threshold.data;
      return matrix(
        acts.rows,
        acts.cols,
        acts.data.map((act) => (act >= threshold ? act : 0)),
      );
    }),
  },
  {
    operator: 'above-threshold',
    name: 'threshold ignored',
    imitates:
      'SAELens pull 608: the threshold was dropped on load and inference became a plain ReLU',
    diagnosis: [gate.between],
    run: selecting((call) => aboveThreshold(actsOf(call), -1)),
  },
  {
    operator: 'above-threshold',
    name: 'threshold subtracted from what is kept',
    imitates: 'soft thresholding, ReLU(act - threshold)',
    diagnosis: [gate.copied],
    run: selecting((call) => {
      const acts = actsOf(call);
      const threshold = Math.max(call.inputs.threshold.data[0], 0);
      return matrix(
        acts.rows,
        acts.cols,
        acts.data.map((act) => Math.max(act - threshold, 0)),
      );
    }),
  },
  {
    operator: 'above-threshold',
    name: 'nothing kept under a threshold never set',
    imitates:
      'SAEBench refuses a threshold below 0: such a dictionary would be taken for a dead one',
    diagnosis: [gate.unset],
    run: selecting((call) => {
      const [threshold] = call.inputs.threshold.data;
      return aboveThreshold(actsOf(call), threshold < 0 ? Infinity : threshold);
    }),
  },
  {
    operator: 'above-threshold',
    name: 'threshold in units of the largest act of the batch',
    imitates:
      'a threshold of rescaled acts compared with acts as they are, and the other way round',
    diagnosis: [gate.alone, gate.between],
    run: selecting((call) => {
      const acts = actsOf(call);
      const [threshold] = call.inputs.threshold.data;
      return aboveThreshold(acts, threshold * Math.max(...acts.data));
    }),
  },
];

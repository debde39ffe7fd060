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

/** Laws that tell what is wrong. */
const batch = {
  largest: 'keeps the K largest positive acts of the whole batch, unchanged',
  leading: 'all leading dimensions count as rows',
  none: 'K = 0 keeps nothing',
  room: 'with K at least the number of positive acts, all of them stay',
  columns: 'permuting latents permutes the selection when no two acts tie',
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

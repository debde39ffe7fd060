/**
 * Operators of `matryoshka run`: before training, and of a step down to its latents.
 * @module
 */
import { preActivations, relu } from '../../reference/encode.ts';
import { geometricMedian } from '../../reference/geometric-median.ts';
import { estimateInputScale, normaliseInput } from '../../reference/input-norm.ts';
import { jumpRelu, keptThresholds } from '../../reference/jump-relu.ts';
import { defaultLevelWeights } from '../../reference/loss.ts';
import { matrix, type Matrix } from '../../reference/matrix.ts';
import { drawInitial, initialiseParams, type SaeParams } from '../../reference/params.ts';
import { prefixesFromFractions, samplePrefixes } from '../../reference/prefixes.ts';
import { aboveThreshold, batchTopK, selectionScores, topK } from '../../reference/select.ts';
import { createRng } from '../../synthetic/rng.ts';
import {
  aFlag,
  aNumber,
  aWhole,
  decisionNumber,
  has,
  listOf,
  numberOf,
  numbers,
  optional,
  requireTensor,
  restored,
  rowsOf,
  scalarOf,
  vectorOf,
  type Given,
  type RunOperator,
  type Setting,
} from './operator.ts';
import { paramTensors } from './step-case.ts';
import { fromMatrix, fromVector, scalar } from '../tensors.ts';

export const prefixesSetting: Setting = optional(numbers('m_1 < … < m_G = d_sae'), '[d_sae]');
const d_in = aWhole('width of the input', 1);
const d_sae = aWhole('number of latents', 1);
const seed = aWhole('of the draws');
export const scoresInput = {
  words: '(…, d_sae): what is ranked; the output of scores',
  optional: 'acts, in dialects that rank them',
};
const encoderInputs = {
  x: { words: '(…, d_in)' },
  W_enc: { words: '(d_in, d_sae)' },
  b_enc: { words: '(d_sae)' },
  b_dec: { words: '(d_in)' },
};

export const prefixesOf = (given: Given): readonly number[] =>
  Object.hasOwn(given.config, 'prefixes') ? listOf(given, 'prefixes') : [given.sizes.d_sae];

/** Level weights of the call, or the dialect's. */
export const weightsOf = (given: Given, levels: number): readonly number[] =>
  Object.hasOwn(given.config, 'level_weights')
    ? listOf(given, 'level_weights')
    : defaultLevelWeights(levels, given.dialect);

/** The encoder's parameters; W_dec is not read. */
function encoderOf(given: Given): SaeParams {
  const W_enc = rowsOf(given, 'W_enc');
  const W_dec = matrix(W_enc.cols, W_enc.rows);
  return { W_enc, W_dec, b_enc: vectorOf(given, 'b_enc'), b_dec: vectorOf(given, 'b_dec') };
}

/** What is ranked. @throws UsageError where the dialect ranks what the call does not give. */
export function scoresOf(given: Given, values: Matrix): Matrix {
  if (has(given, 'scores')) return rowsOf(given, 'scores');
  const { name, select } = given.dialect;
  if (select.score !== 'acts') {
    requireTensor(given, 'scores', `dialect ${name} ranks ${select.score}: run scores for it`);
  }
  return values;
}

export const beforeTraining: readonly RunOperator[] = [
  {
    name: 'prefixes-from-fractions',
    summary: 'prefixes from each group’s fraction of d_sae',
    inputs: {},
    outputs: { prefixes: '(levels)' },
    config: { d_sae, fractions: numbers('of d_sae, which add up to 1') },
    run: (given) => ({
      prefixes: fromVector(
        prefixesFromFractions(listOf(given, 'fractions'), numberOf(given, 'd_sae')),
      ),
    }),
  },
  {
    name: 'initialise',
    summary: 'the parameters a run starts from, as the dialect draws them',
    inputs: {},
    outputs: {
      drawn: 'as initialise.draw says',
      W_enc: '(d_in, d_sae)',
      b_enc: '(d_sae)',
      W_dec: '(d_sae, d_in)',
      b_dec: '(d_in): 0; a first step may set it from its batch',
    },
    config: { d_in, d_sae, seed },
    run: (given) => {
      const { uniform } = createRng(numberOf(given, 'seed')).split('initialise');
      const sizes = [numberOf(given, 'd_in'), numberOf(given, 'd_sae')] as const;
      const drawn = drawInitial(...sizes, uniform, given.dialect);
      return {
        drawn: fromMatrix(drawn),
        ...paramTensors(initialiseParams(drawn, given.dialect)),
      };
    },
  },
  {
    name: 'estimate-input-scale',
    summary: 'what x is multiplied by in training, as the dialect estimates it',
    inputs: { x: { words: '(…, rows, d_in): batches, or one' } },
    outputs: { scale: '()' },
    config: {},
    run: (given) => {
      const [rows, cols] = [given.sizes['rows'], given.sizes['d_in']];
      const { data } = rowsOf(given, 'x');
      const size = rows * cols;
      const batches = Array.from({ length: data.length / size }, (_, i) =>
        matrix(rows, cols, data.slice(i * size, (i + 1) * size)),
      );
      return { scale: scalar(estimateInputScale(batches, given.dialect)) };
    },
  },
  {
    name: 'geometric-median',
    summary: 'of the rows: where a first step puts b_dec, in dialects that do',
    inputs: { x: { words: '(…, d_in)' } },
    outputs: { median: '(d_in)' },
    config: {},
    run: (given) => ({ median: fromVector(geometricMedian(rowsOf(given, 'x'))) }),
  },
  {
    name: 'sample-prefixes',
    summary: 'prefixes drawn for one batch',
    inputs: {},
    outputs: { prefixes: '(count)' },
    config: {
      d_sae,
      count: aWhole('how many, d_sae among them', 1),
      least: optional(aWhole('the shortest that may be drawn', 1), '1', () => 1),
      power: decisionNumber('prefixes.power'),
      seed,
    },
    run: (given) => {
      const [wide, count, least, power] = ['d_sae', 'count', 'least', 'power'].map((key) =>
        numberOf(given, key),
      );
      const { uniform } = createRng(numberOf(given, 'seed')).split('prefixes');
      return { prefixes: fromVector(samplePrefixes(wide, count, least, power, uniform)) };
    },
  },
];

export const forward: readonly RunOperator[] = [
  {
    name: 'normalise-input',
    summary: 'what the dialect does to x in every step',
    inputs: {
      x: { words: '(…, d_in)' },
      mean_norm: { words: '(): running mean of row norms so far', optional: '0' },
      reconstruction: {
        words: '(…, d_in): of the SAE, to take back to the units of x',
        optional: 'no output restored',
      },
    },
    outputs: { x: '(…, d_in)', mean_norm: '()', restored: '(…, d_in): reconstruction, taken back' },
    config: {
      training: optional(aFlag('whether the running mean moves'), 'true', () => true),
    },
    run: (given) => {
      const meanNorm = has(given, 'mean_norm') ? scalarOf(given, 'mean_norm') : 0;
      const training = given.config['training'] === true;
      const normalised = normaliseInput(rowsOf(given, 'x'), meanNorm, given.dialect, training);
      return {
        x: restored(given, normalised.x),
        mean_norm: scalar(normalised.meanNorm),
        ...(has(given, 'reconstruction') && {
          restored: restored(given, normalised.restore(rowsOf(given, 'reconstruction'))),
        }),
      };
    },
  },
  {
    name: 'pre-activations',
    summary: '(x - b_dec) W_enc + b_enc, or without one of the biases where the dialect has none',
    inputs: encoderInputs,
    outputs: { pre: '(…, d_sae)' },
    config: {},
    run: (given) => ({
      pre: restored(given, preActivations(rowsOf(given, 'x'), encoderOf(given), given.dialect)),
    }),
  },
  {
    name: 'encode',
    summary: 'acts = ReLU of the pre-activations',
    inputs: encoderInputs,
    outputs: { acts: '(…, d_sae)' },
    config: {},
    run: (given) => ({
      acts: restored(
        given,
        relu(preActivations(rowsOf(given, 'x'), encoderOf(given), given.dialect)),
      ),
    }),
  },
  {
    name: 'scores',
    summary: 'what is ranked: acts, or acts times the norm of their decoder row',
    inputs: { acts: { words: '(…, d_sae)' }, W_dec: { words: '(d_sae, d_in)' } },
    outputs: { scores: '(…, d_sae)' },
    config: {},
    run: (given) => ({
      scores: restored(
        given,
        selectionScores(rowsOf(given, 'acts'), rowsOf(given, 'W_dec'), given.dialect),
      ),
    }),
  },
  {
    name: 'batch-topk',
    summary: 'keeps the trunc(k · rows) acts with the largest scores of the whole batch',
    inputs: { acts: { words: '(…, d_sae): >= 0' }, scores: scoresInput },
    outputs: { latents: '(…, d_sae)' },
    config: { k: aNumber('mean number of latents kept per row; may be fractional') },
    run: (given) => {
      const acts = rowsOf(given, 'acts');
      const kept = batchTopK(acts, numberOf(given, 'k'), scoresOf(given, acts));
      return { latents: restored(given, kept) };
    },
  },
  {
    name: 'topk',
    summary: 'keeps the k acts with the largest scores of each row',
    inputs: { acts: { words: '(…, d_sae): >= 0' }, scores: scoresInput },
    outputs: { latents: '(…, d_sae)' },
    config: { k: aWhole('latents kept per row') },
    run: (given) => {
      const acts = rowsOf(given, 'acts');
      return { latents: restored(given, topK(acts, numberOf(given, 'k'), scoresOf(given, acts))) };
    },
  },
  {
    name: 'above-threshold',
    summary: 'inference: keeps acts whose score is strictly above the threshold',
    inputs: {
      acts: { words: '(…, d_sae): >= 0' },
      threshold: { words: '()' },
      scores: scoresInput,
    },
    outputs: { latents: '(…, d_sae)' },
    config: {},
    run: (given) => {
      const acts = rowsOf(given, 'acts');
      const kept = aboveThreshold(acts, scalarOf(given, 'threshold'), scoresOf(given, acts));
      return { latents: restored(given, kept) };
    },
  },
  {
    name: 'kept-thresholds',
    summary: 'JumpReLU’s thresholds as a step uses them: none below 0 where the dialect says so',
    inputs: { threshold: { words: '(d_sae)' } },
    outputs: { threshold: '(d_sae)' },
    config: {},
    run: (given) => ({
      threshold: fromVector(keptThresholds(vectorOf(given, 'threshold'), given.dialect)),
    }),
  },
  {
    name: 'jump-relu',
    summary: 'pre-activations that are above their latent’s threshold, else 0',
    inputs: { pre: { words: '(…, d_sae)' }, threshold: { words: '(d_sae)' } },
    outputs: { latents: '(…, d_sae)' },
    config: {},
    run: (given) => ({
      latents: restored(given, jumpRelu(rowsOf(given, 'pre'), vectorOf(given, 'threshold'))),
    }),
  },
];

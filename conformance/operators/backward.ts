/**
 * Operators of `matryoshka run`: from gradients to the next parameters.
 * @module
 */
import { adamUpdate, clipGradients, gradientNorm, learningRate } from '../../reference/adam.ts';
import type { LevelAuxk } from '../../reference/auxk.ts';
import { decodePrefixes } from '../../reference/decode.ts';
import { normaliseRows, projectGradient } from '../../reference/decoder-norm.ts';
import { gradients } from '../../reference/gradients.ts';
import { jumpReluGradient, stepGradient, type StraightThrough } from '../../reference/jump-relu.ts';
import { refine } from '../../reference/refine.ts';
import { latentOrder, reorderLatents, updateMeanSquares } from '../../reference/latent-order.ts';
import { levelCoefficients, levelErrors } from '../../reference/loss.ts';
import { map, matrix, type Matrix } from '../../reference/matrix.ts';
import { type SaeParams } from '../../reference/params.ts';
import { UsageError } from '../../training/usage-error.ts';
import type { Tensor, Tensors } from '../kernel.ts';
import {
  aNumber,
  aWhole,
  decisionNumber,
  has,
  matricesOf,
  numberOf,
  numbers,
  optional,
  orNull,
  requireTensor,
  restored,
  rowsOf,
  vectorOf,
  type Given,
  type RunOperator,
} from './operator.ts';
import { penaltyOf } from './loss.ts';
import { prefixesOf, prefixesSetting, weightsOf } from './forward.ts';
import { orderOf, paramsOf, paramTensors, paramWords, runSettings } from './step-case.ts';
import { fromMatrix, fromVector, scalar } from '../tensors.ts';

const ofJump = { words: '(d_sae): of JumpReLU', optional: 'in other architectures' };

/** The four parameters as inputs, and JumpReLU's thresholds where they are given. */
export const paramInputs = (prefix = ''): RunOperator['inputs'] => ({
  ...Object.fromEntries(
    Object.entries(paramWords(prefix)).map(([name, words]) => [name, { words }]),
  ),
  [`${prefix}threshold`]: ofJump,
});

export const paramOutputs = (prefix = ''): Record<string, string> => ({
  ...paramWords(prefix),
  [`${prefix}threshold`]: '(d_sae): of JumpReLU',
});

/** The four parameters, and JumpReLU’s thresholds where they are given. */
export const paramsGiven = (given: Given, prefix = ''): SaeParams =>
  paramsOf(given, prefix, has(given, `${prefix}threshold`));

const straightThrough = (
  name: string,
  summary: string,
  of: typeof jumpReluGradient,
): RunOperator => ({
  name,
  summary,
  inputs: {
    pre: { words: '(…, d_sae)' },
    threshold: { words: '(d_sae)' },
    upstream: { words: '(…, d_sae): gradient of what it gave' },
  },
  outputs: { 'grad.pre': '(…, d_sae)', 'grad.threshold': '(d_sae)' },
  config: { bandwidth: decisionNumber('jumpRelu.bandwidth') },
  run: (given) => {
    const { input, threshold }: StraightThrough = of(
      rowsOf(given, 'pre'),
      vectorOf(given, 'threshold'),
      rowsOf(given, 'upstream'),
      given.dialect,
    );
    return { 'grad.pre': restored(given, input), 'grad.threshold': fromVector(threshold) };
  },
});

export const backward: readonly RunOperator[] = [
  straightThrough('jump-relu-gradient', 'of jump-relu, straight through', jumpReluGradient),
  straightThrough(
    'step-gradient',
    'of the counts of an L0 penalty, straight through',
    stepGradient,
  ),
  {
    name: 'gradients',
    summary: 'of the levels, of auxk and of the penalty, for every parameter',
    inputs: {
      x: { words: '(…, d_in): what the SAE was given' },
      latents: { words: '(…, d_sae): a constant selection' },
      ...paramInputs(),
      auxk_latents: {
        words:
          '(…, d_sae) or (prefixes, …, d_sae): dead latents that auxk chose; for each level where it has its own',
        optional: 'without auxk',
      },
      auxk_gradient: {
        words: '(…, d_in) or (prefixes, …, d_in): of alpha · auxk for its reconstruction',
        optional: 'without auxk',
      },
      auxk_chosen: {
        words: '(…, d_sae) or (prefixes, …, d_sae): 1 where chosen',
        optional: 'where auxk_latents is not 0',
      },
      pre: {
        words: '(…, d_sae): before ReLU',
        optional: 'latents + auxk_latents, which has its signs; JumpReLU needs it',
      },
      l0: { words: '(): that an L0 penalty counts', optional: 'without one' },
      first_latents: {
        words: '(…, d_sae): the selection before a refinement',
        optional: 'without encode.refinement',
      },
    },
    outputs: paramOutputs('grad.'),
    config: {
      prefixes: prefixesSetting,
      level_weights: optional(
        numbers('one weight >= 0 for each level'),
        'the dialect’s loss.defaultWeight',
      ),
      penalty_coefficient: optional(aNumber('factor of the penalty'), '0', () => 0),
      target_l0: decisionNumber('defaults.targetL0'),
    },
    run: gradientTensors,
  },
  {
    name: 'project-gradient',
    summary: 'drops the part of each gradient row that is parallel to its row of W_dec',
    inputs: { gradient: { words: '(d_sae, d_in)' }, W_dec: { words: '(d_sae, d_in)' } },
    outputs: { gradient: '(d_sae, d_in)' },
    config: { epsilon: decisionNumber('decoderNorm.projectEpsilon') },
    run: (given) => ({
      gradient: fromMatrix(
        projectGradient(
          rowsOf(given, 'gradient'),
          rowsOf(given, 'W_dec'),
          numberOf(given, 'epsilon'),
        ),
      ),
    }),
  },
  {
    name: 'clip-gradients',
    summary: 'all gradients times min(1, max_norm / (norm + 1e-6))',
    inputs: paramInputs('grad.'),
    outputs: { ...paramOutputs('grad.'), norm: '(): of all together, before clipping' },
    config: { max_norm: decisionNumber('clip.maxNorm') },
    run: (given) => {
      const all = paramsGiven(given, 'grad.');
      return {
        ...paramTensors(clipGradients(all, numberOf(given, 'max_norm')), 'grad.'),
        norm: scalar(gradientNorm(all)),
      };
    },
  },
  {
    name: 'learning-rate',
    summary: 'of one update: warm-up, constant or half a cosine, then the dialect’s decay',
    inputs: {},
    outputs: { rate: '()' },
    config: {
      step: aWhole('updates done before this one'),
      steps: aWhole('updates in the whole run', 1),
      learning_rate: aNumber('the full rate'),
      warmup_steps: decisionNumber('defaults.warmupSteps'),
      decay_start: optional(
        orNull(aNumber('first update of the decay, or null')),
        'null',
        () => null,
      ),
      cosine_to: { ...runSettings['cosine_to'], fallback: () => null },
    },
    run: (given) => ({
      rate: scalar(
        learningRate(
          numberOf(given, 'step'),
          {
            steps: numberOf(given, 'steps'),
            learningRate: numberOf(given, 'learning_rate'),
            warmupSteps: numberOf(given, 'warmup_steps'),
            decayStart: given.config['decay_start'] as number | null,
            cosineTo: given.config['cosine_to'] as number | null,
          },
          given.dialect,
        ),
      ),
    }),
  },
  {
    name: 'adam-update',
    summary: 'one Adam update of one parameter, with bias correction and without weight decay',
    inputs: {
      parameter: { words: '(…)' },
      gradient: { words: '(…)' },
      m: { words: '(…)' },
      v: { words: '(…): >= 0' },
    },
    outputs: { parameter: '(…)', m: '(…)', v: '(…)' },
    config: {
      step: aWhole('updates done before this one'),
      rate: aNumber('learning rate of this update'),
      beta1: decisionNumber('adam.beta1'),
      beta2: decisionNumber('adam.beta2'),
      epsilon: decisionNumber('adam.epsilon'),
    },
    run: adamTensors,
  },
  {
    name: 'normalise-rows',
    summary: 'w_j / (‖w_j‖ + epsilon) for each row of W_dec',
    inputs: { W_dec: { words: '(d_sae, d_in)' } },
    outputs: { W_dec: '(d_sae, d_in)' },
    config: { epsilon: decisionNumber('decoderNorm.normaliseEpsilon') },
    run: (given) => ({
      W_dec: fromMatrix(normaliseRows(rowsOf(given, 'W_dec'), numberOf(given, 'epsilon'))),
    }),
  },
  {
    name: 'update-mean-squares',
    summary: 'moving average of each latent’s mean square times squared decoder norm',
    inputs: {
      mean_squares: { words: '(d_sae)' },
      latents: { words: '(…, d_sae)' },
      W_dec: { words: '(d_sae, d_in)' },
    },
    outputs: { mean_squares: '(d_sae)' },
    config: { decay: decisionNumber('latentOrder.decay') },
    run: (given) => ({
      mean_squares: fromVector(
        updateMeanSquares(
          vectorOf(given, 'mean_squares'),
          rowsOf(given, 'latents'),
          rowsOf(given, 'W_dec'),
          given.dialect,
        ),
      ),
    }),
  },
  {
    name: 'latent-order',
    summary: 'latents by that average, largest first; equal ones as they were',
    inputs: { mean_squares: { words: '(d_sae)' } },
    outputs: { order: '(d_sae): the latent that comes to each place' },
    config: {},
    run: (given) => ({ order: fromVector(latentOrder(vectorOf(given, 'mean_squares'))) }),
  },
  {
    name: 'reorder-latents',
    summary: 'the parameters with latent order[j] at place j',
    inputs: {
      ...Object.fromEntries(Object.entries(paramWords()).map(([name, words]) => [name, { words }])),
      order: { words: '(d_sae): each latent once' },
    },
    outputs: paramWords(),
    config: {},
    run: (given) => paramTensors(reorderLatents(paramsOf(given), orderOf(given))),
  },
];

function gradientTensors(given: Given): Tensors {
  const { dialect } = given;
  const jump = has(given, 'threshold');
  const params = paramsOf(given, '', jump);
  const prefixes = prefixesOf(given);
  const weights = weightsOf(given, prefixes.length);
  if (weights.length !== prefixes.length) {
    throw new RangeError(
      `levelWeights: expected one for each of ${prefixes.length} prefixes, got ${weights.length}`,
    );
  }
  if (jump) requireTensor(given, 'pre', 'JumpReLU’s gradients need it');
  const x = rowsOf(given, 'x');
  const latents = rowsOf(given, 'latents');
  const auxk = auxkOf(given, prefixes);
  const signs = (): Matrix =>
    map(latents, (latent, i) => auxk.reduce((sum, term) => sum + term.latents.data[i], latent));
  const coefficient = numberOf(given, 'penalty_coefficient');
  const pre = has(given, 'pre') ? rowsOf(given, 'pre') : signs();
  if (dialect.encode.refinement > 0) {
    requireTensor(given, 'first_latents', `dialect ${dialect.name} selects before it refines`);
  }
  const forward = {
    x,
    pre,
    refinement:
      dialect.encode.refinement > 0
        ? refine(pre, rowsOf(given, 'first_latents'), x, params, dialect)
        : null,
    latents,
    errors: levelErrors(x, params.b_dec, decodePrefixes(latents, params, prefixes)),
    auxk,
    ...(coefficient !== 0 && { penalty: { penalty: penaltyOf(given), coefficient } }),
  };
  const coefficients = levelCoefficients(weights, x.cols, dialect);
  return paramTensors(gradients(forward, params, prefixes, coefficients, dialect), 'grad.');
}

/** The auxiliary losses of a call: none, one, or one for each level. */
function auxkOf(given: Given, prefixes: readonly number[]): LevelAuxk[] {
  if (!has(given, 'auxk_latents') && !has(given, 'auxk_gradient')) return [];
  for (const name of ['auxk_latents', 'auxk_gradient']) {
    requireTensor(given, name, 'auxk_latents and auxk_gradient go together');
  }
  const perLevel = given.dialect.auxk.levels === 'each';
  const all = (name: string): Matrix[] => {
    const { shape } = given.tensors[name];
    const rank = given.lead.length + 1 + (perLevel ? 1 : 0);
    if (shape.length !== rank || (perLevel && shape[0] !== prefixes.length)) {
      const behind = perLevel ? `(${prefixes.length}, …)` : 'one for all levels';
      throw new UsageError(
        `${given.where}: tensor "${name}": expected ${behind}, as auxk.levels of dialect ${given.dialect.name} is ${given.dialect.auxk.levels}, got shape (${shape.join(', ')})`,
      );
    }
    return perLevel ? matricesOf(given, name) : [rowsOf(given, name)];
  };
  const gradient = all('auxk_gradient');
  const chosen = has(given, 'auxk_chosen') ? all('auxk_chosen') : all('auxk_latents');
  return all('auxk_latents').map((latents, g) => ({
    level: perLevel ? g + 1 : prefixes.length,
    loss: 0, // no gradient depends on it
    latents,
    chosen: Uint8Array.from(chosen[g].data, (value) => Number(value !== 0)),
    gradient: gradient[g],
  }));
}

/** The reference updates all parameters; one tensor is its b_enc. */
function adamTensors(given: Given): Tensors {
  const alone = (name: string): SaeParams => {
    const b_enc = vectorOf(given, name);
    const none = matrix(0, b_enc.length);
    return { W_enc: none, W_dec: matrix(b_enc.length, 0), b_enc, b_dec: new Float64Array(0) };
  };
  const { params, m, v } = adamUpdate(
    alone('parameter'),
    alone('gradient'),
    alone('m'),
    alone('v'),
    numberOf(given, 'step'),
    numberOf(given, 'rate'),
    given.dialect,
  );
  const { shape } = given.tensors['parameter'];
  const back = ({ b_enc }: SaeParams): Tensor => ({ shape, data: b_enc });
  return { parameter: back(params), m: back(m), v: back(v) };
}

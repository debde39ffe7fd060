/**
 * train-step as `matryoshka run` calls it: a state and a batch as tensors in, every intermediate and the next state out.
 * @module
 */
import type { Dialect } from '../../reference/dialects.ts';
import { matrix, subtract, type Matrix } from '../../reference/matrix.ts';
import {
  namesOf,
  paramNames,
  valuesOf,
  zeroParams,
  type SaeParams,
} from '../../reference/params.ts';
import { trainConfig, type TrainOptions } from '../../reference/train-config.ts';
import {
  startingAverages,
  trainStep,
  type Averages,
  type StepDraws,
  type StepResult,
  type TrainConfig,
  type TrainState,
} from '../../reference/train-step.ts';
import { UsageError } from '../../training/usage-error.ts';
import type { Tensor, Tensors } from '../kernel.ts';
import {
  aNumber,
  aWhole,
  has,
  numberOf,
  numbers,
  oneOf,
  optional,
  orNull,
  requireTensor,
  restored,
  rowsOf,
  scalarOf,
  stacked,
  vectorOf,
  type Given,
  type RunOperator,
  type Setting,
  type SettingValue,
} from './operator.ts';
import { fromVector, scalar, tensor } from '../tensors.ts';

const ofDialect = (setting: Setting, path: string): Setting =>
  optional(setting, `the dialect’s ${path}`);

/** The settings of a run, as the conformance suite names them, and the field of `TrainOptions` each is. */
export const runSettings: Readonly<Record<string, Setting>> = {
  k: optional(aNumber('mean latents per row; not read where selection is all or jump'), '0'),
  steps: aWhole('updates in the whole run', 1),
  prefixes: optional(numbers('m_1 < … < m_G = d_sae'), '[d_sae]'),
  level_weights: ofDialect(numbers('one weight >= 0 for each prefix'), 'loss.defaultWeight'),
  selection: ofDialect(
    oneOf(['batch', 'row', 'all', 'jump'], 'BatchTopK, TopK, ReLU or JumpReLU'),
    'defaults.selection',
  ),
  learning_rate: ofDialect(aNumber('the full rate'), 'learningRate.base'),
  warmup_steps: ofDialect(aWhole('updates before the full rate'), 'defaults.warmupSteps'),
  decay_start: ofDialect(
    orNull(aNumber('first update of the decay, or null')),
    'defaults.decayFraction',
  ),
  cosine_to: optional(orNull(aNumber('rate that half a cosine falls to before the decay')), 'null'),
  threshold_start_step: ofDialect(
    aWhole('the threshold is updated in steps after it', -1),
    'defaults.thresholdStartStep',
  ),
  dead_after: ofDialect(
    aNumber('tokens or steps without firing after which a latent is dead'),
    'defaults.deadAfter',
  ),
  auxk_alpha: ofDialect(aNumber('weight of auxk'), 'defaults.auxkAlpha'),
  input_scale: optional(aNumber('x is multiplied by it'), '1'),
  sparsity_coefficient: ofDialect(
    aNumber('factor of the sparsity penalty; where it is controlled, its start'),
    'defaults.sparsityCoefficient',
  ),
  sparsity_warmup_steps: ofDialect(aWhole('warm-up of that factor'), 'defaults.sparsityWarmup'),
  target_l0: ofDialect(
    aNumber('mean latents per row that the penalty or its controller aims for'),
    'defaults.targetL0',
  ),
};

/** What the reference calls a setting: `warmup_steps` is warmupSteps there. */
const fieldOf = (key: string): string =>
  key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** @throws {@link RangeError} naming the field. */
export function configOf(
  dialect: Dialect,
  d_in: number,
  d_sae: number,
  settings: Readonly<Record<string, SettingValue>>,
): TrainConfig {
  const given = Object.keys(runSettings)
    .filter((key) => Object.hasOwn(settings, key))
    .map((key) => [fieldOf(key), settings[key]]);
  const options = { k: 0, ...Object.fromEntries(given), dialect, d_in, d_sae } as TrainOptions;
  return trainConfig(options);
}

/** The run's settings with every default filled in, by their names in a case. */
export function settingsOf(config: TrainConfig): Record<string, SettingValue> {
  const fields = config as unknown as Readonly<Record<string, SettingValue>>;
  return Object.fromEntries(Object.keys(runSettings).map((key) => [key, fields[fieldOf(key)]]));
}

const shapes = {
  W_enc: '(d_in, d_sae)',
  b_enc: '(d_sae)',
  W_dec: '(d_sae, d_in)',
  b_dec: '(d_in)',
} as const;

/** The parameters' names and shapes behind a prefix such as `grad.`. */
export function paramWords(prefix = '', meaning = ''): Record<string, string> {
  return Object.fromEntries(
    paramNames.map((name) => [`${prefix}${name}`, `${shapes[name]}${meaning && `: ${meaning}`}`]),
  );
}

export const jumpThresholds = '(d_sae): JumpReLU’s trained thresholds';

const atStep0 = 'at step 0: zeros';

/** The tensors of a state, and of one step's draws. */
export const stateInputs: RunOperator['inputs'] = {
  ...mapped(paramWords(), (words) => ({ words })),
  threshold: {
    words: '() or (d_sae): for inference; of JumpReLU each latent’s, trained',
    optional: 'at step 0: as the dialect starts it',
  },
  ...mapped(paramWords('m.', 'Adam’s first moment'), (words) => ({ words, optional: atStep0 })),
  'm.threshold': { words: '(d_sae): of JumpReLU', optional: atStep0 },
  ...mapped(paramWords('v.', 'Adam’s second moment'), (words) => ({ words, optional: atStep0 })),
  'v.threshold': { words: '(d_sae): of JumpReLU', optional: atStep0 },
  first_threshold: {
    words: '(): of the selection before a refinement, where encode.refinement is not 0',
    optional: 'at step 0: as the dialect starts it',
  },
  since_fired: {
    words: '(d_sae): tokens or steps, as the dialect counts',
    optional: atStep0,
  },
  mean_norm: {
    words: '(): running mean of row norms, where input.normaliser keeps one',
    optional: 'at step 0: 0',
  },
  mean_squares: {
    words:
      '(d_sae): the average that latents are ordered by, where latentOrder.permute is by-mean-square',
    optional: atStep0,
  },
  frequencies: {
    words: '(d_sae): that average, where latentOrder.permute is by-frequency',
    optional: 'at step 0: those of x',
  },
  sparsity_scale: {
    words: '(): of the penalty’s controller, where penalty.coefficient has one',
    optional: 'at step 0: sparsity_coefficient',
  },
  drawn_prefixes: {
    words: '(levels): prefixes drawn for this step, with the dialect’s level weights',
    optional: 'prefixes of the configuration',
  },
  order: {
    words: '(d_sae): the latent that comes to each place, where latents are re-ordered',
    optional: 'by mean_squares or frequencies',
  },
};

export const trainStepOperator: RunOperator = {
  name: 'train-step',
  summary: 'one training step, shown stage by stage, and the next state',
  inputs: { x: { words: '(…, d_in)' }, ...stateInputs },
  outputs: {
    input: '(…, d_in): what the SAE is given: x scaled and normalised',
    order:
      '(d_sae): where latents are sorted by frequency: the one that came to each place before prefixes were sliced, which all else follows',
    'pre, acts, latents': '(…, d_sae): before ReLU, before and after selection',
    first_latents: '(…, d_sae): after the selection before a refinement, where there is one',
    reconstructions: '(prefixes, …, d_in)',
    level_losses: '(prefixes): not weighted',
    'empty_prefix_loss, reconstruction_loss, auxk_loss, penalty, penalty_coefficient, loss':
      '(): auxk_loss before alpha',
    l0: '(): latents per row as the penalty counts them',
    residual: '(…, d_in): input minus the last reconstruction',
    'auxk_latents, auxk_chosen, auxk_gradient':
      '(…, d_sae), (…, d_sae), (…, d_in), behind (prefixes) where every level has its own; none without auxk',
    'dead, since_fired': '(d_sae)',
    'grad.…, projected.…, clipped.…, updated.…':
      'as derived; after projection; what Adam receives; as Adam leaves the parameters',
    'norm, learning_rate': '(): of the gradients before clipping; of this update',
    'W_enc, b_enc, W_dec, b_dec, threshold, first_threshold, m.…, v.…, mean_norm, mean_squares, frequencies, sparsity_scale, step':
      'the next state',
  },
  config: { step: aWhole('updates done before this one'), ...runSettings },
  settings: (given) => settingsOf(configFrom(given)),
  run: (given) => stepTensors(given, stepOf(given)),
};

function configFrom({ dialect, sizes, config }: Given): TrainConfig {
  return configOf(dialect, sizes['d_in'], sizes['d_sae'], config);
}

function stepOf(given: Given): StepResult {
  const config = configFrom(given);
  return trainStep(stateOf(given, config), rowsOf(given, 'x'), config, drawsOf(given));
}

/** @throws {@link UsageError} naming a tensor that this state lacks. */
export function stateOf(given: Given, config: TrainConfig): TrainState {
  const step = numberOf(given, 'step');
  const jump = config.selection === 'jump';
  const late = (name: string): void => {
    if (step > 0)
      requireTensor(given, name, `it may be left out at step 0 alone, got step ${step}`);
  };
  const { d_in, d_sae, dialect } = config;
  requireThreshold(given, jump, d_sae);
  if (!has(given, 'threshold')) late('threshold');
  const start = new Float64Array(d_sae).fill(dialect.jumpRelu.start);
  const moments = (prefix: string): SaeParams => {
    const zero = {
      ...zeroParams(d_in, d_sae),
      ...(jump && { threshold: new Float64Array(d_sae) }),
    };
    const names = namesOf(zero).map((name) => `${prefix}${name}`);
    if (step === 0 && !names.some((name) => has(given, name))) return zero;
    return paramsOf(given, prefix, jump);
  };
  const scalarThreshold = has(given, 'threshold') && !jump;
  if (dialect.encode.refinement > 0 && !has(given, 'first_threshold')) late('first_threshold');
  return {
    step,
    params: {
      ...paramsOf(given, '', false),
      ...(jump && { threshold: has(given, 'threshold') ? vectorOf(given, 'threshold') : start }),
    },
    m: moments('m.'),
    v: moments('v.'),
    threshold: scalarThreshold ? scalarOf(given, 'threshold') : dialect.threshold.start,
    ...(has(given, 'first_threshold') && { firstThreshold: scalarOf(given, 'first_threshold') }),
    sinceFired: has(given, 'since_fired')
      ? vectorOf(given, 'since_fired')
      : (late('since_fired'), new Float64Array(d_sae)),
    averages: averagesOf(given, config, late),
  };
}

function averagesOf(given: Given, config: TrainConfig, late: (name: string) => void): Averages {
  const start = startingAverages(config);
  const { input, latentOrder, penalty } = config.dialect;
  if (input.normaliser === 'running-mean-norm') late('mean_norm');
  if (latentOrder.permute === 'by-mean-square') late('mean_squares');
  if (latentOrder.permute === 'by-frequency') late('frequencies');
  if (penalty.kind !== 'none' && penalty.coefficient === 'controlled') late('sparsity_scale');
  return {
    meanNorm: has(given, 'mean_norm') ? scalarOf(given, 'mean_norm') : start.meanNorm,
    meanSquares: has(given, 'mean_squares') ? vectorOf(given, 'mean_squares') : start.meanSquares,
    sparsityScale: has(given, 'sparsity_scale')
      ? scalarOf(given, 'sparsity_scale')
      : start.sparsityScale,
    ...(has(given, 'frequencies') && { frequencies: vectorOf(given, 'frequencies') }),
  };
}

export function drawsOf(given: Given): StepDraws {
  return {
    ...(has(given, 'drawn_prefixes') && { prefixes: [...vectorOf(given, 'drawn_prefixes')] }),
    ...(has(given, 'order') && { order: orderOf(given) }),
  };
}

/** Latents by place. @throws {@link UsageError} for what an unsigned integer would turn into another. */
export function orderOf(given: Given): Uint32Array {
  const values = vectorOf(given, 'order');
  const wrong = values.find((value) => !Number.isInteger(value) || value < 0 || value >= 2 ** 32);
  if (wrong !== undefined) {
    throw new UsageError(`${given.where}: tensor "order": expected latents' indices, got ${wrong}`);
  }
  return Uint32Array.from(values);
}

/** The parameters among the tensors. @throws {@link UsageError} naming one that is missing. */
export function paramsOf(given: Given, prefix = '', jump = false): SaeParams {
  const names = jump ? [...paramNames, 'threshold'] : paramNames;
  for (const name of names) requireTensor(given, `${prefix}${name}`, `give all of ${prefix}…`);
  return {
    W_enc: rowsOf(given, `${prefix}W_enc`),
    b_enc: vectorOf(given, `${prefix}b_enc`),
    W_dec: rowsOf(given, `${prefix}W_dec`),
    b_dec: vectorOf(given, `${prefix}b_dec`),
    ...(jump && { threshold: vectorOf(given, `${prefix}threshold`) }),
  };
}

/** @throws {@link UsageError} for one cut where each latent has its own, or the other way round. */
export function requireThreshold(given: Given, jump: boolean, d_sae: number): void {
  if (!has(given, 'threshold')) return;
  const { shape } = given.tensors['threshold'];
  const ofLatents = shape.length === 1 && (shape[0] !== 1 || d_sae === 1);
  if (jump ? ofLatents : !ofLatents || d_sae === 1) return;
  throw new UsageError(
    `${given.where}: tensor "threshold": expected shape ${jump ? `(${d_sae}), one for each latent` : '()'}, got (${shape.join(', ')})`,
  );
}

export function paramTensors(params: SaeParams, prefix = ''): Record<string, Tensor> {
  return Object.fromEntries(
    namesOf(params).map((name) => {
      const param = params[name] as Matrix | Float64Array;
      const shape = param instanceof Float64Array ? [param.length] : [param.rows, param.cols];
      return [`${prefix}${name}`, tensor(shape, valuesOf(params, name))];
    }),
  );
}

function stepTensors(given: Given, result: StepResult): Tensors {
  const { state, auxk, reconstructions, input, levelLosses } = result;
  const { averages, params } = state;
  const perLevel = given.dialect.auxk.levels === 'each';
  const ofAuxk = (all: readonly Matrix[]): Tensor =>
    perLevel ? stacked(given, all) : restored(given, all[0]);
  const { rows, cols } = result.pre;
  return {
    input: restored(given, input),
    ...(result.order && { order: fromVector(result.order) }),
    pre: restored(given, result.pre),
    acts: restored(given, result.acts),
    latents: restored(given, result.latents),
    ...(result.refinement && { first_latents: restored(given, result.refinement.first) }),
    reconstructions: stacked(given, reconstructions),
    level_losses: fromVector(levelLosses.slice(1)),
    empty_prefix_loss: scalar(levelLosses[0]),
    reconstruction_loss: scalar(result.reconstructionLoss),
    residual: restored(given, subtract(input, reconstructions[reconstructions.length - 1])),
    auxk_loss: scalar(auxk.reduce((sum, { loss }) => sum + loss, 0)),
    ...(auxk.length > 0 && {
      auxk_latents: ofAuxk(auxk.map(({ latents }) => latents)),
      auxk_chosen: ofAuxk(auxk.map(({ chosen }) => matrix(rows, cols, Float64Array.from(chosen)))),
      auxk_gradient: ofAuxk(auxk.map(({ gradient }) => gradient)),
    }),
    l0: scalar(result.l0),
    penalty: scalar(result.penalty),
    penalty_coefficient: scalar(result.penaltyCoefficient),
    loss: scalar(result.loss),
    dead: fromVector(result.dead),
    ...paramTensors(result.gradients, 'grad.'),
    ...paramTensors(result.projected, 'projected.'),
    ...paramTensors(result.clippedGradients, 'clipped.'),
    ...paramTensors(result.updated, 'updated.'),
    norm: scalar(result.gradientNorm),
    learning_rate: scalar(result.learningRate),
    threshold: scalar(state.threshold),
    ...(state.firstThreshold !== undefined && { first_threshold: scalar(state.firstThreshold) }),
    ...paramTensors(params), // of JumpReLU its thresholds in place of the one above
    ...paramTensors(state.m, 'm.'),
    ...paramTensors(state.v, 'v.'),
    since_fired: fromVector(state.sinceFired),
    ...(averages && {
      mean_norm: scalar(averages.meanNorm),
      mean_squares: fromVector(averages.meanSquares),
      sparsity_scale: scalar(averages.sparsityScale),
      ...(averages.frequencies && { frequencies: fromVector(averages.frequencies) }),
    }),
    step: scalar(state.step),
  };
}

function mapped<T, R>(record: Readonly<Record<string, T>>, f: (value: T) => R): Record<string, R> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, f(value)]));
}

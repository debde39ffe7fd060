/**
 * What the two libraries' other trainers recorded: JumpReLU, ReLU with an L1 penalty, and TopK of each row.
 */
import {
  dictionaryLearning,
  dictionaryLearningJumpRelu,
  dictionaryLearningRelu,
} from '../../../reference/dialects/dictionary-learning.ts';
import { saelens, saelensJumpRelu, saelensRelu } from '../../../reference/dialects/saelens.ts';
import { withDecision, type Dialect, type Value } from '../../../reference/dialects.ts';
import { rowNorms } from '../../../reference/decoder-norm.ts';
import { geometricMedian } from '../../../reference/geometric-median.ts';
import { infer } from '../../../reference/infer.ts';
import { trainConfig, type TrainOptions } from '../../../reference/train-config.ts';
import type { StepResult } from '../../../reference/train-step.ts';
import { recordedMatrix, type Recording } from '../golden-vectors.ts';
import {
  auxkLatents,
  auxkLoss,
  paramQuantities,
  paramsAt,
  selected,
  stacked,
  type Change,
  type Quantity,
  type Source,
} from './source.ts';

const unchanged: Change = (dialect) => dialect;

/** The decision at a path as an option of the recorded run sets it. */
function withOptions(dialect: Dialect, options: Readonly<Record<string, Value>>): Dialect {
  return Object.entries(options).reduce(
    (changed, [path, value]) => withDecision(changed, path, value),
    dialect,
  );
}

function setting({ config }: Recording, name: string): number {
  return config[name] as number;
}

function dictionaryLearningOptions(recording: Recording): Omit<TrainOptions, 'dialect'> {
  const number = (name: string): number => setting(recording, name);
  return {
    d_in: number('d_in'),
    d_sae: number('d_sae'),
    k: 0,
    steps: number('steps'),
    learningRate: number('lr'),
    warmupSteps: number('warmup_steps'),
    decayStart: number('decay_start'),
  };
}

function saelensOptions(recording: Recording): Omit<TrainOptions, 'dialect'> {
  const number = (name: string): number => setting(recording, name);
  return {
    d_in: number('d_in'),
    d_sae: number('d_sae'),
    k: 0,
    steps: number('steps'),
    learningRate: number('lr'),
    warmupSteps: number('lr_warm_up_steps'),
    decayStart: number('steps') - number('lr_decay_steps'),
    deadAfter: number('dead_feature_window'),
  };
}

/** State of what has no threshold of its own that is estimated. */
function stateAt(recording: Recording, t: number, r: number): ReturnType<Source['stateAt']> {
  const counts = ['tokens_since_fired', 'passes_since_fired'].find((name) =>
    recording.names.includes(name),
  );
  return {
    step: t,
    params: paramsAt(recording, r),
    m: paramsAt(recording, r, 'm.'),
    v: paramsAt(recording, r, 'v.'),
    threshold: 0,
    sinceFired:
      counts === undefined
        ? new Float64Array(setting(recording, 'd_sae'))
        : recording.values(counts, r),
  };
}

function one(recording: Recording, name: string, at: number): Float64Array {
  return recording.values(name).slice(at, at + 1);
}

/** What every architecture's recording holds. */
function* common(
  result: StepResult,
  recording: Recording,
  s: number,
  r: number,
): Generator<Quantity> {
  yield ['reconstruction loss', [result.reconstructionLoss], one(recording, 'l2', s)];
  yield ['loss', [result.loss], one(recording, 'loss', s)];
  yield ['gradient norm', [result.gradientNorm], one(recording, 'grad_norm', s)];
  yield ['learning rate', [result.learningRate], one(recording, 'lr', s)];
  yield ['reconstructions', stacked(result.reconstructions), recording.values('x_hat', s)];
  yield* paramQuantities(result, recording, s, r);
}

function* latentsOf(result: StepResult, recording: Recording, s: number): Generator<Quantity> {
  yield ['latents', result.latents.data, recording.values('latents', s)];
  yield ['selection', selected(result.latents.data), selected(recording.values('latents', s))];
}

function* penaltyOf(
  result: StepResult,
  recording: Recording,
  coefficient: number,
  s: number,
): Generator<Quantity> {
  yield ['penalty coefficient', [result.penaltyCoefficient], [coefficient]];
  yield [
    'penalty',
    [result.penaltyCoefficient * result.penalty],
    one(recording, 'sparsity_loss', s),
  ];
  yield ['auxiliary losses', [result.auxk.length], [0]];
  // dl records what its step function gave, the others count positive latents.
  yield ['L0', [meanPositive(result)], one(recording, 'l0', s)];
}

/** What the trained SAE does with the same rows: of these architectures the latents of training. A threshold is not read. */
function* inference(
  recording: Recording,
  dialect: Dialect,
  s: number,
  r: number,
): Generator<Quantity> {
  const params = paramsAt(recording, r - 1);
  const { latents, reconstruction } = infer(
    recordedMatrix(recording, 'x', s),
    params,
    0.5,
    dialect,
  );
  yield ['latents at inference', latents.data, recording.values('latents', s)];
  yield ['reconstruction at inference', reconstruction.data, recording.values('x_hat', s)];
}

function meanPositive({ latents }: StepResult): number {
  return latents.data.reduce((sum, latent) => sum + Number(latent > 0), 0) / latents.rows;
}

/** dictionary_learning's JumpReluTrainer. */
export const dictionaryLearningJumpReluSource: Source = {
  folder: 'dictionary-learning',
  dialect: dictionaryLearningJumpRelu,
  runs: ['jumprelu'],
  configOf: (recording, change = unchanged) =>
    trainConfig({
      ...dictionaryLearningOptions(recording),
      dialect: change(
        withOptions(dictionaryLearningJumpRelu, {
          'jumpRelu.bandwidth': setting(recording, 'bandwidth'),
        }),
      ),
      deadAfter: setting(recording, 'dead_feature_threshold'),
      sparsityCoefficient: setting(recording, 'sparsity_penalty'),
      sparsityWarmupSteps: setting(recording, 'sparsity_warmup_steps'),
      targetL0: setting(recording, 'target_l0'),
    }),
  stateAt,
  drawsAt: () => ({}),
  *quantities(result, recording, config, s, r) {
    const factor = one(recording, 'sparsity_scale', s)[0];
    yield ['pre-activations', result.pre.data, recording.values('hidden_pre', s)];
    yield* inference(recording, config.dialect, s, r);
    yield* latentsOf(result, recording, s);
    yield* penaltyOf(result, recording, factor * setting(recording, 'sparsity_penalty'), s);
    yield ['counts', result.state.sinceFired, recording.values('tokens_since_fired', r)];
    yield* common(result, recording, s, r);
  },
};

/** dictionary_learning's StandardTrainerAprilUpdate. */
export const dictionaryLearningReluSource: Source = {
  folder: 'dictionary-learning',
  dialect: dictionaryLearningRelu,
  runs: ['standard-april'],
  configOf: (recording, change = unchanged) =>
    trainConfig({
      ...dictionaryLearningOptions(recording),
      dialect: change(dictionaryLearningRelu),
      sparsityCoefficient: setting(recording, 'l1_penalty'),
      sparsityWarmupSteps: setting(recording, 'sparsity_warmup_steps'),
    }),
  stateAt,
  drawsAt: () => ({}),
  *quantities(result, recording, config, s, r) {
    const factor = one(recording, 'sparsity_scale', s)[0];
    yield* inference(recording, config.dialect, s, r);
    yield* latentsOf(result, recording, s);
    yield* penaltyOf(result, recording, factor * setting(recording, 'l1_penalty'), s);
    yield* common(result, recording, s, r);
  },
};

/**
 * dictionary_learning's TopKTrainer, as the dialect of its Matryoshka trainer with selection of each row. Two things that
 * no decision says, {@link zerosFire} and {@link rowThreshold}, are taken from the recording or computed here.
 */
export const dictionaryLearningTopKSource: Source = {
  folder: 'dictionary-learning',
  dialect: dictionaryLearning,
  runs: ['top-k'],
  configOf: (recording, change = unchanged) =>
    trainConfig({
      ...dictionaryLearningOptions(recording),
      dialect: change(
        withOptions(dictionaryLearning, {
          'threshold.decay': setting(recording, 'threshold_beta'),
        }),
      ),
      selection: 'row',
      k: setting(recording, 'k'),
      auxkAlpha: setting(recording, 'auxk_alpha'),
      deadAfter: setting(recording, 'dead_feature_threshold'),
      thresholdStartStep: setting(recording, 'threshold_start_step'),
    }),
  stateAt: (recording, t, r) => ({
    ...stateAt(recording, t, r),
    params: paramsAt(recording, r),
    threshold: recording.values('threshold')[r],
    sinceFired: zerosFire(recording, t, r),
  }),
  forced: (recording, t, r) => ({ sinceFired: zerosFire(recording, t, r) }),
  drawsAt: () => ({}),
  *quantities(result, recording, config, s, r) {
    yield* latentsOf(result, recording, s);
    yield ['auxk', [auxkLoss(result.auxk)], one(recording, 'auxk', s)];
    yield ['dead', [result.dead.reduce((sum, dead) => sum + dead, 0)], one(recording, 'dead', s)];
    yield ['counts', result.state.sinceFired, recording.values('tokens_since_fired', r)];
    yield ['L0', [meanPositive(result)], one(recording, 'l0', s)];
    const positive = result.acts.data.reduce((sum, act) => sum + Number(act > 0), 0);
    yield ['positives', [positive], one(recording, 'positives', s)];
    const before = recording.values('threshold')[r - 1];
    yield ['threshold', [rowThreshold(result, before, config)], one(recording, 'threshold', r)];
    if (r === 1) {
      yield ['b_dec at the start', geometricMedian(result.input), recording.values('b_dec_init')];
    }
    yield* common(result, recording, s, r);
  },
};

/**
 * Named divergence: a zero that its top-k selects counts as fired. Counts before the step such that the reference's,
 * which counts positive latents alone, come out as recorded.
 */
function zerosFire(recording: Recording, t: number, r: number): Float64Array {
  const counts = recording.values('tokens_since_fired', r);
  const latents = recording.values('latents', t);
  const indices = recording.values('indices', t);
  const [rows, k] = recording.shape('indices').slice(-2);
  indices.forEach((j, i) => {
    const b = Math.floor(i / k);
    if (latents[b * counts.length + j] === 0) counts[j] = -rows;
  });
  return counts;
}

/** Named divergence: its threshold follows the mean over rows of each row's smallest positive latent. */
function rowThreshold(
  { latents, state }: StepResult,
  before: number,
  { dialect, thresholdStartStep }: ReturnType<Source['configOf']>,
): number {
  if (state.step - 1 <= thresholdStartStep) return before;
  let sum = 0;
  for (let b = 0; b < latents.rows; b++) {
    const row = latents.data.subarray(b * latents.cols, (b + 1) * latents.cols);
    sum += Math.min(...row.filter((latent) => latent > 0));
  }
  const { decay } = dialect.threshold;
  const mean = sum / latents.rows;
  return before < 0 ? mean : decay * before + (1 - decay) * mean;
}

/** SAELens's JumpReLUTrainingSAE in its default mode; architectures.test.ts has its others. */
export const saelensJumpReluSource: Source = {
  folder: 'saelens',
  dialect: saelensJumpRelu,
  runs: ['jumprelu'],
  configOf: (recording, change = unchanged) =>
    trainConfig({
      ...saelensOptions(recording),
      dialect: change(
        withOptions(saelensJumpRelu, {
          'jumpRelu.bandwidth': setting(recording, 'jumprelu_bandwidth'),
          ...(recording.config['jumprelu_ste_to_input'] === true
            ? { 'jumpRelu.inputGradient': 'gate-and-window' }
            : {}),
        }),
      ),
      sparsityCoefficient: setting(recording, 'l0_coefficient'),
      sparsityWarmupSteps: setting(recording, 'l0_warm_up_steps'),
    }),
  stateAt,
  drawsAt: () => ({}),
  *quantities(result, recording, config, s, r) {
    yield ['pre-activations', result.pre.data, recording.values('hidden_pre', s)];
    yield* inference(recording, config.dialect, s, r);
    yield* latentsOf(result, recording, s);
    yield* penaltyOf(result, recording, one(recording, 'coefficient', s)[0], s);
    yield* saelensCounts(result, recording, s, r);
    yield* common(result, recording, s, r);
  },
};

function* saelensCounts(
  result: StepResult,
  recording: Recording,
  s: number,
  r: number,
): Generator<Quantity> {
  yield ['counts', result.state.sinceFired, recording.values('passes_since_fired', r)];
  yield ['dead', [result.dead.reduce((sum, dead) => sum + dead, 0)], one(recording, 'dead', s)];
}

/** SAELens's StandardTrainingSAE. */
export const saelensReluSource: Source = {
  folder: 'saelens',
  dialect: saelensRelu,
  runs: ['standard'],
  configOf: (recording, change = unchanged) =>
    trainConfig({
      ...saelensOptions(recording),
      dialect: change(saelensRelu),
      sparsityCoefficient: setting(recording, 'l1_coefficient'),
      sparsityWarmupSteps: setting(recording, 'l1_warm_up_steps'),
    }),
  stateAt,
  drawsAt: () => ({}),
  *quantities(result, recording, config, s, r) {
    yield ['pre-activations', result.pre.data, recording.values('hidden_pre', s)];
    yield* inference(recording, config.dialect, s, r);
    yield* latentsOf(result, recording, s);
    yield* penaltyOf(result, recording, one(recording, 'coefficient', s)[0], s);
    yield* saelensCounts(result, recording, s, r);
    yield* common(result, recording, s, r);
  },
};

/** SAELens's TopKTrainingSAE, as the dialect of its Matryoshka class with selection of each row. */
export const saelensTopKSource: Source = {
  folder: 'saelens',
  dialect: saelens,
  runs: ['top-k'],
  configOf: (recording, change = unchanged) =>
    trainConfig({
      ...saelensOptions(recording),
      dialect: change(saelens),
      selection: 'row',
      k: setting(recording, 'k'),
      auxkAlpha: setting(recording, 'aux_loss_coefficient'),
    }),
  stateAt,
  drawsAt: () => ({}),
  *quantities(result, recording, config, s, r) {
    // What is recorded is in units of rescaled acts.
    const norms = rowNorms(paramsAt(recording, r - 1).W_dec);
    const scaled = (values: Float64Array): Float64Array =>
      values.map((value, i) => value * norms[i % norms.length]);
    yield ['pre-activations', scaled(result.pre.data), recording.values('hidden_pre', s)];
    yield ['latents', scaled(result.latents.data), recording.values('latents', s)];
    yield ['selection', selected(result.latents.data), selected(recording.values('latents', s))];
    yield ['L0', [meanPositive(result)], one(recording, 'l0', s)];
    yield ['auxk', [config.auxkAlpha * auxkLoss(result.auxk)], one(recording, 'aux', s)];
    yield ['auxk latents', scaled(auxkLatents(result)), recording.values('aux_latents', s)];
    yield* saelensCounts(result, recording, s, r);
    yield* common(result, recording, s, r);
  },
};

/** Trainers of other architectures. */
export const architectureSources: readonly Source[] = [
  dictionaryLearningJumpReluSource,
  dictionaryLearningReluSource,
  dictionaryLearningTopKSource,
  saelensJumpReluSource,
  saelensReluSource,
  saelensTopKSource,
];

/**
 * One case for each operator of `matryoshka run`, and what a direct call of the library gives for it.
 */
import { adamUpdate, clipGradients, gradientNorm, learningRate } from '../../../reference/adam.ts';
import { auxk } from '../../../reference/auxk.ts';
import { deadMask, updateSinceFired } from '../../../reference/dead-latents.ts';
import { decodePrefixes } from '../../../reference/decode.ts';
import {
  foldDecoderNorm,
  normaliseRows,
  projectGradient,
} from '../../../reference/decoder-norm.ts';
import { dialectNamed, type Dialect } from '../../../reference/dialects.ts';
import { encode, preActivations, relu } from '../../../reference/encode.ts';
import { geometricMedian } from '../../../reference/geometric-median.ts';
import { gradients } from '../../../reference/gradients.ts';
import { infer } from '../../../reference/infer.ts';
import {
  estimateInputScale,
  foldInputScale,
  normaliseInput,
} from '../../../reference/input-norm.ts';
import {
  jumpRelu,
  jumpReluGradient,
  keptThresholds,
  stepGradient,
} from '../../../reference/jump-relu.ts';
import { latentOrder, reorderLatents, updateMeanSquares } from '../../../reference/latent-order.ts';
import {
  levelCoefficients,
  levelErrors,
  levelLosses,
  reconstructionLoss,
} from '../../../reference/loss.ts';
import { map, matrix, subtract, type Matrix } from '../../../reference/matrix.ts';
import {
  drawInitial,
  initialiseParams,
  namesOf,
  valuesOf,
  type SaeParams,
} from '../../../reference/params.ts';
import {
  controlSparsity,
  penaltyCoefficient,
  sparsityPenalty,
} from '../../../reference/penalty.ts';
import { prefixesFromFractions, samplePrefixes } from '../../../reference/prefixes.ts';
import { aboveThreshold, batchTopK, selectionScores, topK } from '../../../reference/select.ts';
import { smallestSelected, updateThreshold } from '../../../reference/threshold.ts';
import { trainConfig } from '../../../reference/train-config.ts';
import { trainStep, type TrainState } from '../../../reference/train-step.ts';
import type { Tensor, Tensors } from '../../../conformance/kernel.ts';
import { createRng } from '../../../synthetic/rng.ts';

export interface RunCase {
  readonly operator: string;
  readonly dialect: string;
  readonly tensors: Tensors;
  readonly config: Readonly<Record<string, unknown>>;
  /** Outputs of direct calls, by name: every one of them must come back. */
  readonly expected: Tensors;
}

const rng = createRng(20260731).split('run');
const [rows, d_in, d_sae] = [6, 4, 10];

const normals = (...shape: number[]): Tensor => ({
  shape,
  data: Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal()),
});
const positives = (...shape: number[]): Tensor => {
  const { data } = normals(...shape);
  return { shape, data: data.map((value) => Math.max(value, 0)) };
};
const squares = (...shape: number[]): Tensor => {
  const { data } = normals(...shape);
  return { shape, data: data.map((value) => 0.01 * value * value) };
};
const one = (value: number): Tensor => ({ shape: [], data: Float64Array.of(value) });
const list = (values: ArrayLike<number>): Tensor => ({
  shape: [values.length],
  data: Float64Array.from(values),
});
const m = ({ shape, data }: Tensor): Matrix =>
  matrix(data.length / shape[shape.length - 1], shape[shape.length - 1], data.slice());
const t = (a: Matrix): Tensor => ({ shape: [a.rows, a.cols], data: a.data });
const like = ({ shape }: Tensor, a: Matrix): Tensor => ({
  shape: [...shape.slice(0, -1), a.cols],
  data: a.data,
});
const stack = (all: readonly Matrix[]): Tensor => ({
  shape: [all.length, all[0].rows, all[0].cols],
  data: Float64Array.from(all.flatMap(({ data }) => [...data])),
});

const weights = {
  W_enc: normals(d_in, d_sae),
  b_enc: normals(d_sae),
  W_dec: normals(d_sae, d_in),
  b_dec: normals(d_in),
};
const params = paramsOf(weights);
const ownThresholds = positives(d_sae);
const withThresholds: SaeParams = { ...params, threshold: ownThresholds.data };
const x = normals(rows, d_in);
const pre = normals(rows, d_sae);
const acts = positives(rows, d_sae);
const latents = positives(rows, d_sae);
const dead = list([0, 1, 0, 1, 1, 0, 0, 1, 0, 0]);
const prefixes = [3, 10];

function paramsOf(tensors: Tensors): SaeParams {
  return {
    W_enc: m(tensors['W_enc']),
    b_enc: tensors['b_enc'].data.slice(),
    W_dec: m(tensors['W_dec']),
    b_dec: tensors['b_dec'].data.slice(),
  };
}

const named = (all: SaeParams, prefix = ''): Record<string, Tensor> =>
  Object.fromEntries(
    namesOf(all).map((name) => {
      const param = all[name] as Matrix | Float64Array;
      const shape = param instanceof Float64Array ? [param.length] : [param.rows, param.cols];
      return [prefix + name, { shape, data: valuesOf(all, name) }];
    }),
  );

const dl = dialectNamed('dictionary_learning');
const of = (
  operator: string,
  tensors: Tensors,
  config: RunCase['config'],
  expected: Tensors,
  dialect: Dialect = dl,
): RunCase => ({ operator, dialect: dialect.name, tensors, config, expected });

const sl = dialectNamed('saelens');
const bm = dialectNamed('bussmann');
const nb = dialectNamed('nabeshima');
const jump = dialectNamed('saelens_jumprelu');
const encoder = { x, W_enc: weights.W_enc, b_enc: weights.b_enc, b_dec: weights.b_dec };
const scores = selectionScores(m(acts), params.W_dec, sl);
const levels = decodePrefixes(m(latents), params, prefixes);
const seeded = (label: string): (() => number) => createRng(3).split(label).uniform;

export const runCases: readonly RunCase[] = [
  of(
    'prefixes-from-fractions',
    {},
    { d_sae: 100, fractions: [0.29, 0.71] },
    {
      prefixes: list(prefixesFromFractions([0.29, 0.71], 100)),
    },
  ),
  ...[dl, bm, nb].map((dialect) => {
    const drawn = drawInitial(d_in, d_sae, seeded('initialise'), dialect);
    const expected = { drawn: t(drawn), ...named(initialiseParams(drawn, dialect)) };
    return of('initialise', {}, { d_in, d_sae, seed: 3 }, expected, dialect);
  }),
  ...[dl, sl].map((dialect) => {
    const batches = normals(2, rows, d_in);
    const each = [0, 1].map((i) =>
      matrix(rows, d_in, batches.data.slice(i * rows * d_in, (i + 1) * rows * d_in)),
    );
    const expected = { scale: one(estimateInputScale(each, dialect)) };
    return of('estimate-input-scale', { x: batches }, {}, expected, dialect);
  }),
  of('geometric-median', { x }, {}, { median: list(geometricMedian(m(x))) }),
  of(
    'sample-prefixes',
    {},
    { d_sae: 50, count: 5, seed: 3 },
    {
      prefixes: list(samplePrefixes(50, 5, 1, nb.prefixes.power, seeded('prefixes'))),
    },
    nb,
  ),
  ...[dl, bm, nb].map((dialect) => {
    const after = normaliseInput(m(x), 2.5, dialect, true);
    const reconstruction = normals(rows, d_in);
    return of(
      'normalise-input',
      { x, mean_norm: one(2.5), reconstruction },
      {},
      {
        x: t(after.x),
        mean_norm: one(after.meanNorm),
        restored: t(after.restore(m(reconstruction))),
      },
      dialect,
    );
  }),
  ...[dl, bm, nb].map((dialect) =>
    of('pre-activations', encoder, {}, { pre: t(preActivations(m(x), params, dialect)) }, dialect),
  ),
  of('encode', encoder, {}, { acts: t(encode(m(x), params, dl)) }),
  of('scores', { acts, W_dec: weights.W_dec }, {}, { scores: t(scores) }, sl),
  of('batch-topk', { acts }, { k: 1.7 }, { latents: t(batchTopK(m(acts), 1.7)) }),
  of(
    'batch-topk',
    { acts, scores: t(scores) },
    { k: 1.7 },
    {
      latents: t(batchTopK(m(acts), 1.7, scores)),
    },
    sl,
  ),
  of('topk', { acts }, { k: 3 }, { latents: t(topK(m(acts), 3)) }),
  of(
    'above-threshold',
    { acts, threshold: one(0.4) },
    {},
    {
      latents: t(aboveThreshold(m(acts), 0.4)),
    },
  ),
  of('kept-thresholds', { threshold: normals(d_sae) }, {}, {}, jump),
  of(
    'jump-relu',
    { pre, threshold: ownThresholds },
    {},
    {
      latents: t(jumpRelu(m(pre), ownThresholds.data)),
    },
    jump,
  ),
  of(
    'update-threshold',
    { threshold: one(0.7), latents },
    { decay: 0.9 },
    {
      threshold: one(
        updateThreshold(0.7, smallestSelected(m(latents)), {
          ...dl,
          threshold: { ...dl.threshold, decay: 0.9 },
        }),
      ),
    },
  ),
  of(
    'decode',
    { latents, W_dec: weights.W_dec, b_dec: weights.b_dec },
    { prefixes },
    {
      reconstructions: stack(levels),
    },
  ),
  ...[dl, bm].map((dialect) => {
    const losses = levelLosses(levelErrors(m(x), params.b_dec, levels));
    const tensors = { x, reconstructions: stack(levels), b_dec: weights.b_dec };
    return of(
      'loss',
      tensors,
      { level_weights: [1, 0.3] },
      {
        level_losses: list(losses.slice(1)),
        empty_prefix_loss: one(losses[0]),
        loss: one(reconstructionLoss(losses, levelCoefficients([1, 0.3], d_in, dialect))),
      },
      dialect,
    );
  }),
  ...[dl, sl].map((dialect) => {
    const before = Float64Array.from({ length: d_sae }, (_, j) => 300 * j);
    const after = updateSinceFired(before, m(latents), dialect);
    const counts = dialect === dl ? after : before;
    return of(
      'since-fired',
      { since_fired: list(before), latents },
      { dead_after: 900 },
      {
        since_fired: list(after),
        dead: list(deadMask(counts, 900, dialect)),
      },
      dialect,
    );
  }),
  ...[dl, sl, bm].map((dialect) => {
    const residual = normals(rows, d_in);
    const values = dialect === sl ? pre : acts;
    const flags = Uint8Array.from(dead.data);
    const term = auxk(m(residual), m(values), params.W_dec, flags, 0.1, dialect);
    const tensors = { residual, acts: values, W_dec: weights.W_dec, dead };
    return of(
      'auxk',
      tensors,
      { alpha: 0.1 },
      {
        loss: one(term.loss),
        latents: t(term.latents),
        chosen: { shape: [rows, d_sae], data: Float64Array.from(term.chosen) },
        gradient: t(term.gradient),
      },
      dialect,
    );
  }),
  ...[bm, nb, jump].map((dialect) => {
    const penalty = sparsityPenalty(m(latents), params.W_dec, prefixes, 4.5, 2, dialect);
    const tensors = { latents, W_dec: weights.W_dec, l0: one(4.5) };
    return of(
      'penalty',
      tensors,
      { prefixes, target_l0: 2 },
      {
        penalty: one(penalty.loss),
        'grad.latents': t(penalty.latents),
        'grad.W_dec': t(penalty.W_dec),
        'grad.count': one(penalty.count),
      },
      dialect,
    );
  }),
  of(
    'penalty-coefficient',
    {},
    { step: 3, sparsity_coefficient: 0.7, sparsity_warmup_steps: 9 },
    { coefficient: one(penaltyCoefficient(3, 0.7, 9, jump)) },
    jump,
  ),
  ...[3, 50].map((step) => {
    const { scale, coefficient } = controlSparsity(1.3, step, 4.5, 2, 20, nb);
    return of(
      'control-sparsity',
      { sparsity_scale: one(1.3), l0: one(4.5) },
      { step, target_l0: 2, sparsity_warmup_steps: 20 },
      { sparsity_scale: one(scale), coefficient: one(coefficient) },
      nb,
    );
  }),
  ...(
    [
      ['jump-relu-gradient', jumpReluGradient],
      ['step-gradient', stepGradient],
    ] as const
  ).map(([operator, gradient]) => {
    const upstream = normals(rows, d_sae);
    const wide = { ...jump, jumpRelu: { ...jump.jumpRelu, bandwidth: 1.5 } };
    const { input, threshold } = gradient(m(pre), ownThresholds.data, m(upstream), wide);
    return of(
      operator,
      { pre, threshold: ownThresholds, upstream },
      { bandwidth: 1.5 },
      {
        'grad.pre': t(input),
        'grad.threshold': list(threshold),
      },
      jump,
    );
  }),
  ...[dl, sl, bm, nb].map((dialect) => gradientCase(dialect)),
  jumpGradientCase(),
  (() => {
    const gradient = normals(d_sae, d_in);
    const projected = projectGradient(m(gradient), params.W_dec, 0.01);
    return of(
      'project-gradient',
      { gradient, W_dec: weights.W_dec },
      { epsilon: 0.01 },
      {
        gradient: t(projected),
      },
    );
  })(),
  of(
    'clip-gradients',
    named(params, 'grad.'),
    { max_norm: 0.5 },
    {
      ...named(clipGradients(params, 0.5), 'grad.'),
      norm: one(gradientNorm(params)),
    },
  ),
  of(
    'clip-gradients',
    named(withThresholds, 'grad.'),
    {},
    {
      ...named(clipGradients(withThresholds, jump.clip.maxNorm), 'grad.'),
      norm: one(gradientNorm(withThresholds)),
    },
    jump,
  ),
  ...[2, 30, 90].map((step) =>
    of(
      'learning-rate',
      {},
      { step, steps: 100, learning_rate: 3e-4, warmup_steps: 7, decay_start: 80, cosine_to: 1e-5 },
      {
        rate: one(
          learningRate(
            step,
            { learningRate: 3e-4, steps: 100, warmupSteps: 7, decayStart: 80, cosineTo: 1e-5 },
            sl,
          ),
        ),
      },
      sl,
    ),
  ),
  adamCase(),
  of(
    'normalise-rows',
    { W_dec: weights.W_dec },
    {},
    {
      W_dec: t(normaliseRows(params.W_dec, dl.decoderNorm.normaliseEpsilon)),
    },
  ),
  (() => {
    const mean_squares = positives(d_sae);
    const after = updateMeanSquares(mean_squares.data, m(latents), params.W_dec, nb);
    return of(
      'update-mean-squares',
      { mean_squares, latents, W_dec: weights.W_dec },
      {},
      {
        mean_squares: list(after),
      },
      nb,
    );
  })(),
  of(
    'latent-order',
    { mean_squares: ownThresholds },
    {},
    {
      order: list(latentOrder(ownThresholds.data)),
    },
    nb,
  ),
  (() => {
    const order = [3, 1, 0, 2, 9, 8, 7, 6, 5, 4];
    return of(
      'reorder-latents',
      { ...weights, order: list(order) },
      {},
      {
        ...named(reorderLatents(params, Uint32Array.from(order))),
      },
    );
  })(),
  ...[dl, sl, bm, nb, dialectNamed('paper')].map((dialect) => stepCase(dialect)),
  jumpStepCase(),
  ...[dl, sl].map((dialect) => {
    const folded = foldInputScale(params, 0.7, 1.3, dialect);
    return of(
      'fold-input-scale',
      { ...weights, threshold: one(0.7) },
      { scale: 1.3 },
      {
        ...named(folded.params),
        threshold: one(folded.threshold),
      },
      dialect,
    );
  }),
  of('fold-decoder-norm', weights, {}, named(foldDecoderNorm(params))),
  ...[dl, sl, bm].map((dialect) => {
    const { latents: out, reconstruction } = infer(m(x), params, 0.5, dialect);
    return of(
      'infer',
      { x, ...weights, threshold: one(0.5) },
      {},
      {
        latents: t(out),
        reconstruction: t(reconstruction),
      },
      dialect,
    );
  }),
  (() => {
    const { latents: out, reconstruction } = infer(m(x), withThresholds, 0, jump);
    return of(
      'infer',
      { x, ...weights, threshold: ownThresholds },
      {},
      {
        latents: t(out),
        reconstruction: t(reconstruction),
      },
      jump,
    );
  })(),
].map((each) =>
  each.operator === 'kept-thresholds'
    ? {
        ...each,
        expected: { threshold: list(keptThresholds(each.tensors['threshold'].data, jump)) },
      }
    : each,
);

/** Levels, auxk and, where the dialect has one, a penalty. */
function gradientCase(dialect: Dialect): RunCase {
  const hasAuxk = dialect.auxk.values !== 'none';
  const live = map(m(latents), (value, i) => (dead.data[i % d_sae] === 1 ? 0 : value));
  const chosen = map(m(pre), (value, i) =>
    dead.data[i % d_sae] === 1 && (dialect === sl || value > 0) ? value : 0,
  );
  const before = map(live, (value, i) => (value === 0 ? pre.data[i] : value));
  const gradient = normals(rows, d_in);
  const kind = dialect.penalty.kind;
  const penalty = sparsityPenalty(
    live,
    params.W_dec,
    prefixes,
    0,
    dialect.defaults.targetL0,
    dialect,
  );
  const result = gradients(
    {
      x: m(x),
      pre: before,
      latents: live,
      errors: levelErrors(m(x), params.b_dec, decodePrefixes(live, params, prefixes)),
      auxk: hasAuxk
        ? [
            {
              level: 2,
              loss: 0,
              chosen: Uint8Array.from(chosen.data, (value) => Number(value !== 0)),
              latents: chosen,
              gradient: m(gradient),
            },
          ]
        : [],
      ...(kind !== 'none' && { penalty: { penalty, coefficient: 0.3 } }),
    },
    params,
    prefixes,
    levelCoefficients([1, 0.3], d_in, dialect),
    dialect,
  );
  return of(
    'gradients',
    {
      x,
      latents: t(live),
      ...weights,
      pre: t(before),
      ...(hasAuxk && { auxk_latents: t(chosen), auxk_gradient: gradient }),
    },
    {
      prefixes,
      level_weights: [1, 0.3],
      ...(kind !== 'none' && { penalty_coefficient: 0.3 }),
    },
    named(result, 'grad.'),
    dialect,
  );
}

function jumpGradientCase(): RunCase {
  const passed = jumpRelu(m(pre), ownThresholds.data);
  const penalty = sparsityPenalty(passed, params.W_dec, [d_sae], 4.5, jump.defaults.targetL0, jump);
  const result = gradients(
    {
      x: m(x),
      pre: m(pre),
      latents: passed,
      errors: levelErrors(m(x), params.b_dec, decodePrefixes(passed, params, [d_sae])),
      auxk: [],
      penalty: { penalty, coefficient: 0.3 },
    },
    withThresholds,
    [d_sae],
    levelCoefficients([1], d_in, jump),
    jump,
  );
  const tensors = {
    x,
    latents: t(passed),
    ...weights,
    threshold: ownThresholds,
    pre,
    l0: one(4.5),
  };
  return of('gradients', tensors, { penalty_coefficient: 0.3 }, named(result, 'grad.'), jump);
}

function adamCase(): RunCase {
  const parameter = normals(2, 3);
  const gradient = normals(2, 3);
  const [first, second] = [normals(2, 3), squares(2, 3)];
  const alone = ({ data }: Tensor): SaeParams => ({
    W_enc: matrix(0, 0),
    b_enc: new Float64Array(0),
    W_dec: matrix(0, 0),
    b_dec: data.slice(),
  });
  const slower = { ...dl, adam: { beta1: 0.5, beta2: 0.9375, epsilon: 1e-7 } };
  const after = adamUpdate(
    alone(parameter),
    alone(gradient),
    alone(first),
    alone(second),
    41,
    0.02,
    slower,
  );
  const back = ({ b_dec }: SaeParams): Tensor => ({ shape: [2, 3], data: b_dec });
  return of(
    'adam-update',
    { parameter, gradient, m: first, v: second },
    { step: 41, rate: 0.02, beta1: 0.5, beta2: 0.9375, epsilon: 1e-7 },
    { parameter: back(after.params), m: back(after.m), v: back(after.v) },
  );
}

/** A step in the middle of a run, with dead latents. */
function stepCase(dialect: Dialect): RunCase {
  const moments = { m: mapped(weights, () => normals), v: mapped(weights, () => squares) };
  const since_fired = list(Float64Array.from({ length: d_sae }, (_, j) => (j % 3) * 1e6));
  const state: TrainState = {
    step: 12,
    params,
    m: paramsOf(moments.m),
    v: paramsOf(moments.v),
    threshold: 0.4,
    sinceFired: since_fired.data.slice(),
    averages: { meanNorm: 2.1, meanSquares: ownThresholds.data.slice(), sparsityScale: 0.9 },
  };
  const config = {
    k: 2.3,
    steps: 100,
    prefixes,
    warmup_steps: 20,
    threshold_start_step: 5,
    dead_after: 900_000,
  };
  const options = trainConfig({
    dialect,
    d_in,
    d_sae,
    k: 2.3,
    steps: 100,
    prefixes,
    warmupSteps: 20,
    thresholdStartStep: 5,
    deadAfter: 900_000,
  });
  const result = trainStep(state, m(x), options);
  const { averages } = result.state;
  const [term] = result.auxk;
  const reconstructions = stack(result.reconstructions);
  return of(
    'train-step',
    {
      x,
      ...weights,
      ...behind('m.', moments.m),
      ...behind('v.', moments.v),
      threshold: one(0.4),
      since_fired,
      mean_norm: one(2.1),
      mean_squares: ownThresholds,
      sparsity_scale: one(0.9),
    },
    { ...config, step: 12 },
    {
      input: t(result.input),
      pre: t(result.pre),
      acts: t(result.acts),
      latents: t(result.latents),
      reconstructions,
      level_losses: list(result.levelLosses.slice(1)),
      empty_prefix_loss: one(result.levelLosses[0]),
      reconstruction_loss: one(result.reconstructionLoss),
      residual: t(subtract(result.input, result.reconstructions[1])),
      auxk_loss: one(term?.loss ?? 0),
      ...(term !== undefined && {
        auxk_latents: t(term.latents),
        auxk_chosen: { shape: [rows, d_sae], data: Float64Array.from(term.chosen) },
        auxk_gradient: t(term.gradient),
      }),
      l0: one(result.l0),
      penalty: one(result.penalty),
      penalty_coefficient: one(result.penaltyCoefficient),
      loss: one(result.loss),
      dead: list(result.dead),
      ...named(result.gradients, 'grad.'),
      ...named(result.projected, 'projected.'),
      ...named(result.clippedGradients, 'clipped.'),
      ...named(result.updated, 'updated.'),
      norm: one(result.gradientNorm),
      learning_rate: one(result.learningRate),
      threshold: one(result.state.threshold),
      ...named(result.state.params),
      ...named(result.state.m, 'm.'),
      ...named(result.state.v, 'v.'),
      since_fired: list(result.state.sinceFired),
      mean_norm: one(averages!.meanNorm),
      mean_squares: list(averages!.meanSquares),
      sparsity_scale: one(averages!.sparsityScale),
      step: one(13),
    },
    dialect,
  );
}

/** JumpReLU's first step, whose moments and counts may be left out. */
function jumpStepCase(): RunCase {
  const zero = { shape: [d_sae], data: new Float64Array(d_sae) };
  const zeros = {
    ...paramsOf(mapped(weights, ({ shape, data }) => () => ({ shape, data: data.map(() => 0) }))),
    threshold: zero.data.slice(),
  };
  const result = trainStep(
    {
      step: 0,
      params: withThresholds,
      m: zeros,
      v: zeros,
      threshold: jump.threshold.start,
      sinceFired: zero.data.slice(),
    },
    m(x),
    trainConfig({ dialect: jump, d_in, d_sae, k: 0, steps: 100 }),
  );
  return of(
    'train-step',
    { x, ...weights, threshold: ownThresholds },
    { step: 0, steps: 100 },
    {
      loss: one(result.loss),
      latents: t(result.latents),
      acts: like(x, relu(result.pre)),
      ...named(result.gradients, 'grad.'),
      ...named(result.state.params),
      ...named(result.state.m, 'm.'),
    },
    jump,
  );
}

function mapped(
  tensors: Tensors,
  make: (like: Tensor) => (...shape: number[]) => Tensor,
): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, each]) => [name, make(each)(...each.shape)]),
  );
}

function behind(prefix: string, tensors: Tensors): Tensors {
  return Object.fromEntries(Object.entries(tensors).map(([name, each]) => [prefix + name, each]));
}

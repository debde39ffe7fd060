/**
 * train-step: one whole step, judged stage by stage.
 *
 * Adam is ill-conditioned where a gradient is near 0, and a selection may turn on one rounding, so a step is never
 * compared end to end: the kernel shows its intermediates, and each stage is judged by its own operator's acceptance on
 * the kernel's own inputs to it.
 * @module
 */
import fc from 'fast-check';
import { learningRate as learningRateOf } from '../../reference/adam.ts';
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { subtract, type Matrix } from '../../reference/matrix.ts';
import { paramNames } from '../../reference/params.ts';
import { trainConfig } from '../../reference/train-config.ts';
import { trainStep as referenceStep, type TrainConfig } from '../../reference/train-step.ts';
import { flatSizes, prefixesOf, withNonFinite, type Sizes } from '../arbitraries.ts';
import { compareTensor } from '../compare.ts';
import { underflow, type Profile } from '../error-model.ts';
import type { Call, KernelSpec, Tensor, Tensors } from '../kernel.ts';
import { answerOrRefusal, judge, law, neverHidesNonFinite, only } from '../laws.ts';
import { smallerCalls } from '../smaller-calls.ts';
import {
  fromMatrix,
  fromParams,
  fromVector,
  numberOf,
  numbersOf,
  scalar,
  tensor,
  toMatrix,
  toParams,
} from '../tensors.ts';
import { adamUpdate, clipGradients } from './adam.ts';
import { auxk } from './auxk.ts';
import { sinceFired } from './dead-latents.ts';
import { decode } from './decode.ts';
import { normaliseRows, projectGradient } from './decoder-norm.ts';
import { encode } from './encode.ts';
import { geometricMedian, staysOffRows } from './geometric-median.ts';
import { gradients } from './gradients.ts';
import { loss } from './loss.ts';
import { batchTopk } from './select.ts';
import { updateThreshold } from './threshold.ts';

const { adam, clip, decoderNorm, threshold: thresholdRule } = dictionaryLearning;

/** The settings of one call, as the reference takes them. */
export function configOf(call: Call, dialect: Dialect = dictionaryLearning): TrainConfig {
  const [d_in, d_sae] = call.inputs.W_enc.shape;
  return trainConfig({
    dialect,
    d_in,
    d_sae,
    k: numberOf(call, 'k'),
    prefixes: numbersOf(call, 'prefixes'),
    levelWeights: numbersOf(call, 'level_weights'),
    steps: numberOf(call, 'steps'),
    warmupSteps: numberOf(call, 'warmup_steps'),
    decayStart: call.config['decay_start'] as number | null,
    learningRate: numberOf(call, 'learning_rate'),
    thresholdStartStep: numberOf(call, 'threshold_start_step'),
    deadAfter: numberOf(call, 'dead_after'),
    auxkAlpha: numberOf(call, 'auxk_alpha'),
  });
}

/** A reference step in another dialect, with all the tensors a kernel shows: what mutants are made of. */
export function stepTensors(call: Call, dialect: Dialect = dictionaryLearning): Tensors {
  const { inputs } = call;
  const x = toMatrix(inputs.x);
  const result = referenceStep(
    {
      step: numberOf(call, 'step'),
      params: toParams(inputs),
      m: toParams(inputs, 'm.'),
      v: toParams(inputs, 'v.'),
      threshold: inputs.threshold.data[0],
      sinceFired: inputs.since_fired.data,
    },
    x,
    configOf(call, dialect),
  );
  const last = result.reconstructions[result.reconstructions.length - 1];
  const [auxk] = result.auxk;
  return {
    acts: fromMatrix(result.acts),
    latents: fromMatrix(result.latents),
    reconstructions: stack(result.reconstructions),
    level_losses: fromVector(result.levelLosses.slice(1)),
    reconstruction_loss: scalar(result.reconstructionLoss),
    residual: fromMatrix(subtract(x, last)),
    auxk_latents: fromMatrix(auxk.latents),
    auxk_gradient: fromMatrix(auxk.gradient),
    auxk_loss: scalar(auxk.loss),
    loss: scalar(result.loss),
    dead: fromVector(result.dead),
    since_fired: fromVector(result.state.sinceFired),
    threshold: scalar(result.state.threshold),
    ...fromParams(result.gradients, 'grad.'),
    'projected.W_dec': fromMatrix(result.projected.W_dec),
    ...fromParams(result.clippedGradients, 'clipped.'),
    norm: scalar(result.gradientNorm),
    'updated.W_dec': fromMatrix(result.updated.W_dec),
    ...fromParams(result.state.params),
    ...fromParams(result.state.m, 'm.'),
    ...fromParams(result.state.v, 'v.'),
  };
}

function stack(all: readonly Matrix[]): Tensor {
  return tensor(
    [all.length, all[0].rows, all[0].cols],
    all.flatMap(({ data }) => [...data]),
  );
}

/** Tame values: extremes belong to the single operators, and no product of five factors may overflow here. */
const tame = (shape: readonly number[]): fc.Arbitrary<Tensor> => {
  const size = shape.reduce((product, length) => product * length, 1);
  const value = fc.oneof(
    fc.integer({ min: -6, max: 6 }).map((n) => n / 4),
    fc.float({ min: -2, max: 2, noNaN: true }).map((v) => (Math.abs(v) < 2 ** -20 ? 0 : v)),
  );
  return fc
    .array(value, { minLength: size, maxLength: size })
    .map((values) => tensor(shape, values));
};

const paramsOf = ({ d_in, d_sae }: Sizes, prefix = ''): fc.Arbitrary<Record<string, Tensor>> =>
  fc.record({
    [`${prefix}W_enc`]: tame([d_in, d_sae]),
    [`${prefix}b_enc`]: tame([d_sae]),
    [`${prefix}W_dec`]: tame([d_sae, d_in]),
    [`${prefix}b_dec`]: tame([d_in]),
  });

const squares = (tensors: Record<string, Tensor>): Record<string, Tensor> =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, { shape, data }]) => [
      name,
      tensor(
        shape,
        data.map((value) => Math.fround(value * value)),
      ),
    ]),
  );

const steps = 40;
const warmupSteps = 8;
const deadAfter = 12;

const shapes = '(d_in, d_sae), (d_sae), (d_sae, d_in), (d_in)';

const inputWords = {
  x: '(rows, d_in)',
  'W_enc, b_enc, W_dec, b_dec': shapes,
  'm.…, v.…': 'Adam’s moments, shaped as the parameters',
  threshold: '()',
  since_fired: '(d_sae), tokens',
};

/** Counts as far from dead_after as they were, when there are fewer rows to add. */
const asFarFromDead = (smaller: Call, larger: Call): Call[] => {
  const fewer = larger.inputs.x.shape[0] - smaller.inputs.x.shape[0];
  const { shape, data } = smaller.inputs.since_fired;
  const since_fired = tensor(
    shape,
    data.map((count) => count + fewer),
  );
  return fewer === 0 ? [] : [{ ...smaller, inputs: { ...smaller.inputs, since_fired } }];
};

function callsAt(step: fc.Arbitrary<number>): fc.Arbitrary<Call> {
  const drawn = flatSizes.chain((size) =>
    fc
      .record({
        x: tame([size.rows, size.d_in]),
        params: paramsOf(size),
        m: paramsOf(size, 'm.'),
        v: paramsOf(size, 'v.').map(squares),
        threshold: fc.constantFrom(-1, 0.25, 1.5),
        counts: fc.array(fc.integer({ min: 0, max: 2 * deadAfter }), {
          minLength: size.d_sae,
          maxLength: size.d_sae,
        }),
        k: fc.integer({ min: 0, max: 4 * size.d_sae }).map((n) => n / 4),
        prefixes: prefixesOf(size.d_sae),
        weights: fc.array(fc.constantFrom(0, 0.25, 1), { minLength: 9, maxLength: 9 }),
        step,
        thresholdStart: fc.constantFrom(3, 15, 100),
        decayStart: fc.constantFrom(null, 20),
        alpha: fc.constantFrom(0, 1 / 32, 1),
      })
      .map((drawn): Call => ({
        config: {
          k: drawn.k,
          prefixes: drawn.prefixes,
          level_weights: drawn.weights.slice(0, drawn.prefixes.length),
          step: drawn.step,
          steps,
          warmup_steps: warmupSteps,
          decay_start: drawn.decayStart,
          learning_rate: 2 ** -6,
          threshold_start_step: drawn.thresholdStart,
          dead_after: deadAfter,
          auxk_alpha: drawn.alpha,
        },
        inputs: {
          x: drawn.x,
          ...drawn.params,
          ...drawn.m,
          ...drawn.v,
          threshold: scalar(drawn.threshold),
          since_fired: fromVector(drawn.counts),
        },
      })),
  );
  return smallerCalls(drawn, inputWords, { adapt: asFarFromDead });
}

/** Whether the reference takes the step, with a residual whose variance rounding cannot bring to 0. */
function isTaken(call: Call): boolean {
  try {
    const { residual, dead } = stepTensors(call);
    if (dead.data.every((flag) => flag === 0)) return true;
    const { rows, cols, data } = toMatrix(residual);
    const firsts = data.slice(0, cols);
    return rows > 1 && data.some((value, i) => Math.abs(value - firsts[i % cols]) > 2 ** -8);
  } catch {
    return false;
  }
}

const laterSteps = fc.constantFrom(1, 3, 4, 7, 8, 15, 16, 20, 21, 39);
const calls = callsAt(laterSteps).filter(isTaken);
const firstCalls = callsAt(fc.constant(0)).filter(
  (call) => staysOffRows(toMatrix(call.inputs.x)) && isTaken(call),
);

/** One stage: its operator, its call made of the kernel's own tensors, and the kernel's answer to it. */
interface Stage {
  readonly spec: KernelSpec;
  readonly call: Call;
  readonly answer: Tensors;
}

/** Every stage of a step, from the call and what the kernel showed. */
function stagesOf(call: Call, got: Tensors): Stage[] {
  const { x, W_enc, b_enc, W_dec, b_dec, threshold, since_fired } = call.inputs;
  const levels = { level_weights: numbersOf(call, 'level_weights') };
  const prefixes = { prefixes: numbersOf(call, 'prefixes') };
  const at = (
    spec: KernelSpec,
    config: Call['config'],
    inputs: Tensors,
    answer: Tensors,
  ): Stage => ({
    spec,
    call: { config, inputs },
    answer,
  });
  const grads = named(got, 'grad.');
  const step = numberOf(call, 'step');
  const rate = learningRateOf(step, configOf(call), dictionaryLearning);
  return [
    at(encode, {}, { x, W_enc, b_enc, b_dec }, { acts: got.acts }),
    at(batchTopk, { k: numberOf(call, 'k') }, { acts: got.acts }, { latents: got.latents }),
    ...(step > numberOf(call, 'threshold_start_step')
      ? [
          at(
            updateThreshold,
            { decay: thresholdRule.decay },
            { threshold, latents: got.latents },
            { threshold: got.threshold },
          ),
        ]
      : []),
    at(
      decode,
      prefixes,
      { latents: got.latents, W_dec, b_dec },
      { reconstructions: got.reconstructions },
    ),
    at(
      loss,
      levels,
      { x, reconstructions: got.reconstructions },
      { level_losses: got.level_losses, loss: got.reconstruction_loss },
    ),
    at(
      sinceFired,
      { dead_after: numberOf(call, 'dead_after') },
      { since_fired, latents: got.latents },
      { since_fired: got.since_fired, dead: got.dead },
    ),
    at(
      auxk,
      { alpha: numberOf(call, 'auxk_alpha') },
      { residual: got.residual, acts: got.acts, W_dec, dead: got.dead },
      { loss: got.auxk_loss, latents: got.auxk_latents, gradient: got.auxk_gradient },
    ),
    at(
      gradients,
      { ...prefixes, ...levels },
      {
        x,
        latents: got.latents,
        W_enc,
        b_enc,
        W_dec,
        b_dec,
        auxk_latents: got.auxk_latents,
        auxk_gradient: got.auxk_gradient,
      },
      grads,
    ),
    at(
      projectGradient,
      { epsilon: decoderNorm.projectEpsilon },
      { gradient: grads['grad.W_dec'], W_dec },
      { gradient: got['projected.W_dec'] },
    ),
    at(
      clipGradients,
      { max_norm: clip.maxNorm },
      { ...grads, 'grad.W_dec': got['projected.W_dec'] },
      { ...renamed(named(got, 'clipped.'), 'clipped.', 'grad.'), norm: got.norm },
    ),
    ...paramNames.map((name) =>
      at(
        adamUpdate,
        { step, rate, ...adam },
        {
          parameter: call.inputs[name],
          gradient: got[`clipped.${name}`],
          m: call.inputs[`m.${name}`],
          v: call.inputs[`v.${name}`],
        },
        {
          parameter: name === 'W_dec' ? got['updated.W_dec'] : got[name],
          m: got[`m.${name}`],
          v: got[`v.${name}`],
        },
      ),
    ),
    at(
      normaliseRows,
      { epsilon: decoderNorm.normaliseEpsilon },
      { W_dec: got['updated.W_dec'] },
      { W_dec: got.W_dec },
    ),
  ];
}

/** What is wrong with a step, by its stages and by the sums that join them; null if nothing. */
async function wrongStep(call: Call, got: Tensors, profile: Profile): Promise<string | null> {
  for (const stage of stagesOf(call, got)) {
    const wrong = await judge(stage.spec, stage.call, stage.answer, profile);
    if (wrong !== null) return `stage ${stage.spec.name}: ${wrong}`;
  }
  return (
    wrongResidual(call, got, profile) ?? wrongTotal(call, got, profile) ?? wrongHeld(call, got)
  );
}

/** x - x̂_G is one subtraction: u relative. */
function wrongResidual(call: Call, got: Tensors, profile: Profile): string | null {
  const { x } = call.inputs;
  const last = got.reconstructions.data.slice(-x.data.length);
  const expected = tensor(
    x.shape,
    x.data.map((value, i) => value - last[i]),
  );
  return compareTensor(
    'residual',
    got.residual,
    expected,
    (i) => 2 * profile.u_out * Math.abs(expected.data[i]) + underflow(1, 1, profile),
  );
}

/** reconstruction loss + alpha · auxk loss: alpha rounded, one product, one sum. */
function wrongTotal(call: Call, got: Tensors, profile: Profile): string | null {
  const alpha = numberOf(call, 'auxk_alpha');
  const total = got.reconstruction_loss.data[0] + alpha * got.auxk_loss.data[0];
  const bound = 4 * profile.u_out * total + underflow(2, 1, profile);
  return compareTensor('loss', got.loss, scalar(total), () => bound);
}

/** Until its first update is due the threshold stays what it was. */
function wrongHeld(call: Call, got: Tensors): string | null {
  if (numberOf(call, 'step') > numberOf(call, 'threshold_start_step')) return null;
  return compareTensor('threshold', got.threshold, call.inputs.threshold, () => 0);
}

function named(tensors: Tensors, prefix: string): Record<string, Tensor> {
  return Object.fromEntries(
    paramNames.map((name) => [`${prefix}${name}`, tensors[`${prefix}${name}`]]),
  );
}

function renamed(tensors: Tensors, from: string, to: string): Tensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, value]) => [name.replace(from, to), value]),
  );
}

function outputShapes({ inputs, config }: Call): Record<string, readonly number[]> {
  const [rows, d_in] = inputs.x.shape;
  const d_sae = inputs.b_enc.shape[0];
  const levels = (config['prefixes'] as readonly number[]).length;
  const params = { W_enc: [d_in, d_sae], b_enc: [d_sae], W_dec: [d_sae, d_in], b_dec: [d_in] };
  const each = ['', 'm.', 'v.', 'grad.', 'clipped.'].flatMap((prefix) =>
    paramNames.map((name) => [`${prefix}${name}`, params[name]] as const),
  );
  return {
    ...Object.fromEntries(each),
    'projected.W_dec': params.W_dec,
    'updated.W_dec': params.W_dec,
    acts: [rows, d_sae],
    latents: [rows, d_sae],
    auxk_latents: [rows, d_sae],
    reconstructions: [levels, rows, d_in],
    residual: [rows, d_in],
    auxk_gradient: [rows, d_in],
    level_losses: [levels],
    dead: [d_sae],
    since_fired: [d_sae],
    reconstruction_loss: [],
    auxk_loss: [],
    loss: [],
    threshold: [],
    norm: [],
  };
}

export const trainStep: KernelSpec = {
  name: 'train-step',
  summary: 'one training step, shown stage by stage',
  inputs: inputWords,
  outputs: {
    'acts, latents': '(rows, d_sae), before and after selection',
    reconstructions: '(prefixes, rows, d_in)',
    'level_losses, reconstruction_loss, auxk_loss, loss':
      '(prefixes), then scalars; auxk_loss before alpha',
    residual: '(rows, d_in), x minus the last reconstruction',
    'auxk_latents, auxk_gradient': '(rows, d_sae), (rows, d_in)',
    'dead, since_fired, threshold': '(d_sae), (d_sae), ()',
    'grad.…': 'as derived',
    'projected.W_dec': 'its gradient after projection',
    'clipped.…, norm': 'what Adam receives, and the norm before clipping',
    'updated.W_dec': 'after Adam, before rows are rescaled',
    'W_enc, b_enc, W_dec, b_dec, m.…, v.…': 'the next state',
  },
  config: {
    k: 'mean latents per row',
    prefixes: 'm_1 < … < m_G = d_sae',
    level_weights: 'one per prefix',
    step: 'updates done before this one',
    'steps, warmup_steps, decay_start, learning_rate': 'the schedule',
    threshold_start_step: 'the threshold is updated in steps after it',
    dead_after: 'tokens',
    auxk_alpha: 'weight of auxk',
  },
  outputShapes,
  reference: (call) => stepTensors(call),
  laws: [
    law(
      'every stage agrees with the reference on the kernel’s own inputs to it',
      only(calls),
      async ({ call }, { run, profile }) => wrongStep(call, await run(call), profile),
    ),
    law(
      'step 0 starts b_dec at the geometric median of the batch and moves no weight but the decoder’s norms',
      only(firstCalls),
      async ({ call }, { run, profile }) => {
        const got = await run(call);
        // Update 0 of a warm-up has rate 0, so b_dec is returned as it was set.
        const median = await judge(
          geometricMedian,
          { config: {}, inputs: { x: call.inputs.x } },
          { median: got.b_dec },
          profile,
        );
        if (median !== null) return `stage geometric-median: ${median}`;
        const started = { ...call, inputs: { ...call.inputs, b_dec: got.b_dec } };
        return wrongStep(started, got, profile);
      },
    ),
    law(
      'a batch that is not finite is refused or shows, in the loss above all',
      only(withNonFinite(calls, ['x'])),
      async ({ call }, subject) => {
        const got = await answerOrRefusal(call, subject);
        return got !== null && Number.isFinite(got.loss.data[0])
          ? `loss is ${got.loss.data[0]}`
          : null;
      },
    ),
    neverHidesNonFinite(withNonFinite(calls, ['W_enc', 'b_enc', 'W_dec', 'b_dec'])),
  ],
};

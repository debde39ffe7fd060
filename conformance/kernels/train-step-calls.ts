/**
 * Calls of train-step: state, batch and settings, tame enough that every stage of the step is defined.
 * @module
 */
import fc from 'fast-check';
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { map, multiply, subtract, type Matrix } from '../../reference/matrix.ts';
import { trainConfig } from '../../reference/train-config.ts';
import { trainStep as referenceStep, type TrainConfig } from '../../reference/train-step.ts';
import { flatSizes, prefixesOf, type Sizes } from '../arbitraries.ts';
import type { Call, KernelSpec, Tensor, Tensors } from '../kernel.ts';
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
import { staysOffRows } from './geometric-median.ts';

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
export const tame = (shape: readonly number[]): fc.Arbitrary<Tensor> => {
  const size = shape.reduce((product, length) => product * length, 1);
  const value = fc.oneof(
    fc.integer({ min: -6, max: 6 }).map((n) => n / 4),
    fc.float({ min: -2, max: 2, noNaN: true }).map((v) => (Math.abs(v) < 2 ** -20 ? 0 : v)),
  );
  return fc
    .array(value, { minLength: size, maxLength: size })
    .map((values) => tensor(shape, values));
};

export const paramsOf = (
  { d_in, d_sae }: Sizes,
  prefix = '',
): fc.Arbitrary<Record<string, Tensor>> =>
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

/** A call has no more latents than this. */
export const mostLatents = 9;

const steps = 40;
const warmupSteps = 8;
const deadAfter = 12;

const shapes = '(d_in, d_sae), (d_sae), (d_sae, d_in), (d_in)';

export const inputWords: KernelSpec['inputs'] = {
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
        weights: fc.array(fc.constantFrom(0, 0.25, 1), {
          minLength: mostLatents,
          maxLength: mostLatents,
        }),
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

/**
 * Whether every right kernel takes the step: the reference does, and where the loss of auxk is divided by the residual's
 * variance, neither bfloat16 nor another choice among ties can bring that to 0.
 */
function isTaken(call: Call): boolean {
  try {
    const { acts, latents, residual, dead } = stepTensors(call);
    return (
      dead.data.every((flag) => flag === 0) ||
      (!isTied(acts, latents) && differsSurely(toMatrix(residual), sizeOfResidual(call, latents)))
    );
  } catch {
    return false;
  }
}

/** Whether a latent that selection dropped is as large as one that it kept. */
function isTied(acts: Tensor, latents: Tensor): boolean {
  const smallest = latents.data.reduce(
    (least, value) => (value > 0 ? Math.min(least, value) : least),
    Infinity,
  );
  return acts.data.some((act, i) => act >= smallest && latents.data[i] === 0);
}

/** Sums of the absolute values of all that a residual is made of: rounding moves it by a multiple of u times that. */
function sizeOfResidual({ inputs }: Call, latents: Tensor): Matrix {
  const x = toMatrix(inputs.x);
  const [W_enc, b_enc, W_dec, b_dec] = [inputs.W_enc, inputs.b_enc, inputs.W_dec, inputs.b_dec].map(
    ({ shape, data }) =>
      toMatrix(tensor(shape.length === 1 ? [1, ...shape] : shape, data.map(Math.abs))),
  );
  const centred = map(x, (value, i) => Math.abs(value) + b_dec.data[i % x.cols]);
  const products = map(multiply(centred, W_enc), (value, i) =>
    latents.data[i] > 0 ? value + b_enc.data[i % b_enc.cols] : 0,
  );
  return map(multiply(products, W_dec), (value, i) => value + centred.data[i]);
}

/** 2^-5: eight roundings of bfloat16. */
function differsSurely({ rows, cols, data }: Matrix, size: Matrix): boolean {
  return (
    rows > 1 &&
    data.some(
      (value, i) =>
        Math.abs(value - data[i % cols]) > 2 ** -5 * (size.data[i] + size.data[i % cols]),
    )
  );
}

const laterSteps = fc.constantFrom(1, 3, 4, 7, 8, 15, 16, 20, 21, 39);
export const calls: fc.Arbitrary<Call> = callsAt(laterSteps).filter(isTaken);
export const firstCalls: fc.Arbitrary<Call> = callsAt(fc.constant(0)).filter(
  (call) => staysOffRows(toMatrix(call.inputs.x)) && isTaken(call),
);

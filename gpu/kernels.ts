/**
 * The port as kernels under test: named tensors in, named tensors out, one line of plumbing per operator.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Call, Kernels, Operator, Tensor } from '../conformance/kernel.ts';
import { dictionaryLearning } from '../reference/dialects.ts';
import { dialectOf } from '../conformance/kernels/input-norm.ts';
import { configOf } from '../conformance/kernels/train-step-calls.ts';
import type { TrainConfig } from '../reference/train-step.ts';
import { adamUpdate, clipGradients, gradientNorm, learningRate } from './adam.ts';
import { auxk } from './auxk.ts';
import { openBackend, type BackendName } from './backend.ts';
import { deadMask, updateSinceFired } from './dead-latents.ts';
import { decodePrefixes } from './decode.ts';
import { foldDecoderNorm, normaliseRows, projectGradient } from './decoder-norm.ts';
import { encode } from './encode.ts';
import { geometricMedian } from './geometric-median.ts';
import { gradients } from './gradients.ts';
import { foldInputScale } from './input-norm.ts';
import { levelCoefficients, levelErrors, levelLosses, reconstructionLoss } from './loss.ts';
import { paramNames, type SaeTensors } from './params.ts';
import { aboveThreshold, batchTopK, topK } from './select.ts';
import { smallestSelected, updateThreshold } from './threshold.ts';
import type { TrainStateTensors } from './train-state.ts';
import { trainStep } from './train-step.ts';

const dialect = dictionaryLearning;

/** An operator on device tensors; what it returns is read back, and everything it made is disposed. */
type DeviceOperator = (
  inputs: (name: string) => tf.Tensor,
  call: Call,
) => Readonly<Record<string, tf.Tensor | number>>;

/**
 * @returns the port's kernels on the backend asked for, what computes, and why no better one was taken.
 * @throws as `openBackend`.
 */
export async function portKernels(
  name: BackendName | 'auto',
): Promise<{ kernels: Kernels; device: string; notes: readonly string[] }> {
  const { profile, ...opened } = await openBackend(name);
  return {
    kernels: {
      name: opened.name,
      dtype: 'float32',
      profile,
      operators: Object.fromEntries(
        Object.entries(operators).map(([operator, run]) => [operator, onDevice(run)]),
      ),
    },
    device: opened.device,
    notes: opened.better.map(({ rank, reason, remedy }) => `not ${rank}: ${reason} (${remedy})`),
  };
}

function onDevice(run: DeviceOperator): Operator {
  return async (call) => {
    const before = tf.memory().numTensors;
    const uploaded = new Map(
      Object.entries(call.inputs).map(([name, { shape, data }]) => [
        name,
        tf.tensor(Float32Array.from(data), [...shape], 'float32'),
      ]),
    );
    const outputs = tf.tidy(() => {
      const results = run((name) => uploaded.get(name)!, call);
      return Object.entries(results).map(
        ([name, value]) => [name, typeof value === 'number' ? tf.scalar(value) : value] as const,
      ) as unknown as tf.TensorContainer;
    }) as unknown as readonly (readonly [string, tf.Tensor])[];
    const read: Record<string, Tensor> = {};
    for (const [name, value] of outputs) {
      read[name] = { shape: value.shape, data: Float64Array.from(await value.data()) };
    }
    tf.dispose([...uploaded.values(), ...outputs.map(([, value]) => value)]);
    const left = tf.memory().numTensors - before;
    if (left !== 0) throw new Error(`the kernel left ${left} tensors on the device`);
    return read;
  };
}

const matrix2d = (t: tf.Tensor): tf.Tensor2D => tf.reshape(t, [-1, t.shape[t.shape.length - 1]]);
const vector = (t: tf.Tensor): tf.Tensor1D => t as tf.Tensor1D;

function paramsOf(inputs: (name: string) => tf.Tensor, prefix = ''): SaeTensors {
  return {
    W_enc: inputs(`${prefix}W_enc`) as tf.Tensor2D,
    b_enc: vector(inputs(`${prefix}b_enc`)),
    W_dec: inputs(`${prefix}W_dec`) as tf.Tensor2D,
    b_dec: vector(inputs(`${prefix}b_dec`)),
  };
}

function named(params: SaeTensors, prefix: string): Record<string, tf.Tensor> {
  return Object.fromEntries(paramNames.map((name) => [`${prefix}${name}`, params[name]]));
}

const number = (call: Call, name: string): number => call.config[name] as number;
const numbers = (call: Call, name: string): readonly number[] =>
  call.config[name] as readonly number[];

/** Parameters an operator does not read. */
function unused(d_in: number, d_sae: number): SaeTensors {
  return {
    W_enc: tf.zeros([d_in, d_sae]),
    b_enc: tf.zeros([d_sae]),
    W_dec: tf.zeros([d_sae, d_in]),
    b_dec: tf.zeros([d_in]),
  };
}

const operators: Readonly<Record<string, DeviceOperator>> = {
  encode: (inputs) => {
    const x = inputs('x');
    const W_enc = inputs('W_enc') as tf.Tensor2D;
    const [d_in, d_sae] = W_enc.shape;
    const biases = { b_enc: vector(inputs('b_enc')), b_dec: vector(inputs('b_dec')) };
    const acts = encode(matrix2d(x), { ...unused(d_in, d_sae), W_enc, ...biases }, dialect);
    return { acts: tf.reshape(acts, [...x.shape.slice(0, -1), d_sae]) };
  },
  'batch-topk': (inputs, call) => {
    const acts = inputs('acts');
    return { latents: tf.reshape(batchTopK(matrix2d(acts), number(call, 'k')), acts.shape) };
  },
  topk: (inputs, call) => {
    const acts = inputs('acts');
    return { latents: tf.reshape(topK(matrix2d(acts), number(call, 'k')), acts.shape) };
  },
  'above-threshold': (inputs) => {
    const acts = inputs('acts');
    const latents = aboveThreshold(matrix2d(acts), inputs('threshold') as tf.Scalar);
    return { latents: tf.reshape(latents, acts.shape) };
  },
  decode: (inputs, call) => {
    const latents = inputs('latents');
    const W_dec = inputs('W_dec') as tf.Tensor2D;
    const [d_sae, d_in] = W_dec.shape;
    const params = { ...unused(d_in, d_sae), W_dec, b_dec: vector(inputs('b_dec')) };
    const all = decodePrefixes(matrix2d(latents), params, numbers(call, 'prefixes'));
    const shape = [all.length, ...latents.shape.slice(0, -1), d_in];
    return { reconstructions: tf.reshape(tf.stack(all), shape) };
  },
  loss: (inputs, call) => {
    const x = matrix2d(inputs('x'));
    const weights = numbers(call, 'level_weights');
    const stacked = inputs('reconstructions');
    const each = tf.unstack(tf.reshape(stacked, [weights.length, ...x.shape])) as tf.Tensor2D[];
    const losses = levelLosses(levelErrors(x, tf.zeros([x.shape[1]]), each));
    const coefficients = levelCoefficients(weights, x.shape[1], dialect);
    return {
      level_losses: tf.slice(losses, [1], [weights.length]),
      loss: reconstructionLoss(losses, coefficients),
    };
  },
  auxk: (inputs, call) => {
    const [residual, acts, W_dec] = ['residual', 'acts', 'W_dec'].map(
      (name) => inputs(name) as tf.Tensor2D,
    );
    const result = auxk(
      residual,
      acts,
      W_dec,
      vector(inputs('dead')),
      number(call, 'alpha'),
      dialect,
    );
    return { loss: result.loss, latents: result.latents, gradient: result.gradient };
  },
  gradients: (inputs, call) => {
    const [x, latents, auxkLatents, auxkGradient] = [
      'x',
      'latents',
      'auxk_latents',
      'auxk_gradient',
    ].map((name) => inputs(name) as tf.Tensor2D);
    const params = paramsOf(inputs);
    const prefixes = numbers(call, 'prefixes');
    const errors = levelErrors(x, params.b_dec, decodePrefixes(latents, params, prefixes));
    const aux = {
      loss: tf.scalar(0),
      chosen: tf.step(auxkLatents),
      latents: auxkLatents,
      gradient: auxkGradient,
    };
    // Whatever is selected is positive before ReLU, so the latents themselves stand for pre-activations.
    const pre: tf.Tensor2D = tf.add(latents, auxkLatents);
    const coefficients = levelCoefficients(numbers(call, 'level_weights'), x.shape[1], dialect);
    const result = gradients(
      { x, pre, latents, errors, auxk: aux },
      params,
      prefixes,
      coefficients,
      dialect,
    );
    return named(result, 'grad.');
  },
  'project-gradient': (inputs, call) => ({
    gradient: projectGradient(
      inputs('gradient') as tf.Tensor2D,
      inputs('W_dec') as tf.Tensor2D,
      number(call, 'epsilon'),
    ),
  }),
  'normalise-rows': (inputs, call) => ({
    W_dec: normaliseRows(inputs('W_dec') as tf.Tensor2D, number(call, 'epsilon')),
  }),
  'clip-gradients': (inputs, call) => {
    const params = paramsOf(inputs, 'grad.');
    const clipped = clipGradients(params, number(call, 'max_norm'));
    return { ...named(clipped, 'grad.'), norm: gradientNorm(params) };
  },
  'learning-rate': (_inputs, call) => ({
    rate: learningRate(
      number(call, 'step'),
      {
        learningRate: number(call, 'learning_rate'),
        steps: number(call, 'steps'),
        warmupSteps: number(call, 'warmup_steps'),
        decayStart: call.config['decay_start'] as number | null,
        cosineTo: null,
      },
      dialect,
    ),
  }),
  'adam-update': (inputs, call) => {
    const flat = (name: string): SaeTensors => ({
      ...unused(1, 1),
      b_enc: tf.reshape(inputs(name), [-1]),
    });
    const [beta1, beta2, epsilon] = ['beta1', 'beta2', 'epsilon'].map((name) => number(call, name));
    const result = adamUpdate(
      flat('parameter'),
      flat('gradient'),
      flat('m'),
      flat('v'),
      number(call, 'step'),
      number(call, 'rate'),
      { ...dialect, adam: { beta1, beta2, epsilon } },
    );
    const { shape } = inputs('parameter');
    return {
      parameter: tf.reshape(result.params.b_enc, shape),
      m: tf.reshape(result.m.b_enc, shape),
      v: tf.reshape(result.v.b_enc, shape),
    };
  },
  'update-threshold': (inputs, call) => ({
    threshold: updateThreshold(
      inputs('threshold') as tf.Scalar,
      smallestSelected(inputs('latents') as tf.Tensor2D),
      { ...dialect, threshold: { ...dialect.threshold, decay: number(call, 'decay') } },
    ),
  }),
  'since-fired': (inputs, call) => {
    const counts = tf.cast(inputs('since_fired'), 'int32') as tf.Tensor1D;
    const sinceFired = updateSinceFired(counts, inputs('latents') as tf.Tensor2D, dialect);
    return {
      since_fired: sinceFired,
      dead: deadMask(sinceFired, number(call, 'dead_after'), dialect),
    };
  },
  'geometric-median': (inputs) => ({ median: geometricMedian(inputs('x') as tf.Tensor2D) }),
  'train-step': (inputs, call) => {
    const state = {
      step: number(call, 'step'),
      params: paramsOf(inputs),
      m: paramsOf(inputs, 'm.'),
      v: paramsOf(inputs, 'v.'),
      threshold: inputs('threshold') as tf.Scalar,
      sinceFired: tf.cast(inputs('since_fired'), 'int32') as tf.Tensor1D,
      sinceFiredAtMost: Math.max(...call.inputs.since_fired.data),
    };
    return stepTensors(state, inputs('x') as tf.Tensor2D, configOf(call));
  },
  'fold-input-scale': (inputs, call) => {
    const { params, threshold } = foldInputScale(
      paramsOf(inputs),
      inputs('threshold') as tf.Scalar,
      number(call, 'scale'),
      dialectOf(call),
    );
    return { ...named(params, ''), threshold };
  },
  'fold-decoder-norm': (inputs) => {
    const { params, threshold } = foldDecoderNorm(paramsOf(inputs), vector(inputs('threshold')));
    return { ...named(params, ''), threshold };
  },
};

/**
 * What the step returns, and the intermediates it does not keep: the same operators give the same values again from what
 * it returned.
 */
function stepTensors(
  state: TrainStateTensors,
  x: tf.Tensor2D,
  config: TrainConfig,
): Readonly<Record<string, tf.Tensor>> {
  const result = trainStep(state, x, config);
  const { gradients: grads, clippedGradients, reconstructions } = result;
  const params = state.step === 0 ? { ...state.params, b_dec: geometricMedian(x) } : state.params;
  const rows = result.latents.shape;
  const projected = projectGradient(grads.W_dec, params.W_dec, dialect.decoderNorm.projectEpsilon);
  const { step, m, v } = state;
  const updated = adamUpdate(params, clippedGradients, m, v, step, result.learningRate, dialect);
  return {
    acts: encode(x, params, dialect),
    latents: result.latents,
    reconstructions: tf.stack([...reconstructions]),
    level_losses: tf.slice(result.levelLosses, [1], [reconstructions.length]),
    reconstruction_loss: result.reconstructionLoss,
    residual: tf.sub(x, reconstructions[reconstructions.length - 1]),
    auxk_latents: result.auxk?.latents ?? tf.zeros(rows),
    auxk_gradient: result.auxk?.gradient ?? tf.zeros(x.shape),
    auxk_loss: result.auxk?.loss ?? tf.scalar(0),
    loss: result.loss,
    dead: result.dead,
    since_fired: result.state.sinceFired,
    threshold: result.state.threshold,
    ...named(grads, 'grad.'),
    'projected.W_dec': projected,
    ...named(clippedGradients, 'clipped.'),
    norm: result.gradientNorm,
    'updated.W_dec': updated.params.W_dec,
    ...named(result.state.params, ''),
    ...named(result.state.m, 'm.'),
    ...named(result.state.v, 'v.'),
  };
}

/**
 * The engine as kernels under test. Chunks are as small as they can be and threads are always woken, so that cases of a few
 * rows take the same ways as full batches.
 * @module
 */
import { availableParallelism } from 'node:os';
import { float32 } from '../../conformance/error-model.ts';
import type { Call, Kernels, Operator, Tensor, Tensors } from '../../conformance/kernel.ts';
import { dialectOf } from '../../conformance/kernels/input-norm.ts';
import { fromParams, toParams } from '../../conformance/tensors.ts';
import { learningRate } from '../../reference/adam.ts';
import { auxkCount } from '../../reference/auxk.ts';
import { deadMask } from '../../reference/dead-latents.ts';
import { foldDecoderNorm } from '../../reference/decoder-norm.ts';
import { dictionaryLearning } from '../../reference/dialects.ts';
import { geometricMedian } from '../../reference/geometric-median.ts';
import { foldInputScale } from '../../reference/input-norm.ts';
import { levelCoefficients, reconstructionLoss } from '../../reference/loss.ts';
import { matrix } from '../../reference/matrix.ts';
import { selectionCount } from '../../reference/select.ts';
import { updateThreshold } from '../../reference/threshold.ts';
import { type Auxiliary, auxiliary } from './auxk.ts';
import { centre, zeros } from './batch.ts';
import { fromRows } from './blocks.ts';
import {
  dense,
  floats,
  known,
  named,
  number,
  numbers,
  padded,
  paramsOnly,
  requireFinite,
  scalar,
  tensor,
  valuesIn,
  written,
} from './call-tensors.ts';
import { type Levels, decode, losses, openLevels, suffix } from './decode.ts';
import { noHint, selectAbove, selectBatch, selectRows, smallest } from './encode.ts';
import { type Engine, type EngineOptions, describeEngine, openEngine } from './engine.ts';
import { clipFactor, gradientsOf } from './gradients.ts';
import { adamOn, auxTensors, encoded, stepTensors } from './step-operator.ts';
import { age } from './train-step.ts';

const dialect = dictionaryLearning;

/** @param threads - two at least, so that what threads share is shared. */
export function threadsKernels({
  threads = Math.max(2, availableParallelism()),
  allowFused = true,
  products = null,
}: Partial<EngineOptions> = {}): {
  kernels: Kernels;
  device: string;
  close: () => void;
} {
  const small = { chunkRows: 3, chunkPanels: 1, little: 0 };
  const engine = openEngine({ threads, allowFused, products, ...small });
  return {
    kernels: {
      name: products === null ? 'threads' : 'threads+tensorflow',
      dtype: 'float32',
      profile: { ...float32, flushesSubnormals: products?.flushesSubnormals ?? false },
      operators: Object.fromEntries(
        Object.entries(operators).map(([name, run]) => [name, onEngine(engine, run)]),
      ),
    },
    device: describeEngine(engine, threads),
    close: () => void engine.close(),
  };
}

type EngineOperator = (engine: Engine, call: Call) => Tensors;

function onEngine(engine: Engine, run: EngineOperator): Operator {
  return (call) => {
    const mark = engine.mark();
    try {
      return run(engine, call);
    } finally {
      engine.release(mark);
    }
  };
}

export const operators: Readonly<Record<string, EngineOperator>> = {
  encode: (engine, { inputs: { x, W_enc, b_enc, b_dec } }) => {
    const [d_in, d_sae] = W_enc.shape;
    const state = paramsOnly(engine, d_in, d_sae, {
      W_enc: W_enc.data,
      b_enc: b_enc.data,
      b_dec: b_dec.data,
    });
    const shape = [...x.shape.slice(0, -1), d_sae];
    return { acts: tensor(shape, encoded(engine, state, floats(x))) };
  },
  'batch-topk': (engine, call) => {
    const { acts } = call.inputs;
    const input = known(engine, acts);
    const K = selectionCount(number(call, 'k'), input.rows, input.latents);
    return { latents: dense(engine, selectBatch(engine, input, K, noHint()), acts.shape) };
  },
  topk: (engine, call) => {
    const { acts } = call.inputs;
    return {
      latents: dense(
        engine,
        selectRows(engine, known(engine, acts), number(call, 'k')),
        acts.shape,
      ),
    };
  },
  'above-threshold': (engine, { inputs: { acts, threshold } }) => {
    if (Number.isNaN(threshold.data[0])) throw new RangeError('threshold: expected a number');
    const latents = selectAbove(engine, known(engine, acts), threshold.data[0]);
    return { latents: dense(engine, latents, acts.shape) };
  },
  'update-threshold': (engine, call) => {
    const { latents, threshold } = call.inputs;
    const chosen = selectAbove(engine, known(engine, latents), 0);
    const least = chosen.count === 0 ? null : smallest(engine, chosen);
    const rule = { ...dialect.threshold, decay: number(call, 'decay') };
    return {
      threshold: scalar(updateThreshold(threshold.data[0], least, { ...dialect, threshold: rule })),
    };
  },
  decode: (engine, call) => {
    const { latents, W_dec, b_dec } = call.inputs;
    const [d_sae, d_in] = W_dec.shape;
    const state = paramsOnly(engine, d_in, d_sae, { W_dec: W_dec.data, b_dec: b_dec.data });
    const rows = selectAbove(engine, known(engine, latents), 0);
    const prefixes = numbers(call, 'prefixes');
    const shape = [prefixes.length, ...latents.shape.slice(0, -1), d_in];
    const none = new Float64Array(prefixes.length + 1);
    const levels = openLevels(engine, 0, rows, state, prefixes, none);
    decode(engine, levels, rows.count);
    return { reconstructions: tensor(shape, levelRows(engine, levels, d_in)) };
  },
  loss: (engine, call) => {
    const { x, reconstructions } = call.inputs;
    const weights = numbers(call, 'level_weights');
    const d_in = x.shape[x.shape.length - 1];
    requireFinite('x', x);
    requireFinite('reconstructions', reconstructions);
    const state = paramsOnly(engine, d_in, 1, {});
    const { stride } = state.sizes;
    const rows = padded(engine, x, stride);
    const none = { rows: x.data.length / d_in, count: 0, start: 0, latent: 0, value: 0, score: 0 };
    const coefficients = levelCoefficients(weights, d_in, dialect);
    const levels = openLevels(engine, rows, none, state, weights, coefficients);
    const { data } = reconstructions;
    const at = engine.f32(levels.at, weights.length * none.rows * stride).fill(0);
    data.forEach((value, i) => (at[Math.floor(i / d_in) * stride + (i % d_in)] = value));
    const level = losses(engine, levels);
    return {
      level_losses: tensor([weights.length], level.slice(1).map(Math.fround)),
      loss: scalar(reconstructionLoss(level, coefficients)),
    };
  },
  'since-fired': (engine, call) => {
    const { latents, since_fired } = call.inputs;
    const chosen = selectAbove(engine, known(engine, latents), 0);
    const counts = Int32Array.from(since_fired.data);
    age(counts, engine.i32(chosen.latent, chosen.count), chosen.rows, { dialect });
    const dead = deadMask(Float64Array.from(counts), number(call, 'dead_after'), dialect);
    return {
      since_fired: tensor(since_fired.shape, counts),
      dead: tensor(since_fired.shape, dead),
    };
  },
  auxk: (engine, call) => {
    const { residual, acts, W_dec, dead } = call.inputs;
    const [rows, d_in] = residual.shape;
    const flags = Uint8Array.from(dead.data);
    const nothing = {
      loss: scalar(0),
      latents: tensor(acts.shape, new Float64Array(acts.data.length)),
    };
    const input = known(engine, acts);
    if (!flags.includes(1)) {
      return { ...nothing, gradient: tensor(residual.shape, new Float64Array(rows * d_in)) };
    }
    requireFinite('residual', residual);
    const { sizes, params } = paramsOnly(engine, d_in, flags.length, { W_dec: W_dec.data });
    const error = padded(engine, residual, sizes.stride, -1);
    const result = auxiliary(
      engine,
      { ...input, d_in, stride: sizes.stride },
      { W_dec: params.W_dec, d_sae: flags.length, error },
      flags,
      auxkCount(flags, d_in, dialect),
      number(call, 'alpha'),
      dialect,
    );
    return auxTensors(engine, result, acts.shape, sizes);
  },
  gradients: (engine, call) => {
    const { x, latents, auxk_latents, auxk_gradient } = call.inputs;
    const [d_in, d_sae] = call.inputs.W_enc.shape;
    const state = paramsOnly(engine, d_in, d_sae, valuesIn(call));
    const { sizes, params } = state;
    const rows = x.shape[0];
    const batch = centre(engine, floats(x), rows, sizes, params, true);
    const chosen = selectAbove(engine, known(engine, latents), 0);
    const prefixes = numbers(call, 'prefixes');
    const coefficients = levelCoefficients(numbers(call, 'level_weights'), d_in, dialect);
    const decoded = openLevels(engine, batch.x, chosen, state, prefixes, coefficients);
    decode(engine, decoded, chosen.count);
    losses(engine, decoded);
    requireFinite('auxk_gradient', auxk_gradient);
    const miss = padded(engine, auxk_gradient, sizes.stride);
    const auxk: Auxiliary = {
      loss: 0,
      latents: selectAbove(engine, known(engine, auxk_latents), 0),
      miss,
      scale: 1,
      dense: null,
    };
    suffix(engine, decoded, null, 'attached');
    let grads: Tensors = {};
    const read = (raw: number): void => {
      const derived = { ...state.gradients, W_dec: raw };
      grads = named(sizes, written(engine, state, derived), 'grad.');
    };
    gradientsOf(engine, state, batch, chosen, decoded, [auxk], { dialect }, { gradients: read });
    return grads;
  },
  'clip-gradients': (engine, call) => {
    const grads = Object.entries(call.inputs);
    let square = 0;
    for (const [name, gradient] of grads) {
      requireFinite(name, gradient);
      const length = Math.ceil(gradient.data.length / 4) * 4;
      const at = zeros(engine, length);
      engine.f32(at, gradient.data.length).set(gradient.data);
      square += engine.kernels.sumOfSquares(at, length);
    }
    const norm = Math.sqrt(square);
    const clip = Math.fround(clipFactor(norm, number(call, 'max_norm')));
    return {
      ...Object.fromEntries(
        grads.map(([name, { shape, data }]) => [
          name,
          tensor(
            shape,
            data.map((value) => Math.fround(value * clip)),
          ),
        ]),
      ),
      norm: scalar(norm),
    };
  },
  'project-gradient': (engine, call) => {
    const { gradient, W_dec } = call.inputs;
    return {
      gradient: eachRow(engine, gradient, W_dec, (g, w, n) =>
        engine.kernels.projectRow(g, w, number(call, 'epsilon'), n),
      ),
    };
  },
  'normalise-rows': (engine, call) => {
    const { W_dec } = call.inputs;
    return {
      W_dec: eachRow(engine, W_dec, W_dec, (g, _w, n) =>
        engine.kernels.normaliseRow(g, number(call, 'epsilon'), n),
      ),
    };
  },
  'learning-rate': (_engine, call) => ({
    rate: scalar(
      learningRate(
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
    ),
  }),
  'adam-update': (engine, call) => {
    const { parameter, gradient, m, v } = call.inputs;
    const [beta1, beta2, epsilon] = ['beta1', 'beta2', 'epsilon'].map((name) => number(call, name));
    const own = { ...dialect, adam: { beta1, beta2, epsilon } };
    for (const [name, values] of Object.entries({ parameter, gradient, m, v }))
      requireFinite(name, values);
    const result = adamOn(
      engine,
      parameter.data,
      gradient.data,
      m.data,
      v.data,
      number(call, 'step'),
      number(call, 'rate'),
      own,
    );
    return {
      parameter: tensor(parameter.shape, result.parameter),
      m: tensor(parameter.shape, result.m),
      v: tensor(parameter.shape, result.v),
    };
  },
  'geometric-median': (_engine, { inputs: { x } }) => {
    const median = geometricMedian(matrix(x.shape[0], x.shape[1], x.data.slice()));
    return { median: tensor([x.shape[1]], median.map(Math.fround)) };
  },
  'train-step': stepTensors,
  'fold-input-scale': (_engine, call) => {
    const { threshold } = call.inputs;
    const folded = foldInputScale(
      toParams(call.inputs),
      threshold.data[0],
      number(call, 'scale'),
      dialectOf(call),
    );
    return { ...rounded(fromParams(folded.params)), threshold: scalar(folded.threshold) };
  },
  'fold-decoder-norm': (_engine, { inputs }) => {
    const params = { ...toParams(inputs), threshold: inputs.threshold.data.slice() };
    const { threshold, ...folded } = foldDecoderNorm(params);
    return rounded({
      ...fromParams(folded),
      threshold: tensor(inputs.threshold.shape, threshold!),
    });
  },
};

/** What the host computed, as float32. */
const rounded = (tensors: Tensors): Tensors =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, { shape, data }]) => [
      name,
      tensor(shape, data.map(Math.fround)),
    ]),
  );

const levelRows = (
  engine: Engine,
  { at, levels, rows, stride }: Levels,
  d_in: number,
): Float32Array => fromRows(engine, at, levels * rows, d_in, stride);

/** What a kernel makes of each row, beside the row of another. */
function eachRow(
  engine: Engine,
  rows: Tensor,
  beside: Tensor,
  run: (row: number, beside: number, n: number) => void,
): Tensor {
  requireFinite('rows', rows);
  requireFinite('W_dec', beside);
  const [count, length] = rows.shape;
  const stride = Math.ceil(length / 4) * 4;
  const [a, b] = [rows, beside].map((each) => padded(engine, each, stride));
  for (let row = 0; row < count; row++) run(a + row * stride * 4, b + row * stride * 4, stride);
  return tensor(rows.shape, fromRows(engine, a, count, length, stride));
}

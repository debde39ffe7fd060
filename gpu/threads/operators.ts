/**
 * The engine as kernels under test. Chunks are as small as they can be and threads are always woken, so that cases of a few
 * rows take the same ways as full batches.
 * @module
 */
import { availableParallelism } from 'node:os';
import { float32 } from '../../conformance/error-model.ts';
import type { Call, Kernels, Operator, Tensor, Tensors } from '../../conformance/kernel.ts';
import { configOf } from '../../conformance/kernels/train-step.ts';
import { learningRate } from '../../reference/adam.ts';
import { auxkCount } from '../../reference/auxk.ts';
import { deadMask } from '../../reference/dead-latents.ts';
import { dictionaryLearning } from '../../reference/dialects.ts';
import { geometricMedian } from '../../reference/geometric-median.ts';
import { levelCoefficients, reconstructionLoss } from '../../reference/loss.ts';
import { matrix } from '../../reference/matrix.ts';
import { selectionCount } from '../../reference/select.ts';
import { updateThreshold } from '../../reference/threshold.ts';
import { auxiliary, type Auxiliary } from './auxk.ts';
import { download, fromRows, type Blocks, type Sizes, type Values } from './blocks.ts';
import {
  encodeDense,
  noHint,
  selectAbove,
  selectBatch,
  selectRows,
  smallest,
  type Input,
  type Rows,
} from './encode.ts';
import { describeEngine, openEngine, type Engine } from './engine.ts';
import {
  adamTask,
  age,
  centre,
  clipFactor,
  decode,
  gradientsOf,
  losses,
  openLevels,
  suffix,
  trainStep,
  zeros,
  type Levels,
  type State,
} from './train-step.ts';
import { stateFrom } from './trainer.ts';

const dialect = dictionaryLearning;

/** @param threads - two at least, so that what threads share is shared. */
export function threadsKernels(
  threads: number = Math.max(2, availableParallelism()),
  allowFused = true,
): {
  kernels: Kernels;
  device: string;
  close: () => void;
} {
  const engine = openEngine({ threads, allowFused, chunkRows: 3, chunkPanels: 1, little: 0 });
  return {
    kernels: {
      name: 'threads',
      dtype: 'float32',
      profile: float32,
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

const number = (call: Call, name: string): number => call.config[name] as number;
const numbers = (call: Call, name: string): readonly number[] =>
  call.config[name] as readonly number[];
const tensor = (shape: readonly number[], data: ArrayLike<number>): Tensor => ({
  shape,
  data: Float64Array.from(data),
});
const scalar = (value: number): Tensor => tensor([], [Math.fround(value)]);
const floats = ({ data }: Tensor): Float32Array => Float32Array.from(data);

function put(engine: Engine, values: ArrayLike<number>): number {
  const at = engine.alloc(values.length * 4);
  engine.f32(at, values.length).set(values);
  return at;
}

/** Acts that are known, all leading dimensions as rows. @throws {@link RangeError} on a value that is not finite. */
function known(engine: Engine, { shape, data }: Tensor): Input {
  const latents = shape[shape.length - 1];
  const at = data.findIndex((value) => !Number.isFinite(value));
  if (at >= 0) throw new RangeError(`acts: expected finite values, got ${data[at]} at ${at}`);
  return {
    centred: 0,
    rows: data.length / latents,
    d_in: 1,
    stride: 4,
    W_enc: 0,
    b_enc: 0,
    latents,
    norms: 0,
    known: put(engine, data),
  };
}

/** What was selected in its place, 0 elsewhere. */
function dense(engine: Engine, rows: Rows, shape: readonly number[]): Tensor {
  const d_sae = shape[shape.length - 1];
  const out = new Float64Array(rows.rows * d_sae);
  const start = engine.i32(rows.start, rows.rows + 1);
  const latent = engine.i32(rows.latent, rows.count);
  const value = engine.f32(rows.value, rows.count);
  for (let row = 0; row < rows.rows; row++) {
    for (let e = start[row]; e < start[row + 1]; e++) out[row * d_sae + latent[e]] = value[e];
  }
  return { shape, data: out };
}

const valuesOf = ({ inputs }: Call, prefix = ''): Values => ({
  W_enc: inputs[`${prefix}W_enc`].data,
  b_enc: inputs[`${prefix}b_enc`].data,
  W_dec: inputs[`${prefix}W_dec`].data,
  b_dec: inputs[`${prefix}b_dec`].data,
});

/** A state of which only the parameters matter. */
function paramsOnly(engine: Engine, d_in: number, d_sae: number, params: Partial<Values>): State {
  const none = {
    W_enc: new Float64Array(d_in * d_sae),
    b_enc: new Float64Array(d_sae),
    W_dec: new Float64Array(d_sae * d_in),
    b_dec: new Float64Array(d_in),
  };
  return stateFrom(engine, d_in, d_sae, {
    step: 0,
    params: { ...none, ...params },
    m: none,
    v: none,
    threshold: -1,
    sinceFired: new Float64Array(d_sae),
  });
}

function named(
  { d_in, d_sae }: Sizes,
  blocks: Readonly<Record<keyof Blocks, ArrayLike<number>>>,
  prefix = '',
): Tensors {
  return {
    [`${prefix}W_enc`]: tensor([d_in, d_sae], blocks.W_enc),
    [`${prefix}b_enc`]: tensor([d_sae], blocks.b_enc),
    [`${prefix}W_dec`]: tensor([d_sae, d_in], blocks.W_dec),
    [`${prefix}b_dec`]: tensor([d_in], blocks.b_dec),
  };
}

const operators: Readonly<Record<string, EngineOperator>> = {
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
      { W_dec: params.W_dec, error },
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
    const state = paramsOnly(engine, d_in, d_sae, valuesOf(call));
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
    };
    suffix(engine, decoded, null);
    let grads: Tensors = {};
    const read = (raw: number): void => {
      const derived = { ...state.gradients, W_dec: raw };
      grads = named(sizes, written(engine, state, derived), 'grad.');
    };
    gradientsOf(engine, state, batch, chosen, decoded, auxk, { dialect }, { gradients: read });
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
      square += engine.kernels.dot(at, at, length);
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
};

function requireFinite(name: string, { data }: Tensor): void {
  const at = data.findIndex((value) => !Number.isFinite(value));
  if (at >= 0) throw new RangeError(`${name}: expected finite values, got ${data[at]} at ${at}`);
}

/** Rows padded to `stride`. */
function padded(engine: Engine, { shape, data }: Tensor, stride: number, factor = 1): number {
  const length = shape[shape.length - 1];
  const count = (data.length / length) * stride;
  const at = zeros(engine, count);
  const to = engine.f32(at, count);
  data.forEach((value, i) => (to[Math.floor(i / length) * stride + (i % length)] = factor * value));
  return at;
}

const levelRows = (
  engine: Engine,
  { at, levels, rows, stride }: Levels,
  d_in: number,
): Float32Array => fromRows(engine, at, levels * rows, d_in, stride);

function encoded(engine: Engine, { sizes, params }: State, x: Float32Array): Float32Array {
  const rows = x.length / sizes.d_in;
  const { centred } = centre(engine, x, rows, sizes, params, true);
  const { W_enc, b_enc } = params;
  const { d_in, stride, d_sae: latents } = sizes;
  const input = { centred, rows, d_in, stride, W_enc, b_enc, latents, norms: 0, known: 0 };
  return engine.f32(encodeDense(engine, input), rows * latents);
}

function auxTensors(
  engine: Engine,
  { loss, latents, miss, scale }: Auxiliary,
  shape: readonly number[],
  { d_in, stride }: Sizes,
): Tensors {
  const { rows } = latents;
  return {
    loss: scalar(loss),
    latents: dense(engine, latents, shape),
    gradient: tensor(
      [rows, d_in],
      fromRows(engine, miss, rows, d_in, stride).map((value) => value * Math.fround(scale)),
    ),
  };
}

/** Gradients; those of panels that were not touched are 0. */
function written(engine: Engine, state: State, from: Blocks): Record<keyof Blocks, Float32Array> {
  const { sizes } = state;
  const values = download(engine, sizes, from);
  const touched = engine.u8(state.touched, sizes.panels);
  for (let j = 0; j < sizes.d_sae; j++) {
    if (touched[Math.floor(j / 12)] !== 0) continue;
    for (let i = 0; i < sizes.d_in; i++) values.W_enc[i * sizes.d_sae + j] = 0;
    values.b_enc[j] = 0;
    values.W_dec.fill(0, j * sizes.d_in, (j + 1) * sizes.d_in);
  }
  return values;
}

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

interface Updated {
  readonly parameter: Float32Array;
  readonly m: Float32Array;
  readonly v: Float32Array;
}

function adamOn(
  engine: Engine,
  parameter: ArrayLike<number>,
  gradient: ArrayLike<number>,
  m: ArrayLike<number>,
  v: ArrayLike<number>,
  step: number,
  rate: number,
  own: typeof dialect,
): Updated {
  const { length } = parameter;
  const padded = Math.ceil(length / 4) * 4;
  const [p, first, second, g] = [parameter, m, v, gradient].map((values) => {
    const at = zeros(engine, padded);
    engine.f32(at, length).set(values);
    return at;
  });
  const task = adamTask(engine, paramsOnly(engine, 1, 1, {}), 1, step, rate, own);
  engine.kernels.adam(task, p, first, second, g, padded);
  const read = (at: number): Float32Array => engine.f32(at, length).slice();
  return { parameter: read(p), m: read(first), v: read(second) };
}

/** One step with all that it goes through; what it does not keep, the same kernels give again from what it does. */
function stepTensors(engine: Engine, call: Call): Tensors {
  const { inputs } = call;
  const [d_in, d_sae] = inputs.W_enc.shape;
  const config = configOf(call);
  const { prefixes } = config;
  const state = stateFrom(engine, d_in, d_sae, {
    step: number(call, 'step'),
    params: valuesOf(call),
    m: valuesOf(call, 'm.'),
    v: valuesOf(call, 'v.'),
    threshold: inputs.threshold.data[0],
    sinceFired: inputs.since_fired.data,
  });
  const { sizes } = state;
  const x = floats(inputs.x);
  const rows = inputs.x.shape[0];
  const none = tensor([rows, d_sae], new Float64Array(rows * d_sae));
  let shown: Tensors = {};
  const details = trainStep(engine, state, x, config, {
    decoded: (latents, at) => {
      shown = {
        acts: tensor([rows, d_sae], encoded(engine, state, x)),
        latents: dense(engine, latents, [rows, d_sae]),
        reconstructions: tensor(
          [prefixes.length, rows, d_in],
          fromRows(engine, at, prefixes.length * rows, d_in, sizes.stride),
        ),
      };
    },
    auxk: (auxk, errors) => {
      const last = errors + (prefixes.length - 1) * rows * sizes.stride * 4;
      const residual = fromRows(engine, last, rows, d_in, sizes.stride).map((value) => -value);
      const aux =
        auxk === null
          ? {
              loss: scalar(0),
              latents: none,
              gradient: tensor([rows, d_in], new Float64Array(rows * d_in)),
            }
          : auxTensors(engine, auxk, [rows, d_sae], sizes);
      shown = {
        ...shown,
        residual: tensor([rows, d_in], residual),
        auxk_latents: aux.latents,
        auxk_gradient: aux.gradient,
        auxk_loss: aux.loss,
      };
    },
    gradients: (raw, clip, rate) => {
      const grads = written(engine, state, { ...state.gradients, W_dec: raw });
      const projected = written(engine, state, state.gradients);
      const clipped = Object.fromEntries(
        Object.entries(projected).map(([name, values]) => [
          name,
          values.map((value) => value * Math.fround(clip)),
        ]),
      ) as typeof projected;
      const [w, m, v] = [state.params, state.m, state.v].map(
        (blocks) => download(engine, sizes, blocks).W_dec,
      );
      const updated = adamOn(engine, w, clipped.W_dec, m, v, state.step, rate, config.dialect);
      shown = {
        ...shown,
        ...named(sizes, grads, 'grad.'),
        'projected.W_dec': tensor([d_sae, d_in], projected.W_dec),
        ...named(sizes, clipped, 'clipped.'),
        'updated.W_dec': tensor([d_sae, d_in], updated.parameter),
      };
    },
  });
  return {
    ...shown,
    level_losses: tensor([prefixes.length], details.levelLosses.slice(1).map(Math.fround)),
    reconstruction_loss: scalar(details.reconstructionLoss),
    loss: scalar(details.loss),
    dead: tensor([d_sae], details.deadLatents),
    since_fired: tensor([d_sae], state.sinceFired),
    threshold: scalar(state.threshold),
    norm: scalar(details.gradientNorm),
    ...named(sizes, download(engine, sizes, state.params)),
    ...named(sizes, download(engine, sizes, state.m), 'm.'),
    ...named(sizes, download(engine, sizes, state.v), 'v.'),
  };
}

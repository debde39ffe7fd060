/**
 * train-step under test: one step with everything it goes through.
 * @module
 */
import type { Call, Tensors } from '../../conformance/kernel.ts';
import { configOf } from '../../conformance/kernels/train-step.ts';
import type { Dialect } from '../../reference/dialects.ts';
import { adamTask } from './adam.ts';
import type { Auxiliary } from './auxk.ts';
import { centre, zeros } from './batch.ts';
import { type Sizes, download, fromRows } from './blocks.ts';
import {
  dense,
  floats,
  number,
  named,
  paramsOnly,
  scalar,
  tensor,
  valuesIn,
  written,
} from './call-tensors.ts';
import { preActivations, productsFor } from './dense.ts';
import { encodeDense } from './encode.ts';
import type { Engine } from './engine.ts';
import { type State, stateFrom } from './state.ts';
import { trainStep } from './train-step.ts';

export function encoded(engine: Engine, { sizes, params }: State, x: Float32Array): Float32Array {
  const rows = x.length / sizes.d_in;
  const { centred } = centre(engine, x, rows, sizes, params, true);
  const { W_enc, b_enc } = params;
  const { d_in, stride, d_sae: latents } = sizes;
  const input = { centred, rows, d_in, stride, W_enc, b_enc, latents, norms: 0, known: 0 };
  const products = productsFor(engine, rows, d_in, latents);
  if (products === null) return engine.f32(encodeDense(engine, input), rows * latents);
  const pre = engine.f32(preActivations(engine, products, input), rows * latents);
  return pre.map((value) => (value < 0 ? 0 : value));
}

export function auxTensors(
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

interface Updated {
  readonly parameter: Float32Array;
  readonly m: Float32Array;
  readonly v: Float32Array;
}

export function adamOn(
  engine: Engine,
  parameter: ArrayLike<number>,
  gradient: ArrayLike<number>,
  m: ArrayLike<number>,
  v: ArrayLike<number>,
  step: number,
  rate: number,
  own: Dialect,
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
export function stepTensors(engine: Engine, call: Call): Tensors {
  const { inputs } = call;
  const [d_in, d_sae] = inputs.W_enc.shape;
  const config = configOf(call);
  const { prefixes } = config;
  const state = stateFrom(engine, d_in, d_sae, {
    step: number(call, 'step'),
    params: valuesIn(call),
    m: valuesIn(call, 'm.'),
    v: valuesIn(call, 'v.'),
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
    auxk: ([auxk = null], errors) => {
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

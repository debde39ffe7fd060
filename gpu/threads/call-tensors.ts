/**
 * Between a call's tensors and the engine's memory.
 * @module
 */
import type { Call, Tensor, Tensors } from '../../conformance/kernel.ts';
import { zeros } from './batch.ts';
import { type Blocks, type Sizes, type Values, download } from './blocks.ts';
import type { Input, Rows } from './encode.ts';
import type { Engine } from './engine.ts';
import { type State, stateFrom } from './state.ts';

export const number = (call: Call, name: string): number => call.config[name] as number;
export const numbers = (call: Call, name: string): readonly number[] =>
  call.config[name] as readonly number[];
export const tensor = (shape: readonly number[], data: ArrayLike<number>): Tensor => ({
  shape,
  data: Float64Array.from(data),
});
export const scalar = (value: number): Tensor => tensor([], [Math.fround(value)]);
export const floats = ({ data }: Tensor): Float32Array => Float32Array.from(data);

function put(engine: Engine, values: ArrayLike<number>): number {
  const at = engine.alloc(values.length * 4);
  engine.f32(at, values.length).set(values);
  return at;
}

/** Acts that are known, all leading dimensions as rows. @throws {@link RangeError} on a value that is not finite. */
export function known(engine: Engine, { shape, data }: Tensor): Input {
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
export function dense(engine: Engine, rows: Rows, shape: readonly number[]): Tensor {
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

export const valuesIn = ({ inputs }: Call, prefix = ''): Values => ({
  W_enc: inputs[`${prefix}W_enc`].data,
  b_enc: inputs[`${prefix}b_enc`].data,
  W_dec: inputs[`${prefix}W_dec`].data,
  b_dec: inputs[`${prefix}b_dec`].data,
});

/** A state of which only the parameters matter. */
export function paramsOnly(
  engine: Engine,
  d_in: number,
  d_sae: number,
  params: Partial<Values>,
): State {
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

export function named(
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

export function requireFinite(name: string, { data }: Tensor): void {
  const at = data.findIndex((value) => !Number.isFinite(value));
  if (at >= 0) throw new RangeError(`${name}: expected finite values, got ${data[at]} at ${at}`);
}

/** Rows padded to `stride`. */
export function padded(
  engine: Engine,
  { shape, data }: Tensor,
  stride: number,
  factor = 1,
): number {
  const length = shape[shape.length - 1];
  const count = (data.length / length) * stride;
  const at = zeros(engine, count);
  const to = engine.f32(at, count);
  data.forEach((value, i) => (to[Math.floor(i / length) * stride + (i % length)] = factor * value));
  return at;
}

/** Gradients; those of panels that were not touched are 0. */
export function written(
  engine: Engine,
  state: State,
  from: Blocks,
): Record<keyof Blocks, Float32Array> {
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

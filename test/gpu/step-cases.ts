/**
 * Runs whose steps are compared with the reference's, and how: shared by the port and the engine of own kernels.
 * @module
 */
import { normaliseRows } from '../../reference/decoder-norm.ts';
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import type { Matrix } from '../../reference/matrix.ts';
import { paramNames, type SaeParams } from '../../reference/params.ts';
import { trainConfig } from '../../reference/train-config.ts';
import type { TrainConfig } from '../../reference/train-step.ts';
import { requireWithin } from './bounds.ts';

/** Decides almost everything the other way: what bm, sl and others choose. */
export const otherwise: Dialect = {
  ...dictionaryLearning,
  name: 'otherwise',
  select: { score: 'acts-times-decoder-norm' },
  threshold: { start: 0, first: 'average', decay: 0.99, whenEmpty: 'keep' },
  loss: {
    emptyPrefix: true,
    overDimensions: 'mean',
    overLevels: 'sum',
    defaultWeight: 'one',
    innerLevels: 'attached',
    tilt: 0,
  },
  auxk: {
    values: 'pre-activations',
    levels: 'last',
    residual: 'attached',
    normaliser: 'none',
    overDimensions: 'mean',
    k: 4,
    scale: 'dead-fraction',
    whenNothingDecodes: 'is-zero',
  },
  deadLatents: { unit: 'steps', test: 'above', mask: 'previous-steps' },
  decoderNorm: {
    ...dictionaryLearning.decoderNorm,
    project: 'after-clip',
    normalise: 'before-update',
  },
  initialise: { ...dictionaryLearning.initialise, decoderNorm: 0.1, b_dec: 'zero' },
};

const base = { d_in: 16, d_sae: 48, steps: 200, prefixes: [8, 20, 48], warmupSteps: 4 };
export const runs: Readonly<Record<string, TrainConfig>> = {
  'BatchTopK, many latents dead': trainConfig({
    ...base,
    k: 0.7,
    deadAfter: 150,
    thresholdStartStep: 3,
  }),
  'BatchTopK, none dead': trainConfig({ ...base, k: 8, thresholdStartStep: 0 }),
  'TopK, one prefix': trainConfig({
    ...base,
    k: 1,
    selection: 'row',
    prefixes: [48],
    deadAfter: 40,
  }),
  'other decisions': trainConfig({
    ...base,
    dialect: otherwise,
    k: 1.3,
    deadAfter: 3,
    thresholdStartStep: 2,
  }),
};
export const rows = 40;

/** Relative to the largest value: far below what a wrong term would cause, far above float32's rounding. */
const close = 2e-5;

export function requireClose(
  what: string,
  got: Float64Array | Matrix,
  want: Float64Array | Matrix,
): void {
  const data = want instanceof Float64Array ? want : want.data;
  const largest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
  requireWithin(what, got, want, () => close * largest);
}

export function requireCloseParams(what: string, got: SaeParams, want: SaeParams): void {
  for (const name of paramNames) requireClose(`${what}.${name}`, got[name], want[name]);
}

/** Parameters after Adam's update from these moments, and the dialect's unit rows. */
export function updated(
  old: SaeParams,
  m: SaeParams,
  v: SaeParams,
  step: number,
  rate: number,
  dialect: Dialect,
): SaeParams {
  const { normalise, normaliseEpsilon } = dialect.decoderNorm;
  const unit = (p: SaeParams): SaeParams => ({
    ...p,
    W_dec: normaliseRows(p.W_dec, normaliseEpsilon),
  });
  const { beta1, beta2, epsilon } = dialect.adam;
  const [c1, c2] = [1 - beta1 ** (step + 1), 1 - beta2 ** (step + 1)];
  const moved = (w: Float64Array, first: Float64Array, second: Float64Array): Float64Array =>
    w.map((value, i) => value - ((rate / c1) * first[i]) / (Math.sqrt(second[i] / c2) + epsilon));
  const from = normalise === 'before-update' ? unit(old) : old;
  const after: SaeParams = {
    W_enc: { ...from.W_enc, data: moved(from.W_enc.data, m.W_enc.data, v.W_enc.data) },
    b_enc: moved(from.b_enc, m.b_enc, v.b_enc),
    W_dec: { ...from.W_dec, data: moved(from.W_dec.data, m.W_dec.data, v.W_dec.data) },
    b_dec: moved(from.b_dec, m.b_dec, v.b_dec),
  };
  return normalise === 'after-update' ? unit(after) : after;
}

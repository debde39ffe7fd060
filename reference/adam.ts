/**
 * Gradient-norm clipping, the learning-rate schedule, and Adam as torch computes it.
 * @module
 */
import type { Dialect } from './dialects.ts';
import { matrix, norm, type Matrix } from './matrix.ts';
import { paramNames, type SaeParams } from './params.ts';

/** 2-norm of the four gradients together. */
export function gradientNorm(gradients: SaeParams): number {
  return norm(Float64Array.from(paramNames, (name) => norm(values(gradients[name]))));
}

/**
 * Every gradient times min(1, maxNorm / (norm + 1e-6)). Always applied, so a norm of exactly maxNorm shrinks a little.
 * Source: torch.nn.utils.clip_grad_norm_.
 */
export function clipGradients(gradients: SaeParams, maxNorm: number): SaeParams {
  const factor = Math.min(1, maxNorm / (gradientNorm(gradients) + 1e-6));
  return eachParam((name) => values(gradients[name]).map((g) => factor * g), gradients);
}

export interface Schedule {
  readonly learningRate: number;
  /** Total number of updates. */
  readonly steps: number;
  readonly warmupSteps: number;
  /** First update of the linear decay to 0; null for none. */
  readonly decayStart: number | null;
}

/**
 * Learning rate of update `step` = 0, 1, ...: linear warm-up, constant, then (steps - step) / (steps - decayStart).
 * Source: dl `trainers/trainer.py`, `get_lr_schedule`.
 */
export function learningRate(step: number, schedule: Schedule, dialect: Dialect): number {
  const { steps, warmupSteps, decayStart } = schedule;
  if (step < warmupSteps) {
    const done = dialect.learningRate.warmup === 't-over-w' ? step : step + 1;
    return schedule.learningRate * (done / warmupSteps);
  }
  if (decayStart !== null && step >= decayStart) {
    return schedule.learningRate * ((steps - step) / (steps - decayStart));
  }
  return schedule.learningRate;
}

/**
 * base to a whole power >= 0, by repeated squaring. The language's own power differs in its last bits between versions of
 * Node, and a run must not.
 */
export function power(base: number, exponent: number): number {
  let result = 1;
  let square = base;
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result *= square;
    square *= square;
  }
  return result;
}

export interface AdamResult {
  readonly params: SaeParams;
  readonly m: SaeParams;
  readonly v: SaeParams;
}

/**
 * m ← m + (1 - β1)(g - m);  v ← β2 v + (1 - β2) g²;
 * w ← w - lr / (1 - β1^t) · m / (√v / √(1 - β2^t) + ε), t counted from 1. No weight decay.
 * Source: torch.optim.Adam, single tensor.
 * @param step - updates done before this one.
 */
export function adamUpdate(
  params: SaeParams,
  gradients: SaeParams,
  m: SaeParams,
  v: SaeParams,
  step: number,
  rate: number,
  dialect: Dialect,
): AdamResult {
  const { beta1, beta2, epsilon } = dialect.adam;
  const correction1 = 1 - power(beta1, step + 1);
  const correction2 = Math.sqrt(1 - power(beta2, step + 1));
  const nextM = eachParam((name) => {
    const g = values(gradients[name]);
    return values(m[name]).map((old, i) => old + (1 - beta1) * (g[i] - old));
  }, params);
  const nextV = eachParam((name) => {
    const g = values(gradients[name]);
    return values(v[name]).map((old, i) => beta2 * old + (1 - beta2) * g[i] * g[i]);
  }, params);
  const nextParams = eachParam((name) => {
    const first = values(nextM[name]);
    const second = values(nextV[name]);
    return values(params[name]).map(
      (w, i) =>
        w - ((rate / correction1) * first[i]) / (Math.sqrt(second[i]) / correction2 + epsilon),
    );
  }, params);
  return { params: nextParams, m: nextM, v: nextV };
}

function values(param: Matrix | Float64Array): Float64Array {
  return param instanceof Float64Array ? param : param.data;
}

/** The four parameters made anew by name, in the shapes of `like`. */
function eachParam(
  make: (name: (typeof paramNames)[number]) => Float64Array,
  like: SaeParams,
): SaeParams {
  return {
    W_enc: matrix(like.W_enc.rows, like.W_enc.cols, make('W_enc')),
    b_enc: make('b_enc'),
    W_dec: matrix(like.W_dec.rows, like.W_dec.cols, make('W_dec')),
    b_dec: make('b_dec'),
  };
}

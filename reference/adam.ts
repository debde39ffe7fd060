/**
 * Gradient-norm clipping, the learning-rate schedule, and Adam as torch computes it.
 * @module
 */
import type { Dialect } from './dialects.ts';
import { norm } from './matrix.ts';
import { eachParam, namesOf, valuesOf, type SaeParams } from './params.ts';

/** 2-norm of all gradients together. */
export function gradientNorm(gradients: SaeParams): number {
  const names = namesOf(gradients);
  return norm(Float64Array.from(names, (name) => norm(valuesOf(gradients, name))));
}

/**
 * Every gradient times min(1, maxNorm / (norm + 1e-6)). Always applied, so a norm of exactly maxNorm shrinks a little.
 * Source: torch.nn.utils.clip_grad_norm_.
 */
export function clipGradients(gradients: SaeParams, maxNorm: number): SaeParams {
  const factor = Math.min(1, maxNorm / (gradientNorm(gradients) + 1e-6));
  return eachParam(gradients, (name) => valuesOf(gradients, name).map((g) => factor * g));
}

export interface Schedule {
  readonly learningRate: number;
  /** Total number of updates. */
  readonly steps: number;
  readonly warmupSteps: number;
  /** First update of the decay; null for none. */
  readonly decayStart: number | null;
  /** Rate that a half cosine falls to between warm-up and decay; null for a constant rate. */
  readonly cosineTo: number | null;
}

/**
 * Learning rate of update `step` = 0, 1, ...: linear warm-up; constant or half a cosine; then the dialect's decay, from
 * what the cosine fell to.
 * Source: dl `trainers/trainer.py`, `get_lr_schedule`; sl `training/optim.py`, `get_lr_scheduler`; nb `sae.py`,
 * `get_wsd_scheduler`.
 */
export function learningRate(step: number, schedule: Schedule, dialect: Dialect): number {
  const { learningRate: rate, steps, warmupSteps, decayStart, cosineTo } = schedule;
  if (step < warmupSteps) {
    const done = dialect.learningRate.warmup === 't-over-w' ? step : step + 1;
    return rate * (done / warmupSteps);
  }
  if (decayStart !== null && step >= decayStart) {
    return (cosineTo ?? rate) * decayFactor(step, steps, decayStart, dialect);
  }
  if (cosineTo === null) return rate;
  const share = (step - warmupSteps) / ((decayStart ?? steps) - warmupSteps);
  return cosineTo + ((rate - cosineTo) * (1 + Math.cos(Math.PI * share))) / 2;
}

/** 1 at the decay's start, and 0 or about 0.1 at its end. */
function decayFactor(step: number, steps: number, start: number, dialect: Dialect): number {
  if (dialect.learningRate.decay === 'linear-to-zero') return (steps - step) / (steps - start);
  return 1 - (0.9 * Math.min(step - start, start)) / (steps - start + 0.01);
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
  const nextM = eachParam(params, (name) => {
    const g = valuesOf(gradients, name);
    return valuesOf(m, name).map((old, i) => old + (1 - beta1) * (g[i] - old));
  });
  const nextV = eachParam(params, (name) => {
    const g = valuesOf(gradients, name);
    return valuesOf(v, name).map((old, i) => beta2 * old + (1 - beta2) * g[i] * g[i]);
  });
  const nextParams = eachParam(params, (name) => {
    const first = valuesOf(nextM, name);
    const second = valuesOf(nextV, name);
    return valuesOf(params, name).map(
      (w, i) =>
        w - ((rate / correction1) * first[i]) / (Math.sqrt(second[i]) / correction2 + epsilon),
    );
  });
  return { params: nextParams, m: nextM, v: nextV };
}

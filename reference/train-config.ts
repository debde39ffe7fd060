/**
 * One run's settings: what a dialect leaves open, filled in and checked.
 * @module
 */
import { dictionaryLearning, type Dialect } from './dialects.ts';
import { defaultLevelWeights, levelCoefficients } from './loss.ts';
import { requirePrefixes } from './prefixes.ts';
import { selectionCount } from './select.ts';
import type { TrainConfig } from './train-step.ts';

/** What a run must give; every other field of {@link TrainConfig} has a default from the dialect. */
export type TrainOptions = Pick<TrainConfig, 'd_in' | 'd_sae' | 'k' | 'steps'> &
  Partial<TrainConfig>;

/**
 * Defaults: canonical dialect, selection over the batch, one prefix (plain BatchTopK), the dialect's level weights,
 * learning rate and schedule, no decay.
 * @throws {@link RangeError} naming the field and its value.
 */
export function trainConfig(options: TrainOptions): TrainConfig {
  const dialect = options.dialect ?? dictionaryLearning;
  const { d_in, d_sae, k, steps } = options;
  requireWhole('d_in', d_in, 1);
  requireWhole('d_sae', d_sae, 1);
  requireWhole('steps', steps, 1);
  const prefixes = options.prefixes ?? [d_sae];
  const config: TrainConfig = {
    dialect,
    d_in,
    d_sae,
    k,
    steps,
    selection: options.selection ?? dialect.defaults.selection,
    prefixes,
    levelWeights: options.levelWeights ?? defaultLevelWeights(prefixes.length, dialect),
    learningRate: options.learningRate ?? defaultLearningRate(d_sae, dialect),
    warmupSteps: options.warmupSteps ?? dialect.defaults.warmupSteps,
    decayStart:
      options.decayStart === undefined ? defaultDecayStart(steps, dialect) : options.decayStart,
    cosineTo: options.cosineTo ?? null,
    auxkAlpha: options.auxkAlpha ?? dialect.defaults.auxkAlpha,
    deadAfter: options.deadAfter ?? dialect.defaults.deadAfter,
    thresholdStartStep: options.thresholdStartStep ?? dialect.defaults.thresholdStartStep,
    inputScale: options.inputScale ?? 1,
    sparsityCoefficient: options.sparsityCoefficient ?? dialect.defaults.sparsityCoefficient,
    sparsityWarmupSteps: options.sparsityWarmupSteps ?? defaultSparsityWarmup(steps, dialect),
    targetL0: options.targetL0 ?? dialect.defaults.targetL0,
  };
  requireConfig(config);
  return config;
}

function requireConfig(config: TrainConfig): void {
  selectionCount(config.k, 1, config.d_sae);
  if (config.k > config.d_sae) {
    throw new RangeError(`k: expected 0 <= k <= d_sae = ${config.d_sae}, got ${config.k}`);
  }
  if (config.selection === 'row') requireWhole('k', config.k, 0);
  requirePrefixes(config.prefixes, config.d_sae);
  if (config.levelWeights.length !== config.prefixes.length) {
    throw new RangeError(
      `levelWeights: expected one for each of ${config.prefixes.length} prefixes, got ${config.levelWeights.length}`,
    );
  }
  levelCoefficients(config.levelWeights, config.d_in, config.dialect);
  if (config.selection === 'jump' && config.dialect.encode.refinement > 0) {
    throw new RangeError(
      `selection: expected another than jump where encode.refinement is ${config.dialect.encode.refinement}, which needs a selection of its own`,
    );
  }
  requireNumber('learningRate', config.learningRate);
  requireNumber('auxkAlpha', config.auxkAlpha);
  requireNumber('deadAfter', config.deadAfter);
  requireWhole('thresholdStartStep', config.thresholdStartStep, -1);
  requireNumber('sparsityCoefficient', config.sparsityCoefficient);
  requireWhole('sparsityWarmupSteps', config.sparsityWarmupSteps, 0);
  requireAbove('targetL0', config.targetL0);
  requireAbove('inputScale', config.inputScale);
  requireSchedule(config);
}

/** As dl `get_lr_schedule` asserts: warm-up ends before the run does, and decay starts after it. */
function requireSchedule({ steps, warmupSteps, decayStart, cosineTo, dialect }: TrainConfig): void {
  requireWhole('warmupSteps', warmupSteps, 0);
  if (cosineTo !== null) requireNumber('cosineTo', cosineTo);
  if (dialect.learningRate.decay === 'cool-down') {
    // nb asserts nothing: a warm-up longer than the run leaves out what would come after it.
    if (decayStart !== null) requireNumber('decayStart', decayStart);
    return;
  }
  if (warmupSteps >= steps) {
    throw new RangeError(`warmupSteps: expected fewer than the ${steps} steps, got ${warmupSteps}`);
  }
  if (decayStart === null) return;
  requireWhole('decayStart', decayStart, warmupSteps + 1);
  if (decayStart >= steps) {
    throw new RangeError(
      `decayStart: expected a step before the last, ${steps}, got ${decayStart}`,
    );
  }
}

function defaultLearningRate(d_sae: number, dialect: Dialect): number {
  const { base, scalesWithWidth } = dialect.learningRate;
  return scalesWithWidth ? base / Math.sqrt(d_sae / 2 ** 14) : base;
}

/** Where the last share of the run begins; null for no decay. */
function defaultDecayStart(steps: number, dialect: Dialect): number | null {
  const { decayFraction } = dialect.defaults;
  return decayFraction === 0 ? null : (1 - decayFraction) * steps;
}

/** A share of the run below 1, truncated as nb does; else a number of steps. */
function defaultSparsityWarmup(steps: number, dialect: Dialect): number {
  const { sparsityWarmup } = dialect.defaults;
  return sparsityWarmup < 1 ? Math.trunc(sparsityWarmup * steps) : sparsityWarmup;
}

function requireWhole(field: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least) {
    throw new RangeError(`${field}: expected a whole number >= ${least}, got ${value}`);
  }
}

function requireNumber(field: string, value: number): void {
  if (!Number.isFinite(value) || value < 0) {
    throw new RangeError(`${field}: expected a number >= 0, got ${value}`);
  }
}

function requireAbove(field: string, value: number): void {
  if (!Number.isFinite(value) || value <= 0) {
    throw new RangeError(`${field}: expected a number > 0, got ${value}`);
  }
}

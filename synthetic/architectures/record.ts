/**
 * From an architecture and a world's sizes to what a results file records, and from such a record back to a run. A record
 * has every number that training depends on, so that equal records train alike.
 * @module
 */
import { withDecision, type Dialect } from '../../reference/dialects.ts';
import { trainConfig } from '../../reference/train-config.ts';
import type { TrainConfig } from '../../reference/train-step.ts';
import { dialectOfRecord, dialectRecord } from '../../training/dialect-file.ts';
import { usage, UsageError } from '../../training/usage-error.ts';
import type { ArchitectureRecord } from '../experiments/results.ts';
import type { StepSchedule } from '../train.ts';
import { createRng } from '../rng.ts';
import { createSampler, type World } from '../worlds/world.ts';
import type { Architecture } from './architecture.ts';
import { controlledPenalty } from './controlled-penalty.ts';

/** What a world suggests, or a user asks for. */
export interface TrainingSizes {
  readonly d_in: number;
  readonly d_sae: number;
  /** Matryoshka levels, up to d_sae. */
  readonly prefixes: readonly number[];
  readonly steps: number;
  readonly batch: number;
  readonly learningRate: number;
  /** About how large an activation is: penalties and thresholds start in proportion to it. */
  readonly activation: number;
}

/** Prefixes drawn for a step, where they are drawn: as many as in the notebook of N. Nabeshima's toy. */
const DRAWN = 10;
/** 10 M of the 500 M tokens that Bussmann et al. 2025 train on: the wait before a latent counts as dead, in tokens. */
const DEAD_SHARE = 0.02;
/** Where a controlled L1 penalty starts, for activations of 1: it weighs against the error like the activation. */
const L1_START = 0.05;
/** What missing a target L0 costs, for activations of 1: a count of latents weighs like the activation's square. */
const L0_TO_TARGET = 1;
/**
 * JumpReLU's first thresholds and the window of their gradient, for activations of 1: from 0 to an activation. In a
 * narrower window, where magnitudes hardly vary, no value lies once latents are told apart, and thresholds stay where
 * they are whatever the penalty.
 */
const JUMP = { start: 0.5, bandwidth: 1 } as const;

/**
 * @param dialect - in place of the architecture's own.
 * @throws {@link UsageError} naming the setting and its value.
 */
export function architectureRecord(
  architecture: Architecture,
  sizes: TrainingSizes,
  targetL0s: readonly number[],
  dialect?: Dialect,
): ArchitectureRecord {
  const { options, selection } = architecture;
  let own = dialect ?? dialectOfRecord(architecture.dialect);
  for (const [path, value] of Object.entries(options.decisions ?? {})) {
    own = withDecision(own, path, value);
  }
  const { d_in, d_sae, steps, batch, activation } = sizes;
  if (selection === 'jump') {
    own = withDecision(own, 'jumpRelu.start', JUMP.start * activation);
    own = withDecision(own, 'jumpRelu.bandwidth', JUMP.bandwidth * activation);
  }
  const { defaults, deadLatents, penalty } = own;
  const quarter = Math.floor(steps / 4);
  const drawn = architecture.prefixes === 'random';
  if (drawn && own.prefixes.drawn === 'once') {
    throw new UsageError(
      `--dialect: ${architecture.slug} draws its prefixes at each step, dialect ${own.name} once`,
    );
  }
  const prefixes = architecture.prefixes === 'one' ? [d_sae] : sizes.prefixes;
  const record: ArchitectureRecord = {
    name: architecture.name,
    slug: architecture.slug,
    dialect: dialectRecord(own),
    selection,
    d_sae,
    prefixes,
    drawnPrefixes: drawn,
    targetL0s,
    steps,
    batch,
    learningRate: options.train?.learningRate ?? sizes.learningRate,
    settings: {
      sparsity: architecture.sparsity,
      warmupSteps: Math.min(defaults.warmupSteps, quarter),
      thresholdStartStep: Math.min(defaults.thresholdStartStep, quarter),
      deadAfter:
        deadLatents.unit === 'tokens'
          ? Math.min(defaults.deadAfter, Math.ceil(DEAD_SHARE * steps * batch))
          : defaults.deadAfter,
      ...(architecture.sparsity === 'controller' && {
        sparsityCoefficient: L1_START * activation,
      }),
      ...(architecture.sparsity === 'target' && {
        sparsityCoefficient: L0_TO_TARGET * activation ** 2,
      }),
      // Less than a step of warm-up would be divided by.
      ...(penalty.coefficient === 'controlled' && {
        sparsityWarmupSteps: Math.max(1, Math.trunc(defaults.sparsityWarmup * steps)),
      }),
      ...(drawn && { drawnCount: Math.min(DRAWN, d_sae) }),
      ...(options.innerWeight !== undefined && {
        levelWeights: prefixes.map((_, g) => options.innerWeight! ** (prefixes.length - 1 - g)),
      }),
      ...(options.fallingK && {
        kFrom: options.fallingK.from,
        kShare: options.fallingK.share,
      }),
      ...options.train,
    },
  };
  for (const targetL0 of targetL0s) configOf(record, d_in, targetL0);
  return record;
}

/**
 * About how large the activation of one feature is: √(mean ‖x - b‖² / mean number of features on), to two digits, from
 * 1,000 rows that depend on the world alone.
 */
export function activationOf(world: World): number {
  const rows = 1000;
  const { x, features } = createSampler(world, createRng(0).split('activation')).next(rows);
  let square = 0;
  for (let i = 0; i < x.data.length; i++) square += (x.data[i] - world.bias[i % x.cols]) ** 2;
  return features.index.length === 0
    ? 1
    : Number(Math.sqrt(square / features.index.length).toPrecision(2));
}

/** Settings of a record that `trainConfig` takes by the same name. */
const CONFIG_SETTINGS = [
  'auxkAlpha',
  'deadAfter',
  'decayStart',
  'levelWeights',
  'sparsityCoefficient',
  'sparsityWarmupSteps',
  'thresholdStartStep',
  'warmupSteps',
] as const;

/** @throws {@link UsageError} naming the setting and its value. */
export function configOf(record: ArchitectureRecord, d_in: number, targetL0: number): TrainConfig {
  const { d_sae, selection, settings, steps, learningRate } = record;
  const given = CONFIG_SETTINGS.filter((name) => settings[name] !== undefined).map(
    (name) => [name, settings[name]] as const,
  );
  const hasK = selection === 'batch' || selection === 'row';
  if (hasK && selection === 'batch' && Math.trunc(targetL0 * record.batch) < 1) {
    throw new UsageError(
      `--l0: expected at least one latent per batch of ${record.batch}, got ${targetL0}`,
    );
  }
  if (selection === 'row' && (!Number.isInteger(targetL0) || targetL0 < 1)) {
    throw new UsageError(
      `--l0: expected a whole number for ${record.slug}, which selects row by row, got ${targetL0}`,
    );
  }
  return usage(() =>
    trainConfig({
      ...Object.fromEntries(given),
      dialect: dialectOfRecord(record.dialect),
      d_in,
      d_sae,
      k: hasK ? targetL0 : 0,
      targetL0,
      steps,
      selection,
      learningRate,
      prefixes: record.drawnPrefixes
        ? widest(Number(settings['drawnCount']), d_sae)
        : record.prefixes,
    }),
  );
}

/** As many prefixes as are drawn: only their number counts, each step has its own. */
function widest(count: number, d_sae: number): number[] {
  return Array.from({ length: count }, (_, g) => d_sae - count + 1 + g);
}

/** What changes from step to step; undefined where nothing does. */
export function scheduleOf(
  { settings, selection, d_sae }: ArchitectureRecord,
  config: TrainConfig,
): StepSchedule | undefined {
  const { steps, targetL0, sparsityCoefficient } = config;
  const { kFrom, kShare } = settings;
  if (typeof kFrom === 'number' && typeof kShare === 'number') {
    const whole = selection === 'row' ? Math.round : (k: number): number => k;
    return (step) => {
      const left = Math.max(0, 1 - step / (kShare * steps));
      return { k: whole(Math.min(d_sae, config.k * (1 + (kFrom - 1) * left))) };
    };
  }
  if (settings['sparsity'] !== 'controller') return undefined;
  return controlledPenalty(sparsityCoefficient, targetL0, steps);
}

/**
 * Which branches a step takes, by the names that manifests list them under; worked out from the reference's own step, so
 * that a manifest which promises a branch can be held to it.
 */
import { readFileSync } from 'node:fs';
import { auxkCount } from '../../../reference/auxk.ts';
import { groups } from '../../../reference/prefixes.ts';
import type { Matrix } from '../../../reference/matrix.ts';
import { selectionCount } from '../../../reference/select.ts';
import type {
  StepDraws,
  StepResult,
  TrainConfig,
  TrainState,
} from '../../../reference/train-step.ts';
import type { Dtype } from '../golden-vectors.ts';

/** One step as the predicates see it. */
export interface Taken {
  readonly before: TrainState;
  readonly x: Matrix;
  readonly result: StepResult;
  readonly config: TrainConfig;
  readonly draws: StepDraws;
}

type Branches = Readonly<Record<string, (step: Taken) => boolean>>;

const limitOf = ({ config: { dialect, d_in } }: Taken): number =>
  auxkCount(new Uint8Array(1_000).fill(1), d_in, dialect);

/** Dead latents of each level that has an auxiliary loss of its own. */
function deadOfLevels({ result, config }: Taken): number[] {
  const count = (start: number, end: number): number =>
    result.dead.subarray(start, end).reduce((sum, dead) => sum + dead, 0);
  if (config.dialect.auxk.levels === 'last') return [count(0, config.d_sae)];
  return groups(config.prefixes).map(({ start, end }) => count(start, end));
}

function sum(values: ArrayLike<number>, f: (value: number, i: number) => number): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += f(values[i], i);
  return total;
}

const positives = ({ result }: Taken): number => sum(result.acts.data, (act) => Number(act > 0));

/** Positive dead latents of each row. */
function positiveDead({ result: { acts, dead } }: Taken): number[] {
  return Array.from({ length: acts.rows }, (_, b) =>
    sum(dead, (flag, j) => flag * Number(acts.data[b * acts.cols + j] > 0)),
  );
}

/** Positive acts of each row. */
function positivesOfRows({ result: { acts } }: Taken): number[] {
  return Array.from({ length: acts.rows }, (_, b) =>
    sum(acts.data.subarray(b * acts.cols, (b + 1) * acts.cols), (act) => Number(act > 0)),
  );
}

const estimates = ({ before, config }: Taken): boolean => before.step > config.thresholdStartStep;

/** No update yet, as the dialect's start tells. */
const unset = ({ before, config }: Taken): boolean =>
  before.threshold === config.dialect.threshold.start;

const inWindow = (step: Taken, values: Matrix, of: (value: number) => boolean): boolean => {
  const { threshold } = step.before.params;
  const { bandwidth, keepsThresholds } = step.config.dialect.jumpRelu;
  return values.data.some((value, i) => {
    const recorded = threshold![i % values.cols];
    const own = keepsThresholds === 'at-least-zero' ? Math.max(recorded, 0) : recorded;
    return of(value) && Math.abs((value - own) / bandwidth) < 0.5;
  });
};

const controls = ({ before, config }: Taken): boolean => before.step > config.sparsityWarmupSteps;

const decays = ({ before, config }: Taken): boolean =>
  config.decayStart !== null && before.step >= config.decayStart;

const warmsUp = ({ before, config }: Taken): boolean => before.step < config.warmupSteps;

export const branches: Branches = {
  'none-dead': (step) => deadOfLevels(step).every((dead) => dead === 0),
  'fewer-dead-than-k_aux': (step) =>
    deadOfLevels(step).some((dead) => dead > 0 && dead < limitOf(step)),
  'as-many-dead-as-k_aux': (step) =>
    deadOfLevels(step).some((dead) => dead > 0 && dead === limitOf(step)),
  'more-dead-than-k_aux': (step) => deadOfLevels(step).some((dead) => dead > limitOf(step)),
  'level-without-dead': (step) => {
    const dead = deadOfLevels(step);
    return dead.some((count) => count > 0) && dead.some((count) => count === 0);
  },
  'dead-latent-with-positive-acts': (step) => positiveDead(step).some((count) => count > 0),
  'more-positive-dead-than-k_aux': (step) =>
    positiveDead(step).some((count) => count > limitOf(step)),
  'aux-reconstruction-zero': (step) =>
    deadOfLevels(step).some((count) => count > 0) &&
    positiveDead(step).every((count) => count === 0),
  'negative-aux-latents': ({ result }) =>
    result.auxk.some(({ latents }) => latents.data.some((value) => value < 0)),
  'positive-aux-latents': ({ result }) =>
    result.auxk.some(({ latents }) => latents.data.some((value) => value > 0)),
  'latent-just-dead': ({ result, config }) => result.state.sinceFired.includes(config.deadAfter),
  'latent-at-window': ({ before, config }) => before.sinceFired.includes(config.deadAfter),
  'fewer-positive-acts-than-k-batch': (step) =>
    positives(step) < selectionCount(step.config.k, step.x.rows, step.config.d_sae),
  'fewer-positive-acts-than-k': (step) =>
    positivesOfRows(step).some((count) => count < step.config.k),
  'zero-selected': (step) => positivesOfRows(step).some((count) => count < step.config.k),
  'no-positive-acts': (step) => positives(step) === 0,
  'threshold-unset': (step) => !estimates(step),
  'threshold-kept': (step) => positives(step) === 0,
  'threshold-first-update': (step) =>
    estimates(step) && unset(step) && step.result.latents.data.some((latent) => latent > 0),
  'threshold-average': (step) =>
    estimates(step) &&
    !unset(step) &&
    (step.config.dialect.threshold.whenEmpty === 'decay' || positives(step) > 0),
  'lr-zero': ({ result }) => result.learningRate === 0,
  'lr-warmup': warmsUp,
  'lr-constant': (step) => !warmsUp(step) && !decays(step) && step.config.cosineTo === null,
  'lr-cosine': (step) => !warmsUp(step) && !decays(step) && step.config.cosineTo !== null,
  'lr-decay': decays,
  'lr-cooldown': decays,
  clipped: ({ result, config }) => result.gradientNorm >= config.dialect.clip.maxNorm,
  'not-clipped': ({ result, config }) => result.gradientNorm < config.dialect.clip.maxNorm,
  'scale-warmup': ({ before, config }) => before.step + 1 < config.sparsityWarmupSteps,
  'controller-waiting': (step) => !controls(step),
  'controller-below-target': (step) => controls(step) && step.result.l0 < step.config.targetL0,
  'controller-at-target': (step) => controls(step) && step.result.l0 === step.config.targetL0,
  'controller-above-target': (step) => controls(step) && step.result.l0 > step.config.targetL0,
  'permutation-changes-order': ({ draws: { order } }) =>
    order?.some((from, to) => from !== to) ?? false,
  'equal-running-averages': ({ result, config }) => {
    const squares = result.state.averages!.meanSquares;
    const sorts = config.dialect.latentOrder.permute === 'by-mean-square';
    return sorts && new Set(squares).size < squares.length;
  },
  'one-latent-prefix': ({ draws }) => draws.prefixes?.[0] === 1,
  'zero-row': ({ x }) =>
    Array.from({ length: x.rows }, (_, b) =>
      x.data.subarray(b * x.cols, (b + 1) * x.cols).every((value) => value === 0),
    ).includes(true),
  'sparsity-warmup': ({ before, config }) => before.step < config.sparsityWarmupSteps,
  'sparsity-constant': ({ before, config }) => before.step >= config.sparsityWarmupSteps,
  'coefficient-warmup': ({ before, config }) => before.step < config.sparsityWarmupSteps,
  'coefficient-constant': ({ before, config }) => before.step >= config.sparsityWarmupSteps,
  'act-in-window': (step) => inWindow(step, step.result.pre, () => true),
  'zero-act-in-window': (step) => inWindow(step, step.result.latents, (latent) => latent === 0),
  'threshold-clamped': ({ before }) => before.params.threshold!.some((value) => value < 0),
};

/** Steps in which the manifest says that each branch is taken. */
export function promised(
  folder: string,
  id: string,
  dtype: Dtype,
): Readonly<Record<string, readonly number[]>> {
  const path = new URL(`../../../conformance/vectors/${folder}/manifest.json`, import.meta.url);
  const { vectors } = JSON.parse(readFileSync(path, 'utf8')) as {
    vectors: { id: string; flags: Record<string, number[]> }[];
  };
  const found = vectors.find((vector) => vector.id === `${id}.${dtype}`);
  if (found === undefined) throw new Error(`${folder}/manifest.json: no vector ${id}.${dtype}`);
  return found.flags;
}

/**
 * A peer's seeds beside ours on its own batches: ours from our own initial weights, which must end within the spread of
 * its seeds, and ours from its initial weights, which must follow it up to the rounding of float32.
 * @module
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TrainState } from '../../reference/train-step.ts';
import { UsageError } from '../../training/usage-error.ts';
import type { StepKernel } from '../kernels/step-kernel.ts';
import { createRng } from '../rng.ts';
import {
  codeOf,
  peerMetrics,
  saelensValue,
  sharedMetrics,
  type PeerMetric,
  type PeerMetrics,
} from './peer-metrics.ts';
import { configOfPeer, peerRuns, type PeerRuns } from './peer-settings.ts';
import { readPeerWorld } from './peer-world.ts';
import { isWithin, meanOf, spreadOf, type Spread } from './spread.ts';
import { openTensorFile, type TensorFile } from './tensor-file.ts';
import { trainOnBatches, type Start } from './train-on-batches.ts';

/** Those that ours must match. */
export const judgedMetrics: readonly PeerMetric[] = [
  'mcc',
  'f1',
  'uniqueness',
  'explainedVariance',
  'l0',
];

/** Relative. A top-k's seeds may all have exactly k, and ours a few latents less, where a batch has too few that are positive. */
const L0_COUNTS_AS_EQUAL = 0.03;

/** Shown beside them. */
const shownMetrics: readonly PeerMetric[] = [
  'precision',
  'recall',
  'deadLatents',
  'fullAbsorption',
  'edgeGap',
  'childLeak',
  'maxDecoderCosine',
  'probeTop1',
  'erasure1',
  'tpp1',
];

/** Steps over which losses from equal weights are compared: rounding grows with every step, and moves a selection in time. */
export const FOLLOWED_STEPS = 100;

/** Added to a peer's seed for ours: other weights than any of its seeds', on the same batches. */
const OUR_SEEDS = 100;

export interface SeedComparison {
  readonly seed: number;
  /** Its final weights, by our metrics. */
  readonly theirs: PeerMetrics;
  /** Largest difference of those from its own metrics, over {@link sharedMetrics}. */
  readonly metricDifference: number;
  /** Ours from our own weights. */
  readonly ours: PeerMetrics | null;
  /** Ours from its initial weights. */
  readonly following: Following | null;
}

export interface Following {
  readonly metrics: PeerMetrics;
  /** Largest relative difference of the losses of the first {@link FOLLOWED_STEPS} steps, and of all steps. */
  readonly earlyLoss: number;
  readonly loss: number;
  /** Largest difference of final metrics, over {@link judgedMetrics}, and where it is. */
  readonly metricDifference: number;
  readonly metric: PeerMetric;
}

export interface MetricComparison {
  readonly metric: PeerMetric;
  readonly theirs: readonly number[];
  readonly ours: readonly number[];
  readonly spread: Spread;
  /** Null where the metric is only shown. */
  readonly within: boolean | null;
}

export interface Comparison {
  readonly runs: PeerRuns;
  readonly seeds: readonly SeedComparison[];
  readonly metrics: readonly MetricComparison[];
}

export interface ComparisonOptions {
  /** How many of the peer's seeds. */
  readonly seeds: number;
  /** Which of the two trainings of ours to do. */
  readonly own: boolean;
  readonly following: boolean;
  /** Ours is trained by it. */
  readonly kernel: StepKernel;
  readonly onStep: (what: string, step: number, steps: number) => void;
  /** Told each seed as it ends. */
  readonly onSeed?: (seed: SeedComparison) => void;
}

/**
 * @param folder - of saelens_runs.py or nabeshima_runs.py.
 * @throws {@link UsageError} if it has no runs, or fewer than asked for.
 */
export async function compareWithPeer(
  folder: string,
  options: ComparisonOptions,
): Promise<Comparison> {
  const runs = await readRuns(folder);
  if (runs.runs.length < options.seeds) {
    throw new UsageError(
      `--seeds: expected at most the ${runs.runs.length} of ${folder}, got ${options.seeds}`,
    );
  }
  const seeds: SeedComparison[] = [];
  for (const { seed, metrics } of runs.runs.slice(0, options.seeds)) {
    const file = await openTensorFile(join(folder, `seed-${seed}.safetensors`));
    try {
      const compared = await compareSeed(file, folder, runs, { seed, metrics }, options);
      seeds.push(compared);
      options.onSeed?.(compared);
    } finally {
      await file.close();
    }
  }
  return { runs, seeds, metrics: options.own ? metricComparisons(seeds) : [] };
}

async function readRuns(folder: string): Promise<PeerRuns> {
  const path = join(folder, 'runs.json');
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch {
    throw new UsageError(`${path}: not found: write it with saelens_runs.py or nabeshima_runs.py`);
  }
  return peerRuns.parse(JSON.parse(text));
}

async function compareSeed(
  file: TensorFile,
  folder: string,
  runs: PeerRuns,
  { seed, metrics }: PeerRuns['runs'][number],
  { own, following, kernel, onStep }: ComparisonOptions,
): Promise<SeedComparison> {
  const { settings } = runs;
  const worldFile = await openTensorFile(join(folder, 'world.safetensors'));
  const peerWorld = await readPeerWorld(worldFile);
  await worldFile.close();
  const config = configOfPeer(settings, peerWorld.world.d_in);
  const judge = (params: TrainState['params'], meanNorm?: number): PeerMetrics =>
    peerMetrics(
      codeOf(params, peerWorld, config, runs.evaluation_batch, meanNorm),
      peerWorld,
      // Equal questions to every SAE.
      createRng(0).split('probes'),
    );
  const meanNorm =
    'prefixes_a_step' in settings ? (await file.values('final.mean_norm'))[0] : undefined;
  const theirs = judge(await file.params('final.'), meanNorm);
  const train = (start: Start): ReturnType<typeof trainOnBatches> => {
    const what = `seed ${seed}, from ${start === 'theirs' ? 'its' : 'our'} weights`;
    return trainOnBatches(file, { config, settings, kernel }, start, (step) =>
      onStep(what, step, config.steps),
    );
  };
  const differences = sharedMetrics.map((metric) =>
    Math.abs(theirs[metric]! - saelensValue(metrics, metric)),
  );
  let ours: PeerMetrics | null = null;
  if (own) {
    const { state } = await train({ seed: OUR_SEEDS + seed });
    ours = judge(state.params, state.averages?.meanNorm);
  }
  let followed: Following | null = null;
  if (following) {
    const { state, losses } = await train('theirs');
    const ends = judge(state.params, state.averages?.meanNorm);
    followed = followingOf(ends, theirs, losses, await file.values('losses'));
  }
  return { seed, theirs, metricDifference: Math.max(...differences), ours, following: followed };
}

function followingOf(
  metrics: PeerMetrics,
  theirs: PeerMetrics,
  losses: Float64Array,
  theirLosses: Float64Array,
): Following {
  const relative = losses.map((loss, t) => Math.abs(loss - theirLosses[t]) / theirLosses[t]);
  const difference = (metric: PeerMetric): number => Math.abs(metrics[metric]! - theirs[metric]!);
  const metric = judgedMetrics.reduce((a, b) => (difference(b) > difference(a) ? b : a));
  return {
    metrics,
    earlyLoss: relative.subarray(0, FOLLOWED_STEPS).reduce((a, b) => Math.max(a, b), 0),
    loss: relative.reduce((a, b) => Math.max(a, b), 0),
    metricDifference: difference(metric),
    metric,
  };
}

/** Of the metrics that every seed has on both sides. */
function metricComparisons(seeds: readonly SeedComparison[]): MetricComparison[] {
  return [...judgedMetrics, ...shownMetrics].flatMap((metric) => {
    const theirs = seeds.map((seed) => seed.theirs[metric]).filter((value) => value !== null);
    const ours = seeds.map((seed) => seed.ours?.[metric] ?? null).filter((value) => value !== null);
    if (theirs.length < seeds.length || ours.length < seeds.length) return [];
    const spread = spreadOf(theirs);
    const mean = meanOf(ours);
    const equalL0 = metric === 'l0' && Math.abs(mean / meanOf(theirs) - 1) <= L0_COUNTS_AS_EQUAL;
    const within = judgedMetrics.includes(metric) ? isWithin(mean, spread) || equalL0 : null;
    return [{ metric, theirs, ours, spread, within }];
  });
}

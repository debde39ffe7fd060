/**
 * One cell of the tree experiment: one architecture, world and seed, trained and judged.
 * @module
 */
import type { MatchedCosines } from '../evaluate.ts';
import type { ParentAbsorption } from '../metrics/absorption.ts';
import { evaluateTrained, streamsOf, trainOnWorld, type CurvePoint } from '../train.ts';
import { nabeshimaTree } from '../worlds/feature-tree.ts';
import { treeWorld } from '../worlds/tree-world.ts';
import { createSampler } from '../worlds/world.ts';
import {
  treeTrainConfig,
  type ArchitectureName,
  type TreeArchitecture,
  type TreeSettings,
} from './tree-settings.ts';

/** Plain data: it travels to a worker thread. */
export interface TreeJob {
  readonly settings: TreeSettings;
  readonly architecture: TreeArchitecture;
  readonly worldSeed: number;
  readonly seed: number;
}

/** Metrics that are averaged over seeds, in the order of the tables, with what they are called there. */
export const treeMetrics = {
  fullAbsorption: 'full absorption',
  absorptionFraction: 'absorption fraction',
  mainRecall: 'recall of parent latents',
  cleanGap: 'clean gap',
  edgeGap: 'edge gap',
  childLeak: 'child leak',
  hedge: 'hedge component',
  mcc: 'MCC',
  maxDecoderCosine: 'max decoder cosine',
  maxDecoderCosineAlive: 'max decoder cosine, alive',
  explainedVariance: 'explained variance',
  l0: 'L0, batch selection',
  thresholdL0: 'L0, threshold',
  f1: 'F1, closest feature',
  matchedF1: 'F1, matched feature',
  recall: 'recall, closest feature',
  deadLatents: 'dead latents',
} as const;

export type TreeMetric = keyof typeof treeMetrics;

export interface TreeCell {
  readonly architecture: ArchitectureName;
  readonly worldSeed: number;
  readonly seed: number;
  readonly samples: number;
  readonly metrics: Readonly<Record<TreeMetric, number | null>>;
  readonly parents: readonly ParentAbsorption[];
  readonly cosines: MatchedCosines;
  readonly curve: readonly CurvePoint[];
  readonly threshold: number;
  readonly mccDrift: number | null;
  readonly converged: boolean;
}

/** @param report - called with the steps done. */
export async function runTreeCell(
  job: TreeJob,
  report: (steps: number) => void,
): Promise<TreeCell> {
  const { settings, architecture, worldSeed, seed } = job;
  const run = {
    config: treeTrainConfig(settings, architecture),
    world: treeWorld(nabeshimaTree, worldSeed),
    seed,
    batch: settings.batch,
    curveSamples: settings.curveSamples,
  };
  const trained = await trainOnWorld(run, { onProgress: report });
  const fresh = createSampler(run.world, streamsOf(seed).evaluate).next(settings.evaluationSamples);
  const { evaluation, thresholdL0 } = evaluateTrained(trained.state, fresh, run);
  const { absorption, classification } = evaluation;
  return {
    architecture: architecture.name,
    worldSeed,
    seed,
    samples: evaluation.samples,
    metrics: {
      fullAbsorption: absorption.full,
      absorptionFraction: absorption.fraction,
      mainRecall: absorption.recall,
      cleanGap: absorption.cleanGap,
      edgeGap: absorption.edgeGap,
      childLeak: evaluation.childLeak,
      hedge: evaluation.hedge,
      mcc: evaluation.mcc,
      maxDecoderCosine: evaluation.maxDecoderCosine,
      maxDecoderCosineAlive: evaluation.maxDecoderCosineAlive,
      explainedVariance: evaluation.explainedVariance,
      l0: evaluation.l0,
      thresholdL0,
      f1: classification.f1,
      matchedF1: classification.matchedF1,
      recall: classification.recall,
      deadLatents: evaluation.deadLatents,
    },
    parents: absorption.parents,
    // The tree is small enough to show.
    cosines: evaluation.cosines!,
    curve: trained.curve,
    threshold: trained.state.threshold,
    mccDrift: trained.mccDrift,
    converged: trained.converged,
  };
}

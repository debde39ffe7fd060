/**
 * Every metric of one code on one labelled sample, as plain JSON.
 * @module
 */
import type { Matrix } from '../reference/matrix.ts';
import { absorption, rootAbsorption, type Absorption } from './metrics/absorption.ts';
import { leak } from './metrics/child-leak.ts';
import { classification, type Classification } from './metrics/classification.ts';
import { closestFeatures } from './metrics/closest-feature.ts';
import { cosines, foldDecoderNorms } from './metrics/code.ts';
import { judgeConcepts, noConcepts } from './metrics/concepts.ts';
import { aliveLatents, deadLatents } from './metrics/dead-latents.ts';
import type { ErasureCurve } from './metrics/erasure.ts';
import { explainedVariance } from './metrics/explained-variance.ts';
import { l0 } from './metrics/l0.ts';
import { absorptionSplits } from './metrics/main-latents.ts';
import { matchedCosines, type MatchedCosines } from './metrics/matched-cosines.ts';
import { maxDecoderCosine, maxDecoderCosineAlive } from './metrics/max-decoder-cosine.ts';
import { matchLatents } from './metrics/mcc.ts';
import { probedFeatures } from './metrics/probe-task.ts';
import { recovery } from './metrics/recovery.ts';
import { reconstructionBias, shrinkage } from './metrics/shrinkage.ts';
import { uniqueness } from './metrics/uniqueness.ts';
import { metricNames, type MetricName } from './metric-list.ts';
import type { Rng } from './rng.ts';
import type { SparseRows } from './sparse-rows.ts';
import type { World } from './worlds/world.ts';

export { metricList, type Metric, type MetricName } from './metric-list.ts';
export type { MatchedCosines } from './metrics/matched-cosines.ts';

/** What is judged, and the truth it is judged by. */
export interface Judged {
  /** (samples, d_sae), before decoder norms are folded in. */
  readonly latents: SparseRows;
  /** (d_sae, d_in). */
  readonly W_dec: Matrix;
  /** (samples, d_in). */
  readonly reconstruction: Matrix;
  /** (samples, d_in). */
  readonly x: Matrix;
  /** (samples, features). */
  readonly features: SparseRows;
  /** Mean number of latents that the SAE's inference lets through; left out of codes that are no trained SAE. */
  readonly thresholdL0?: number;
}

export interface EvaluationOptions {
  /**
   * Of the probes' splits and negatives: equal ones ask every code the same questions. Left out, nothing is probed, and
   * probing, erasure, TPP, SCR, RAVEL and unlearning are null: a curve's points have no use for them.
   */
  readonly rng?: Rng;
  /** Features with a probe. As {@link probedFeatures} says if left out. */
  readonly features?: readonly number[];
}

/** Null means "not defined here", never 0. */
export interface Evaluation {
  readonly samples: number;
  /** By name of `metricList`. */
  readonly metrics: Readonly<Record<MetricName, number | null>>;
  readonly l0: number;
  /** Never active in these samples. */
  readonly deadLatents: number;
  readonly mcc: number | null;
  readonly explainedVariance: number | null;
  readonly maxDecoderCosine: number | null;
  readonly maxDecoderCosineAlive: number | null;
  readonly childLeak: number | null;
  readonly hedge: number | null;
  /** With precision, recall and rate of every latent. */
  readonly classification: Classification;
  /** With the figures of every parent. */
  readonly absorption: Absorption;
  /** One for each parent that is probed. */
  readonly erasure: readonly ErasureCurve[];
  /** Decoder rows against true directions; null for worlds too large to show. */
  readonly cosines: MatchedCosines | null;
}

/** @throws {@link RangeError} if shapes do not fit or decoder rows are not finite. */
export function evaluate(
  judged: Judged,
  world: Pick<World, 'directions' | 'edges' | 'parents'>,
  { rng, features: probed }: EvaluationOptions = {},
): Evaluation {
  const { x, reconstruction, features } = judged;
  const code = foldDecoderNorms(judged.latents, judged.W_dec);
  const cosine = cosines(code.decoder, world.directions);
  const matching = matchLatents(cosine);
  const closest = closestFeatures(cosine);
  const alive = aliveLatents(code.latents);
  const detection = classification(code.latents, features, closest, matching);
  const absorbed = absorption(code, features, world, cosine, matching);
  const concepts =
    rng &&
    judgeConcepts(code, judged, features, world, probed ?? probedFeatures(features.cols), rng);
  const decoderCosine = maxDecoderCosine(code.decoder);
  const figures = {
    l0: l0(code.latents),
    deadLatents: deadLatents(code.latents),
    mcc: matching.mcc,
    explainedVariance: explainedVariance(x, reconstruction),
    maxDecoderCosine: decoderCosine,
    maxDecoderCosineAlive:
      alive.length === code.decoder.rows
        ? decoderCosine
        : maxDecoderCosineAlive(code.decoder, alive),
    ...leak(cosine, world.edges, matching, alive),
  };
  const { precision, recall, f1, matchedF1, featureF1 } = detection;
  const byName: Record<MetricName, number | null> = {
    fullAbsorption: absorbed.full,
    rootAbsorption: rootAbsorption(absorbed.parents, world.edges),
    absorptionFraction: absorbed.fraction,
    absorptionSplits: absorptionSplits(code.latents, features, world.edges),
    mainRecall: absorbed.recall,
    cleanGap: absorbed.cleanGap,
    edgeGap: absorbed.edgeGap,
    uniqueness: uniqueness(closest),
    featuresRecovered: recovery(cosine).recovered,
    precision,
    recall,
    f1,
    matchedF1,
    featureF1,
    shrinkage: shrinkage(x, reconstruction),
    reconstructionBias: reconstructionBias(x, reconstruction),
    ...(concepts?.metrics ?? noConcepts),
    ...figures,
    thresholdL0: judged.thresholdL0 ?? null,
  };
  return {
    samples: x.rows,
    metrics: inListOrder(byName),
    ...figures,
    classification: detection,
    absorption: absorbed,
    erasure: concepts?.erasure ?? [],
    cosines: matchedCosines(cosine, matching),
  };
}

function inListOrder<T>(values: Readonly<Record<MetricName, T>>): Record<MetricName, T> {
  return Object.fromEntries(metricNames.map((name) => [name, values[name]])) as Record<
    MetricName,
    T
  >;
}

/**
 * Latents as detectors of features: precision, recall and F1 of "latent active" for "feature on".
 * Definition: SAELens 6.54.12, synthetic/evals.py::ClassificationMetricsCalculator. There a latent is judged on the
 * feature its decoder row is closest to; matched F1, on one-to-one pairs, is told beside it because of near-ties.
 * @module
 */
import { columnCounts, columnsOf, type SparseRows } from '../sparse-rows.ts';
import type { ClosestFeatures } from './closest-feature.ts';
import { mean } from './mean.ts';
import type { Matching } from './mcc.ts';

/** All means are over latents unless said, dead latents included as 0; null without samples or latents. */
export interface Classification {
  readonly precision: number | null;
  readonly recall: number | null;
  /** Mean of the latents' F1; not the F1 of the mean precision and recall. */
  readonly f1: number | null;
  readonly accuracy: number | null;
  /** Mean F1 over one-to-one pairs of latent and feature. */
  readonly matchedF1: number | null;
  /** Mean over features that fire of the best latent's F1. */
  readonly featureF1: number | null;
  /** Features that never fire in the sample, left out of `featureF1`. */
  readonly silentFeatures: number;
  /** Latents with two closest features nearly equally close. */
  readonly nearTies: number;
  /** Every latent, ascending. */
  readonly detectors: readonly Detector[];
}

/** One latent, judged on its closest feature. */
export interface Detector {
  readonly latent: number;
  /** -1 without features. */
  readonly feature: number;
  readonly precision: number;
  readonly recall: number;
  /** Share of samples in which the latent is active; 0 without samples. */
  readonly rate: number;
}

/**
 * @param latents - (samples, d_sae), active where not 0.
 * @param features - (samples, features), on where not 0: activations are never negative.
 * @throws {@link RangeError} if the numbers of samples differ.
 */
export function classification(
  latents: SparseRows,
  features: SparseRows,
  closest: ClosestFeatures,
  matching: Matching,
): Classification {
  if (latents.rows !== features.rows) {
    throw new RangeError(
      `classification: expected as many rows of features as of latents, got ${features.rows} and ${latents.rows}`,
    );
  }
  const samples = latents.rows;
  const active = columnCounts(latents);
  const on = columnCounts(features);
  const count = coincidences(latents, features, active, on, closest, matching);
  const scores = Array.from(count.closest, (both, l) =>
    scoreOf(both, active[l], on[closest.feature[l]] ?? 0, samples),
  );
  const judged = scores.filter((_, l) => closest.feature[l] >= 0);
  const pairs = [...count.matched.keys()].filter((l) => matching.featureOf[l] >= 0);
  const pairF1 = (l: number): number =>
    f1Of(count.matched[l], active[l], on[matching.featureOf[l]]);
  const orNull = (value: number | null): number | null => (samples === 0 ? null : value);
  return {
    precision: orNull(mean(judged.map((s) => s.precision))),
    recall: orNull(mean(judged.map((s) => s.recall))),
    f1: orNull(mean(judged.map((s) => s.f1))),
    accuracy: orNull(mean(judged.map((s) => s.accuracy))),
    matchedF1: orNull(mean(pairs.map(pairF1))),
    featureF1: orNull(mean([...count.bestF1].filter((_, f) => on[f] > 0))),
    silentFeatures: on.filter((samplesOn) => samplesOn === 0).length,
    nearTies: closest.nearTies,
    detectors: scores.map(({ precision, recall }, latent) => ({
      latent,
      feature: closest.feature[latent],
      precision,
      recall,
      rate: ratio(active[latent], samples),
    })),
  };
}

interface Score {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  readonly accuracy: number;
}

function scoreOf(both: number, active: number, on: number, samples: number): Score {
  return {
    precision: ratio(both, active),
    recall: ratio(both, on),
    f1: f1Of(both, active, on),
    accuracy: ratio(samples - active - on + 2 * both, samples),
  };
}

/** 2 TP / (2 TP + FP + FN): the harmonic mean, 0 where nothing is active and nothing on. */
function f1Of(both: number, active: number, on: number): number {
  return ratio(2 * both, active + on);
}

/** Samples in which a latent is active and a feature on, as far as they are asked for. */
interface Coincidences {
  /** Each latent with its closest feature: (d_sae). */
  readonly closest: Int32Array;
  /** Each latent with its matched feature: (d_sae). */
  readonly matched: Int32Array;
  /** Each feature's best F1 over latents: (features). */
  readonly bestF1: Float64Array;
}

/** Feature by feature: the counts of all pairs would be the largest array of all. */
function coincidences(
  latents: SparseRows,
  features: SparseRows,
  active: Int32Array,
  on: Int32Array,
  { feature: closest }: ClosestFeatures,
  matching: Matching,
): Coincidences {
  const counts: Coincidences = {
    closest: new Int32Array(latents.cols),
    matched: new Int32Array(latents.cols),
    bestF1: new Float64Array(features.cols),
  };
  const pointing = Array.from({ length: features.cols }, (): number[] => []);
  closest.forEach((f, l) => f >= 0 && pointing[f].push(l));
  const byFeature = columnsOf(features);
  const both = new Int32Array(latents.cols);
  for (let f = 0; f < features.cols; f++) {
    both.fill(0);
    for (let i = byFeature.start[f]; i < byFeature.start[f + 1]; i++) {
      const n = byFeature.index[i];
      for (let e = latents.start[n]; e < latents.start[n + 1]; e++) both[latents.index[e]]++;
    }
    for (let l = 0; l < both.length; l++) {
      if (both[l] > 0)
        counts.bestF1[f] = Math.max(counts.bestF1[f], f1Of(both[l], active[l], on[f]));
    }
    for (const l of pointing[f]) counts.closest[l] = both[l];
    const partner = matching.latentOf[f];
    if (partner >= 0) counts.matched[partner] = both[partner];
  }
  return counts;
}

function ratio(numerator: number, denominator: number): number {
  return denominator === 0 ? 0 : numerator / denominator;
}

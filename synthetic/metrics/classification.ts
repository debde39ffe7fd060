/**
 * Latents as detectors of features: precision, recall and F1 of "latent active" for "feature on".
 * Definition: SAELens 6.54.12, synthetic/evals.py::ClassificationMetricsCalculator. There a latent is judged on the
 * feature its decoder row is closest to, and a latent with equal cosine to two features is judged on whichever comes
 * first: under absorption that is the world's norms deciding. Hence the count of near-ties, and matched F1 beside.
 * @module
 */
import type { Matrix } from '../../reference/matrix.ts';
import { matrix, row } from '../../reference/matrix.ts';
import { mean } from './mean.ts';
import type { Matching } from './mcc.ts';

/** Two best cosines closer than this are a near-tie. */
export const NEAR_TIE = 0.02;

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
  /** Latents whose two closest features are within {@link NEAR_TIE}. */
  readonly nearTies: number;
}

/**
 * @param latents - (samples, d_sae), active where not 0.
 * @param features - (samples, features), on where > 0.
 * @param cosine - (d_sae, features).
 */
export function classification(
  latents: Matrix,
  features: Matrix,
  cosine: Matrix,
  matching: Matching,
): Classification {
  const samples = latents.rows;
  const counts = coincidences(latents, features);
  const score = (l: number, f: number): Score => scoreOf(counts, samples, l, f);

  const closest = Array.from({ length: cosine.rows }, (_, l) => closestFeature(row(cosine, l)));
  const all = [...closest.keys()];
  const judged = closest.flatMap(({ feature }, l) => (feature < 0 ? [] : [score(l, feature)]));
  const pairs = all.filter((l) => matching.featureOf[l] >= 0);
  const firing = [...counts.features.keys()].filter((f) => counts.features[f] > 0);
  const orNull = (value: number | null): number | null => (samples === 0 ? null : value);
  return {
    precision: orNull(mean(judged.map((s) => s.precision))),
    recall: orNull(mean(judged.map((s) => s.recall))),
    f1: orNull(mean(judged.map((s) => s.f1))),
    accuracy: orNull(mean(judged.map((s) => s.accuracy))),
    matchedF1: orNull(mean(pairs.map((l) => score(l, matching.featureOf[l]).f1))),
    featureF1: orNull(
      mean(firing.map((f) => all.reduce((best, l) => Math.max(best, score(l, f).f1), 0))),
    ),
    silentFeatures: counts.features.length - firing.length,
    nearTies: closest.filter(({ nearTie }) => nearTie).length,
  };
}

/** argmax |cosine|, the lowest index among equals; -1 without features. */
function closestFeature(cosine: Float64Array): { feature: number; nearTie: boolean } {
  let feature = -1;
  let best = -1;
  let second = -1;
  cosine.forEach((value, f) => {
    const size = Math.abs(value);
    if (size > best) {
      second = best;
      best = size;
      feature = f;
    } else if (size > second) second = size;
  });
  return { feature, nearTie: second >= 0 && best - second < NEAR_TIE };
}

interface Score {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  readonly accuracy: number;
}

function scoreOf(counts: Coincidences, samples: number, l: number, f: number): Score {
  const both = counts.both.data[l * counts.both.cols + f];
  const active = counts.latents[l];
  const on = counts.features[f];
  return {
    precision: ratio(both, active),
    recall: ratio(both, on),
    // 2 TP / (2 TP + FP + FN): the harmonic mean, 0 where nothing is active and nothing on.
    f1: ratio(2 * both, active + on),
    accuracy: ratio(samples - active - on + 2 * both, samples),
  };
}

/** Number of samples where a latent is active, a feature on, and both. */
export interface Coincidences {
  readonly latents: Float64Array;
  readonly features: Float64Array;
  /** (d_sae, features). */
  readonly both: Matrix;
}

/** @throws {@link RangeError} if the numbers of samples differ. */
export function coincidences(latents: Matrix, features: Matrix): Coincidences {
  if (latents.rows !== features.rows) {
    throw new RangeError(
      `coincidences: expected as many rows of features as of latents, got ${features.rows} and ${latents.rows}`,
    );
  }
  const activeCount = new Float64Array(latents.cols);
  const onCount = new Float64Array(features.cols);
  const both = matrix(latents.cols, features.cols);
  for (let n = 0; n < latents.rows; n++) {
    const on: number[] = [];
    row(features, n).forEach((value, f) => {
      if (value > 0) on.push(f);
    });
    for (const f of on) onCount[f]++;
    row(latents, n).forEach((z, l) => {
      if (z === 0) return;
      activeCount[l]++;
      for (const f of on) both.data[l * features.cols + f]++;
    });
  }
  return { latents: activeCount, features: onCount, both };
}

function ratio(numerator: number, denominator: number): number {
  return denominator === 0 ? 0 : numerator / denominator;
}

/**
 * Rows of a SynthSAEBench world: who fires, how strongly, and who survives parents and siblings. Exact in distribution and
 * without ever drawing what cannot be seen: given the row's shared normals ε all features are independent, so a child is
 * drawn only under a parent that is on, and rare free features only where they might fire (candidates.ts).
 * Definition: SAELens 6.54.12, synthetic/activation_generator.py::_generate_low_rank_correlated_features, then
 * hierarchy/modifier.py::_apply_hierarchy_sparse level by level: gate or scale by the parent, then keep one of the
 * exclusive children that are on.
 * @module
 */
import type { Rng } from '../rng.ts';
import { candidatePicker } from './candidates.ts';
import type { Forest } from './forest.ts';
import type { LowRankCorrelation } from './low-rank-correlation.ts';
import { belowUpperTail, surelyNotBelow } from './tail-table.ts';
import type { FireRow } from './world.ts';

export interface SynthFiring {
  /** t, (features): a feature fires where its normal exceeds it. */
  readonly thresholds: Float64Array;
  readonly correlation: LowRankCorrelation;
  readonly forest: Forest;
  /** Mean and standard deviation of activations, before they are cut at 0, (features). */
  readonly mean: Float64Array;
  readonly sd: Float64Array;
  readonly scaleChildren: boolean;
}

/** A stream of rows; features in the forest come in ascending order, free ones after them in any. */
export function synthRows(
  { thresholds, correlation, forest, mean, sd, scaleChildren }: SynthFiring,
  rng: Rng,
): FireRow {
  const { own } = correlation;
  const { firstChild, childCount, exclusive } = forest;
  const tryCandidates = candidatePicker(
    freeFeatures(thresholds.length, forest),
    thresholds,
    correlation,
  );
  const { width, half, factor, rest } = inFours(correlation, thresholds.length);
  const shared = new Float64Array(width);
  /** |ε| from `half` on. */
  let restLength = 0;
  // Features of the forest that are on, level by level, and their activations.
  const on = new Int32Array(forest.size);
  const activation = new Float64Array(forest.size);
  let count = 0;

  /**
   * v < P(the feature's normal exceeds its threshold | shared). Four sums, as additions in a row wait for each other.
   * Half the products settle most features: the others add no more than |U| |ε| of that half (Cauchy–Schwarz).
   */
  function exceeds(feature: number, v: number): boolean {
    let a = 0;
    let b = 0;
    let c = 0;
    let d = 0;
    let at = feature * width;
    let r = 0;
    for (; r < half; r += 4, at += 4) {
      a += factor[at] * shared[r];
      b += factor[at + 1] * shared[r + 1];
      c += factor[at + 2] * shared[r + 2];
      d += factor[at + 3] * shared[r + 3];
    }
    const most = a + b + (c + d) + rest[feature] * restLength;
    if (surelyNotBelow(v, (thresholds[feature] - most) / own[feature])) return false;
    for (; r < width; r += 4, at += 4) {
      a += factor[at] * shared[r];
      b += factor[at + 1] * shared[r + 1];
      c += factor[at + 2] * shared[r + 2];
      d += factor[at + 3] * shared[r + 3];
    }
    return belowUpperTail(v, (thresholds[feature] - (a + b + (c + d))) / own[feature]);
  }

  /** Puts the feature on the list if it is on. */
  function draw(feature: number, byParent: number): void {
    if (!exceeds(feature, rng.uniform())) return;
    const value = (mean[feature] + sd[feature] * rng.normal()) * byParent;
    if (!(value > 0)) return;
    on[count] = feature;
    activation[count++] = value;
  }

  return (fire) => {
    let square = 0;
    for (let r = 0; r < correlation.rank; r++) {
      shared[r] = rng.normal();
      square += shared[r] * shared[r];
    }
    restLength = lengthFrom(shared, half);
    count = 0;
    for (let root = 0; root < forest.roots; root++) draw(root, 1);
    for (let at = 0; at < count; at++) {
      const parent = on[at];
      fire(parent, activation[at]);
      const byParent = scaleChildren ? activation[at] / mean[parent] : 1;
      const start = count;
      for (let c = 0; c < childCount[parent]; c++) draw(firstChild[parent] + c, byParent);
      if (exclusive[parent] === 1 && count - start > 1) {
        const kept = start + rng.below(count - start);
        on[start] = on[kept];
        activation[start] = activation[kept];
        count = start + 1;
      }
    }
    tryCandidates(Math.sqrt(square), rng, (feature, v) => {
      if (!exceeds(feature, v)) return;
      const value = mean[feature] + sd[feature] * rng.normal();
      if (value > 0) fire(feature, value);
    });
  };
}

/** Those outside the forest. */
export function freeFeatures(features: number, { size }: Forest): number[] {
  return Array.from({ length: features - size }, (_, i) => size + i);
}

export interface InFours {
  /** Values of a row, a multiple of four, and those of them that are multiplied first. */
  readonly width: number;
  readonly half: number;
  /** U, (features, width): rows padded by zeros. */
  readonly factor: Float64Array;
  /** |U_i| from `half` on, (features): a shade above it, so that no rounding makes a product larger than its bound. */
  readonly rest: Float64Array;
}

export function inFours({ rank, factor }: LowRankCorrelation, features: number): InFours {
  const width = Math.ceil(rank / 4) * 4;
  const half = Math.floor(width / 8) * 4;
  const padded = new Float64Array(features * width);
  const rest = new Float64Array(features);
  for (let f = 0; f < features; f++) {
    const u = padded.subarray(f * width, (f + 1) * width);
    u.set(factor.subarray(f * rank, (f + 1) * rank));
    rest[f] = lengthFrom(u, half) * (1 + 1e-9);
  }
  return { width, half, factor: padded, rest };
}

function lengthFrom(values: Float64Array, start: number): number {
  let square = 0;
  for (let i = start; i < values.length; i++) square += values[i] * values[i];
  return Math.sqrt(square);
}

/**
 * Probabilities in forests: what to draw a child with so that it fires as often as it should, and how often every feature
 * then fires. Without correlation between features.
 * @module
 */
import type { Forest } from './forest.ts';
import type { ForestParams } from './params.ts';

/** Probabilities that features are drawn with, given their parent is on. */
export interface Compensated {
  readonly drawn: Float64Array;
  readonly warnings: readonly string[];
}

/**
 * q = p / p_parent, and (1 + Σ p / p_parent over its siblings) times that where siblings exclude each other. Roots and free
 * features keep p. Base probabilities throughout, so a child's rate is met only nearly.
 * Source: SAELens 6.54.12, synthetic/hierarchy/hierarchy.py::compute_probability_correction_factors.
 * @param base - p, (features).
 * @throws {@link RangeError} if a q reaches 1 where its p does not, and `mode` is refuse.
 */
export function compensate(
  base: Float64Array,
  forest: Forest,
  mode: ForestParams['compensate'],
): Compensated {
  const drawn = base.slice();
  if (mode === 'no') return { drawn, warnings: [] };
  let clamped = 0;
  let largest = 0;
  let worst = -1;
  for (let node = forest.roots; node < forest.size; node++) {
    const parent = forest.parent[node];
    let q = base[node] / base[parent];
    if (forest.exclusive[parent] === 1) {
      q *= 1 + (siblingSum(base, forest, parent) - base[node]) / base[parent];
    }
    if (q >= 1 && base[node] < 1) {
      clamped++;
      if (q > largest) [largest, worst] = [q, node];
    }
    drawn[node] = Math.min(1, q);
  }
  if (clamped === 0) return { drawn, warnings: [] };
  const what = `P(feature ${worst} | its parent) would have to be ${largest.toPrecision(4)}`;
  if (mode === 'refuse') {
    throw new RangeError(
      `forest.compensate: expected probabilities below 1 after compensation, but ${what}; ` +
        'lower firing.p_max, add roots, or let them be clamped',
    );
  }
  return {
    drawn,
    warnings: [
      `forest.compensate: ${clamped} probabilities clamped to 1, so these features fire too rarely; ${what}`,
    ],
  };
}

function siblingSum(base: Float64Array, forest: Forest, parent: number): number {
  let sum = 0;
  for (let c = 0; c < forest.childCount[parent]; c++) sum += base[forest.firstChild[parent] + c];
  return sum;
}

/**
 * P(on) of every feature. Members of an exclusive group are drawn apart and one of those that are on is kept, each as
 * likely: a child is left with q Σ_k P(K = k) / (1 + k), K the number of its siblings that are on.
 * @param drawn - q, (features).
 */
export function firingRates(drawn: Float64Array, forest: Forest): Float64Array {
  const rates = drawn.slice();
  for (let parent = 0; parent < forest.size; parent++) {
    const start = forest.firstChild[parent];
    const group = drawn.subarray(start, start + forest.childCount[parent]);
    for (let c = 0; c < group.length; c++) {
      const kept = forest.exclusive[parent] === 1 ? keptShare(group, c) : 1;
      rates[start + c] = rates[parent] * group[c] * kept;
    }
  }
  return rates;
}

/** Σ_k P(K = k) / (1 + k) for member c: K is Poisson-binomial over the others. */
function keptShare(group: Float64Array, c: number): number {
  // counts[k] = P(K = k) over the members seen so far.
  const counts = new Float64Array(group.length);
  counts[0] = 1;
  for (let m = 0; m < group.length; m++) {
    if (m === c) continue;
    for (let k = group.length - 1; k >= 0; k--) {
      counts[k] = counts[k] * (1 - group[m]) + (k > 0 ? counts[k - 1] * group[m] : 0);
    }
  }
  return counts.reduce((sum, p, k) => sum + p / (1 + k), 0);
}

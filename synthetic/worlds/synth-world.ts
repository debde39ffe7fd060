/**
 * Many sparse features in fewer dimensions: Zipf firing, a forest of exclusive children, weak correlation among all, spread
 * magnitudes, and directions that are pushed apart but not orthogonal.
 * Source: SAELens 6.54.12, synthetic/synthetic_model.py; settings of SynthSAEBench (arXiv:2602.14687) from
 * github.com/decoderesearch/synth-sae-bench-experiments @66eee05. Equal in distribution, not in bits.
 * @module
 */
import type { Matrix } from '../../reference/matrix.ts';
import { createRng, type Rng } from '../rng.ts';
import { compensate, firingRates } from './compensation.ts';
import { unitRows } from './directions.ts';
import { compiledRows } from './compiled-rows.ts';
import { buildForest, noForest, type Forest } from './forest.ts';
import { keptDirections } from './kept-directions.ts';
import { independent, lowRankCorrelation } from './low-rank-correlation.ts';
import { upperQuantile } from './normal.ts';
import type { SynthParams } from './params.ts';
import { pushApart } from './push-apart.ts';
import type { Edge, World, WorldStatistics } from './world.ts';
import { zipfProbabilities } from './zipf.ts';

/**
 * Directions are made when first asked for, and cost 1.5 F d² products for each step that pushes them apart:
 * seconds for 1,024 features, minutes for 16,384 in 768 dimensions. Those are kept on disk, the last ones in memory too.
 * @param made - directions of the same world.
 * @throws {@link RangeError} naming the parameter that is impossible and its value.
 */
export function synthWorld(params: SynthParams, seed: number, made?: Matrix): World {
  checkNumbers(params);
  const { features, d_in } = params;
  const rng = createRng(seed);
  const base = zipfProbabilities(features, params.firing);
  const forest = params.forest
    ? buildForest(features, params.forest, rng.split('forest'))
    : noForest;
  const compensated = compensate(base, forest, params.forest?.compensate ?? 'no');
  const correlation = params.correlation
    ? lowRankCorrelation(features, params.correlation, rng.split('correlation'))
    : independent(features);
  const { mean, sd } = magnitudesOf(params, rng.split('magnitudes'));
  const firing = {
    thresholds: compensated.drawn.map(upperQuantile),
    correlation,
    forest,
    mean,
    sd,
    scaleChildren: params.forest?.scaleChildren ?? false,
  };
  const edges = edgesOf(forest);
  let directions = made;
  return {
    name: params.name,
    seed,
    d_in,
    features: namesOf(features, forest),
    edges,
    parents: [...new Set(edges.map(({ parent }) => parent))],
    get directions() {
      directions ??= directionsOf(params, seed);
      return directions;
    },
    bias: unitRows(1, d_in, rng.split('bias')).data.map((value) => value * params.bias),
    statistics: statisticsOf(params, compensated.drawn, forest),
    warnings: [...compensated.warnings, ...correlation.warnings],
    rowsPerBlock: params.rowsPerBlock,
    ...compiledRows(firing),
  };
}

/** The last directions made: cells of an experiment that run after one another mostly share their world. */
let kept: { key: string; directions: Matrix } | undefined;

function directionsOf(params: SynthParams, seed: number): Matrix {
  const { features, d_in, orthogonalisation } = params;
  const key = JSON.stringify([features, d_in, orthogonalisation, seed]);
  if (kept?.key !== key) {
    const directions = keptDirections(params, seed, () => {
      const made = unitRows(features, d_in, createRng(seed).split('directions'));
      pushApart(made, orthogonalisation.steps, orthogonalisation.learningRate);
      return made;
    });
    kept = { key, directions };
  }
  return kept.directions;
}

function magnitudesOf(
  { features, magnitudes: { first, last, spread } }: SynthParams,
  rng: Rng,
): { mean: Float64Array; sd: Float64Array } {
  const step = features === 1 ? 0 : (last - first) / (features - 1);
  return {
    mean: Float64Array.from({ length: features }, (_, f) => first + f * step),
    sd: Float64Array.from({ length: features }, () =>
      Math.abs(spread.mean + spread.sd * rng.normal()),
    ),
  };
}

function edgesOf(forest: Forest): Edge[] {
  return Array.from({ length: forest.size - forest.roots }, (_, i) => {
    const child = forest.roots + i;
    return { parent: forest.parent[child], child };
  });
}

/** Roots by number, a child by its parent's name and its place: 3, 3.1, 3.1.4. Free features by number. */
function namesOf(features: number, forest: Forest): string[] {
  const names: string[] = [];
  for (let f = 0; f < features; f++) {
    const parent = f < forest.size ? forest.parent[f] : -1;
    if (parent >= 0) names.push(`${names[parent]}.${f - forest.firstChild[parent] + 1}`);
    else names.push(f < forest.size ? `${f}` : `free ${f}`);
  }
  return names;
}

/** Without correlation, and as if no activation were cut at 0. */
function statisticsOf(params: SynthParams, drawn: Float64Array, forest: Forest): WorldStatistics {
  const rates = firingRates(drawn, forest);
  const parents = [...forest.childCount.keys()]
    .filter((node) => forest.childCount[node] > 0)
    .map((parent) => {
      const children = Array.from(
        { length: forest.childCount[parent] },
        (_, c) => forest.firstChild[parent] + c,
      );
      return {
        parent,
        children,
        givenParent: children.map((child) => rates[child] / rates[parent]),
        noChild: children.reduce((p, child) => p * (1 - drawn[child]), 1),
      };
    });
  const expectedL0 = rates.reduce((sum, p) => sum + p, 0);
  const absorbed = parents.reduce((sum, p) => sum + rates[p.parent] * (1 - p.noChild), 0);
  const { spread } = params.magnitudes;
  return {
    marginals: [...rates],
    expectedL0,
    absorbedL0: expectedL0 - absorbed,
    silent: rates.reduce(
      (p, rate, f) => (f < forest.roots || f >= forest.size ? p * (1 - rate) : p),
      1,
    ),
    parents,
    exact: params.correlation === null && spread.mean === 0 && spread.sd === 0,
  };
}

function checkNumbers(params: SynthParams): void {
  const { features, d_in, magnitudes, orthogonalisation, bias, rowsPerBlock } = params;
  const require = (fine: boolean, what: string, expected: string, value: number): void => {
    if (!fine) throw new RangeError(`${what}: expected ${expected}, got ${value}`);
  };
  const whole = (what: string, value: number, least: number): void =>
    require(Number.isInteger(value) && value >= least, what, `a whole number >= ${least}`, value);
  const above = (what: string, value: number): void =>
    require(value > 0 && value < Infinity, what, 'a number > 0', value);
  const notBelow = (what: string, value: number): void =>
    require(value >= 0 && value < Infinity, what, 'a number >= 0', value);
  whole('features', features, 1);
  whole('d_in', d_in, 1);
  above('magnitudes.first', magnitudes.first);
  above('magnitudes.last', magnitudes.last);
  require(Number.isFinite(magnitudes.spread.mean), 'magnitudes.spread.mean', 'a number', magnitudes
    .spread.mean);
  notBelow('magnitudes.spread.sd', magnitudes.spread.sd);
  whole('orthogonalisation.steps', orthogonalisation.steps, 0);
  above('orthogonalisation.learningRate', orthogonalisation.learningRate);
  notBelow('bias', bias);
  whole('rowsPerBlock', rowsPerBlock, 0);
}

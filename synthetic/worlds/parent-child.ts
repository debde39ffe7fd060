/**
 * Worlds of a few features in orthonormal directions, each with at most one parent, or with correlated firing: where
 * absorption and hedging can be worked out by hand.
 * Sources: github.com/chanind/feature-hedging-paper @bd59db2, github.com/chanind/sparse-but-wrong-paper @d5886b5,
 * github.com/dtch1997/tms-kit @429f171.
 * @module
 */
import type { Matrix } from '../../reference/matrix.ts';
import { createRng, type Rng } from '../rng.ts';
import {
  cholesky,
  pairCorrelation,
  randomCorrelation,
  type Correlation,
} from './dense-correlation.ts';
import { orthonormalRows } from './directions.ts';
import { upperQuantile } from './normal.ts';
import type { ParentChildParams, ToyFeature } from './params.ts';
import type { Edge, FireRow, World, WorldStatistics } from './world.ts';

/**
 * @throws {@link RangeError} naming the parameter: no feature or more than d_in; a probability outside [0, 1]; a parent that is no
 *   feature, or a cycle of parents; a magnitude mean not above 0 or sd below 0; a correlation that cannot be, or one
 *   together with parents.
 */
export function parentChildWorld(params: ParentChildParams, seed: number): World {
  const { name, features, d_in } = params;
  const order = parentsFirst(params);
  checkNumbers(params);
  const rng = createRng(seed);
  const correlation = correlationOf(params, rng.split('correlation'));
  const edges = features.flatMap(({ parent, withoutParent }, child) =>
    parent === null || withoutParent > 0 ? [] : [{ parent, child }],
  );
  const mix = correlation && cholesky(correlation.matrix);
  return {
    name,
    seed,
    d_in,
    features: features.map((_, f) => `feature ${f}`),
    edges,
    parents: [...new Set(edges.map(({ parent }) => parent))].sort((a, b) => a - b),
    directions: orthonormalRows(features.length, d_in, rng.split('directions')),
    bias: new Float64Array(d_in),
    statistics: statisticsOf(params, order, edges),
    warnings: correlation?.warnings ?? [],
    firing: (rows) => firing(params, order, mix, rows),
  };
}

/** Features, every parent before its children. */
function parentsFirst({ name, features }: ParentChildParams): number[] {
  const order: number[] = [];
  const state = new Array<'new' | 'open' | 'done'>(features.length).fill('new');
  const visit = (f: number): void => {
    if (state[f] === 'done') return;
    if (state[f] === 'open') {
      throw new RangeError(
        `world ${name}, feature ${f}: expected no cycle, but it is its own ancestor`,
      );
    }
    state[f] = 'open';
    const { parent } = features[f];
    if (parent !== null) {
      if (!Number.isInteger(parent) || parent < 0 || parent >= features.length) {
        throw new RangeError(
          `world ${name}, feature ${f}: expected a parent in 0..${features.length - 1}, got ${parent}`,
        );
      }
      visit(parent);
    }
    state[f] = 'done';
    order.push(f);
  };
  features.forEach((_, f) => visit(f));
  return order;
}

function checkNumbers({ name, d_in, features, correlation, magnitude }: ParentChildParams): void {
  if (features.length === 0)
    throw new RangeError(`world ${name}: expected at least 1 feature, got 0`);
  if (!Number.isInteger(d_in) || d_in < features.length) {
    throw new RangeError(
      `world ${name}: expected d_in >= ${features.length} for orthogonal directions, got ${d_in}`,
    );
  }
  features.forEach(({ probability, withoutParent, parent }, f) => {
    for (const [what, p] of Object.entries({ probability, withoutParent })) {
      if (!(p >= 0 && p <= 1)) {
        throw new RangeError(`world ${name}, feature ${f}: expected ${what} in [0, 1], got ${p}`);
      }
    }
    if (parent === null && withoutParent !== 0) {
      throw new RangeError(
        `world ${name}, feature ${f}: expected withoutParent 0 as it has no parent, got ${withoutParent}`,
      );
    }
    if (parent !== null && correlation !== null) {
      throw new RangeError(
        `world ${name}, feature ${f}: expected no parent in a world with a correlation, got ${parent}`,
      );
    }
  });
  if (!(magnitude.mean > 0 && magnitude.mean < Infinity)) {
    throw new RangeError(`magnitude.mean: expected a number > 0, got ${magnitude.mean}`);
  }
  if (!(magnitude.sd >= 0 && magnitude.sd < Infinity)) {
    throw new RangeError(`magnitude.sd: expected a number >= 0, got ${magnitude.sd}`);
  }
}

function correlationOf({ features, correlation }: ParentChildParams, rng: Rng): Correlation | null {
  if (correlation === null) return null;
  return correlation.kind === 'pairs'
    ? pairCorrelation(features.length, correlation)
    : randomCorrelation(features.length, correlation, rng);
}

/** Marginals are exact with a correlation too; what depends on two features is not derived then. */
function statisticsOf(
  { features, correlation }: ParentChildParams,
  order: readonly number[],
  edges: readonly Edge[],
): WorldStatistics {
  const marginals = new Array<number>(features.length).fill(0);
  for (const f of order) {
    const { probability, parent, withoutParent } = features[f];
    const parentOn = parent === null ? 1 : marginals[parent];
    marginals[f] = parentOn * probability + (1 - parentOn) * withoutParent;
  }
  const childrenOf = (f: number): number[] =>
    [...features.keys()].filter((child) => features[child].parent === f);
  // P(neither f nor anything below it is on | f on with probability p).
  const quiet = (f: number, p: number): number =>
    childrenOf(f).reduce((all, c) => all * quiet(c, features[c].withoutParent), 1 - p);
  const parents = [...new Set(edges.map(({ parent }) => parent))]
    .sort((a, b) => a - b)
    .map((parent) => {
      const children = edges.filter((edge) => edge.parent === parent).map(({ child }) => child);
      const givenParent = children.map((child) => features[child].probability);
      return {
        parent,
        children,
        givenParent,
        noChild: givenParent.reduce((p, q) => p * (1 - q), 1),
      };
    });
  const expectedL0 = marginals.reduce((sum, p) => sum + p, 0);
  const absorbed = parents.reduce((sum, p) => sum + marginals[p.parent] * (1 - p.noChild), 0);
  const roots = [...features.keys()].filter((f) => features[f].parent === null);
  return {
    marginals,
    expectedL0,
    absorbedL0: expectedL0 - absorbed,
    silent:
      correlation === null
        ? roots.reduce((p, f) => p * quiet(f, features[f].probability), 1)
        : null,
    parents,
    exact: correlation === null,
  };
}

/** @param mix - L of the copula: feature f fires where (L z)_f exceeds its threshold. Null: apart. */
function firing(
  { features, magnitude }: ParentChildParams,
  order: readonly number[],
  mix: Matrix | null,
  rng: Rng,
): FireRow {
  const on = new Uint8Array(features.length);
  const drawPattern = mix === null ? parentsThenChildren : copula(features, mix);

  function parentsThenChildren(): void {
    for (const f of order) {
      const { probability, parent, withoutParent } = features[f];
      const p = parent === null || on[parent] === 1 ? probability : withoutParent;
      on[f] = rng.uniform() < p ? 1 : 0;
    }
  }

  function copula(toys: readonly ToyFeature[], { data }: Matrix): () => void {
    const thresholds = toys.map(({ probability }) => upperQuantile(probability));
    const z = new Float64Array(toys.length);
    return () => {
      for (let f = 0; f < z.length; f++) z[f] = rng.normal();
      for (let f = 0; f < z.length; f++) {
        let y = 0;
        for (let g = 0; g <= f; g++) y += data[f * z.length + g] * z[g];
        on[f] = y > thresholds[f] ? 1 : 0;
      }
    };
  }

  return (fire) => {
    drawPattern();
    for (let f = 0; f < on.length; f++) {
      if (on[f] === 0) continue;
      const { mean, sd } = magnitude;
      const activation = sd === 0 ? mean : mean + sd * rng.normal();
      if (activation > 0) fire(f, activation);
    }
  };
}

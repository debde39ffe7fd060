/**
 * The world's features as it makes them fire: trees, probabilities, and which siblings exclude one another.
 * @module
 */
import type { ExperimentResults } from '../experiments/results.ts';
import type { ParentStatistics } from '../worlds/world.ts';
import { formatNumber } from '../page.ts';
import { forest } from '../plots.ts';
import type { Picture } from './picture.ts';

export function worldPicture({ world }: ExperimentResults): Picture {
  const { statistics, features, edges } = world;
  const exclusive = statistics.parents.filter(excludes).map(({ parent }) => parent);
  const given = new Map(
    statistics.parents.flatMap(({ children, givenParent }) =>
      children.map((child, i) => [child, givenParent[i]] as const),
    ),
  );
  const free =
    features.length - new Set(edges.flatMap(({ parent, child }) => [parent, child])).size;
  const found =
    `${features.length} features, ` +
    (edges.length === 0
      ? 'none of which depends on another'
      : `${statistics.parents.length} of them parents with ${edges.length} children, ${free} on their own`) +
    `; ${formatNumber(Number(statistics.expectedL0.toPrecision(4)))} are on at a time`;
  return {
    name: 'world',
    svg: forest({
      title: `The world ${world.name}`,
      alt: `${found}.`,
      features: features.map((label, f) => ({ label, probability: statistics.marginals[f] })),
      edges,
      exclusive,
      given: (child) => given.get(child) ?? null,
    }),
    caption: `${found}. The number beside a feature is P(on).`,
  };
}

/** P(no child | parent) is 1 − Σ P(child | parent) where children exclude one another, ∏ (1 − P) where they do not. */
function excludes({ givenParent, noChild }: ParentStatistics): boolean {
  const sum = givenParent.reduce((total, p) => total + p, 0);
  const possible = givenParent.filter((p) => p > 0).length;
  return possible > 1 && Math.abs(noChild - (1 - sum)) < 1e-9;
}

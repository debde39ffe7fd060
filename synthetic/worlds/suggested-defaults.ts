/**
 * What experiments on a world of one's own take where nothing is given.
 * @module
 */
import type { WorldDefaults } from './params.ts';
import type { World } from './world.ts';

/** Levels of the Matryoshka: fewer tell parents and children of a small tree apart less well. */
const LEVELS = 6;

/** Learning rate of the canonical dialect for 16,384 latents, to be divided by the root of the width's share of it. */
const RATE = { base: 2e-4, d_sae: 2 ** 14, most: 5e-3 } as const;

/**
 * A latent for every feature where all can be orthogonal, else for one in four; the mean number of features on among as
 * many of the most frequent; levels from the number of roots to the width.
 * @param d_sae - latents, where they are given.
 */
export function suggestedDefaults(
  world: World,
  d_sae: number = suggestedWidth(world),
): WorldDefaults {
  return {
    d_sae,
    k: suggestedL0(world, d_sae),
    prefixes: suggestedPrefixes(world, d_sae),
    steps: 4000,
    batch: 512,
    learningRate: Number(
      Math.min(RATE.most, RATE.base * Math.sqrt(RATE.d_sae / d_sae)).toPrecision(2),
    ),
    evaluationSamples: 20_000,
  };
}

function suggestedWidth({ features, d_in }: World): number {
  return features.length <= d_in ? features.length : Math.max(1, Math.round(features.length / 4));
}

/** A whole number from 2.5, below that three digits. */
function suggestedL0({ statistics }: World, d_sae: number): number {
  const frequent = [...statistics.marginals].sort((a, b) => b - a).slice(0, d_sae);
  const l0 = frequent.reduce((sum, p) => sum + p, 0);
  return l0 < 2.5 ? Number(l0.toPrecision(3)) : Math.round(l0);
}

/** Ascending to d_sae, evenly on a logarithmic scale. */
export function suggestedPrefixes({ edges, parents }: World, d_sae: number): number[] {
  const children = new Set(edges.map(({ child }) => child));
  const roots = parents.filter((parent) => !children.has(parent)).length;
  // Without a hierarchy as the paper begins: a 32nd.
  const first = Math.min(d_sae, roots === 0 ? Math.ceil(d_sae / 32) : roots);
  const levels = Array.from({ length: LEVELS }, (_, g) =>
    Math.round(first * (d_sae / first) ** (g / (LEVELS - 1))),
  );
  return [...new Set(levels)];
}

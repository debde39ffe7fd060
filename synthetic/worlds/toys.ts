/**
 * The published toys of parents, children and correlated features, by name.
 * Sources: dtch1997/tms-kit @429f171, experiments/feature_absorption/run.py (independent4, absorb4);
 * chanind/feature-hedging-paper @bd59db2, notebooks/single_latent_hedging_plots, multi_latent_hedging_plots,
 * balancing_hedging_and_absorption (hedge*, balance, unbalanceable); chanind/sparse-but-wrong-paper @d5886b5,
 * notebooks/small_toy_model_experiments, main_toy_model_experiments (correlated*).
 * @module
 */
import type { ParentChildParams, ToyFeature, WorldDefaults } from './params.ts';

interface Toy {
  readonly params: ParentChildParams;
  readonly defaults: WorldDefaults;
}

const root = (probability: number): ToyFeature => ({ probability, parent: null, withoutParent: 0 });
const child = (parent: number, probability: number, withoutParent = 0): ToyFeature => ({
  probability,
  parent,
  withoutParent,
});

function toy(
  name: string,
  features: readonly ToyFeature[],
  experiment: Pick<WorldDefaults, 'd_sae' | 'k'> & Partial<WorldDefaults>,
  more: Partial<ParentChildParams> = {},
): Toy {
  return {
    params: {
      kind: 'parent-child',
      name,
      d_in: 50,
      features,
      correlation: null,
      magnitude: { mean: 1, sd: 0 },
      ...more,
    },
    defaults: {
      prefixes: [experiment.d_sae],
      steps: 4000,
      batch: 512,
      learningRate: 3e-3,
      evaluationSamples: 20_000,
      ...experiment,
    },
  };
}

/** Feature 0 with the others; the others apart. */
function withFeature0(rho: number): Partial<ParentChildParams> {
  return {
    d_in: 20,
    correlation: {
      kind: 'pairs',
      pairs: [1, 2, 3, 4].map((second) => ({ first: 0, second, rho })),
    },
    magnitude: { mean: 1, sd: 0.15 },
  };
}

const five = Array.from({ length: 5 }, () => root(0.4));
const fifty = Array.from({ length: 50 }, (_, i) => root((0.345 * (49 - i)) / 50 + 0.05));

/** In the order of help texts. */
export const toys: readonly Toy[] = [
  toy('independent4', [root(0.25), root(0.05), root(0.05), root(0.05)], { d_sae: 4, k: 0.4 }),
  toy('absorb4', [root(0.25), child(0, 0.2), root(0.05), root(0.05)], { d_sae: 4, k: 0.4 }),
  // One latent for two features: it can at most fire where the parent does.
  toy('hedge1', [root(0.25), child(0, 0.2)], { d_sae: 1, k: 0.25 }),
  toy('hedge1-pos', [root(0.25), child(0, 0.2, 0.1)], { d_sae: 1, k: 0.25 }),
  toy('hedge1-anti', [root(0.25), child(0, 0.1, 0.2)], { d_sae: 1, k: 0.25 }),
  toy('hedge3', [root(0.25), root(0.25), root(0.25), child(2, 0.2)], { d_sae: 3, k: 0.75 }),
  toy('balance', [root(0.25), child(0, 0.15), child(0, 0.15), child(0, 0.15)], {
    d_sae: 4,
    k: 0.3625,
    prefixes: [1, 4],
  }),
  toy('unbalanceable', [root(0.25), child(0, 0.02), child(0, 0.15), child(0, 0.5)], {
    d_sae: 4,
    k: 0.4175,
    prefixes: [1, 4],
  }),
  toy('correlated5-pos', five, { d_sae: 5, k: 2 }, withFeature0(0.4)),
  toy('correlated5-anti', five, { d_sae: 5, k: 2 }, withFeature0(-0.4)),
  toy(
    'correlated50',
    fifty,
    { d_sae: 50, k: 11 },
    {
      d_in: 100,
      // The source draws 70 % of all pairs, half of them positive.
      correlation: { kind: 'random', min: 0.3, max: 0.9, correlated: 0.7, positive: 0.5 },
      magnitude: { mean: 1, sd: 0.15 },
    },
  ),
];

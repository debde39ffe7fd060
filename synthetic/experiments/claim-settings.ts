/**
 * Settings of the claims' experiment, from its plan.
 * @module
 */
import type { Dialect } from '../../reference/dialects.ts';
import { architectureNamed } from '../architectures/catalogue.ts';
import { activationOf, architectureRecord } from '../architectures/record.ts';
import { createWorld, worldDefaults, worldNamed } from '../worlds/presets.ts';
import { claimPlans, type ClaimPlan } from './claim-rows.ts';
import { crossed, experimentSettings, paired, type ExperimentSettings } from './settings.ts';

/** The world that other implementations' runs on the minis were made with. */
const MINI_WORLD = 42;

export interface ClaimOptions {
  readonly seeds: number;
  readonly steps?: number;
  readonly dialect?: Dialect;
}

/**
 * What is compared on a world.
 * @param dialect - name of one that leaves BatchTopK and its Matryoshka alone, trained in it: nothing published has
 *   these settings.
 */
export function planFor(world: string, dialect?: string): ClaimPlan {
  const plan = claimPlans[world];
  if (dialect === undefined) return plan;
  // Whose auxiliary losses are the dialect's own.
  const asDecided = (slug: string): string => (slug === 'matryoshka-each' ? 'matryoshka' : slug);
  const pairs = plan.pairs
    .map((pair) => ({ ...pair, treatment: asDecided(pair.treatment) }))
    .filter(({ treatment }) => treatment === 'matryoshka');
  const slugs = pairs.flatMap(({ treatment, baseline }) => [treatment, baseline]);
  const rows = plan.rows
    .map((row) => ({ ...row, architecture: architectureNamed(asDecided(row.architecture.slug)) }))
    .filter(({ architecture }) => slugs.includes(architecture.slug));
  return {
    ...plan,
    pairs,
    rows: rows.map((row) => ({ ...row, theirs: {} })),
    expected: plan.expectedOfBatchTopK,
  };
}

/** Everything but kernels. @throws {@link UsageError} naming the setting and its value. */
export function claimSettings(
  name: string,
  plan: ClaimPlan,
  { seeds: count, steps, dialect }: ClaimOptions,
): ExperimentSettings {
  const parameters = worldNamed(name);
  const defaults = worldDefaults[name];
  const seeds = Array.from({ length: count }, (_, i) => i);
  const world = createWorld(parameters, MINI_WORLD);
  const own = { d_in: world.d_in, activation: activationOf(world) };
  return experimentSettings({
    experiment: 'claims',
    world: { name, parameters },
    architectures: plan.rows.map(({ architecture, sizes, targetL0 }) =>
      architectureRecord(
        architecture,
        { ...defaults, ...sizes, ...(steps !== undefined && { steps }), ...own },
        [targetL0],
        dialect,
      ),
    ),
    ...(dialect && { dialect: dialect.name }),
    kernels: {},
    // The runs compared with drew the tree's directions anew for each seed, and kept the minis' world.
    runs: name === 'tree' ? paired(seeds) : crossed([MINI_WORLD], seeds),
    evaluationSamples: defaults.evaluationSamples,
    pairs: plan.pairs,
  });
}

/**
 * Settings of the claims' experiment, from its plan.
 * @module
 */
import type { Dialect } from '../../reference/dialects.ts';
import { architectureNamed } from '../architectures/catalogue.ts';
import { activationOf, architectureRecord } from '../architectures/record.ts';
import type { WorldParams } from '../worlds/params.ts';
import { createWorld, defaultsOf, isPreset } from '../worlds/presets.ts';
import { claimPlans, unpublished, type ClaimPlan } from './claim-rows.ts';
import { crossed, experimentSettings, paired, type ExperimentSettings } from './settings.ts';

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
export function planFor(world: WorldParams, dialect?: string): ClaimPlan {
  const plan =
    isPreset(world) && Object.hasOwn(claimPlans, world.name) ? claimPlans[world.name] : unpublished;
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
  parameters: WorldParams,
  plan: ClaimPlan,
  { seeds: count, steps, dialect }: ClaimOptions,
): ExperimentSettings {
  const seeds = Array.from({ length: count }, (_, i) => i);
  const world = createWorld(parameters, plan.worldSeed ?? seeds[0]);
  const defaults = defaultsOf(parameters, world);
  const own = { d_in: world.d_in, activation: activationOf(world) };
  return experimentSettings({
    experiment: 'claims',
    world: { name: world.name, parameters },
    architectures: plan.rows.map(({ architecture, sizes, targetL0 }) =>
      architectureRecord(
        architecture,
        { ...defaults, ...sizes, ...(steps !== undefined && { steps }), ...own },
        [targetL0 ?? defaults.k],
        dialect,
      ),
    ),
    ...(dialect && { dialect: dialect.name }),
    kernels: {},
    runs: plan.worldSeed === null ? paired(seeds) : crossed([plan.worldSeed], seeds),
    evaluationSamples: defaults.evaluationSamples,
    pairs: plan.pairs,
  });
}

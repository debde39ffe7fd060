/**
 * The JSON Schema of `results.json`, and the check of a file that says it is one. The types are in results.ts; this
 * file compiles only while both say the same. results.schema.json beside it is what is published.
 * @module
 */
import { z } from 'zod';
import { UsageError } from '../../training/usage-error.ts';
import type { ExperimentResults } from './results.ts';

const count = z.int().nonnegative();
const names = z.array(z.string());
const numbers = z.array(z.number());
const orNull = z.number().nullable();
const about = (description: string): { description: string } => ({ description });

const metrics = z
  .record(z.string(), orNull)
  .meta(about('By name of the metric; null where it is not defined, never 0 in its place.'));

const interval = z.strictObject({
  mean: z.number(),
  low: z.number(),
  high: z.number(),
  kind: z.enum(['bootstrap 95 %', 'range']).meta(about('What low and high are.')),
  values: numbers.meta(about('One for each run, those without a value left out.')),
});

const difference = interval.extend({
  effectSize: orNull.meta(
    about(
      'Mean of the paired differences over their standard deviation; null if they do not vary.',
    ),
  ),
});

const edge = z.strictObject({ parent: count, child: count });

const statistics = z.strictObject({
  marginals: numbers.meta(about('P(feature on), by feature.')),
  expectedL0: z.number(),
  absorbedL0: orNull.meta(
    about('Expected L0 of a code whose parents are silent whenever one of their children is on.'),
  ),
  silent: orNull.meta(about('P(no feature on).')),
  parents: z.array(
    z.strictObject({
      parent: count,
      children: z.array(count),
      givenParent: numbers.meta(about('P(child on | parent on), in the order of children.')),
      noChild: z.number().meta(about('P(no child on | parent on).')),
    }),
  ),
  exact: z.boolean().meta(about('False where correlations between features are left out.')),
});

const world = z.strictObject({
  name: z.string(),
  parameters: z.unknown().meta(about('What the world is made from, with a world seed.')),
  d_in: count,
  features: names,
  edges: z.array(edge).meta(about('A child is on only if its parent is.')),
  statistics,
  maxCosineFloor: z
    .array(orNull)
    .meta(about('By world seed: max cosine between the most frequent true directions.')),
  warnings: names,
});

const architecture = z.strictObject({
  name: z.string(),
  slug: z.string().meta(about('What --arch calls it.')),
  dialect: z
    .union([z.string(), z.looseObject({ name: z.string(), extends: z.string() })])
    .meta(about('A published dialect, or the whole of one’s own.')),
  selection: z.enum(['batch', 'row', 'all', 'jump']),
  d_sae: count,
  prefixes: z.array(count),
  drawnPrefixes: z.boolean(),
  targetL0s: numbers,
  steps: count,
  batch: count,
  learningRate: z.number(),
  settings: z
    .record(z.string(), z.union([z.number(), z.string(), z.boolean(), z.null(), numbers]))
    .meta(about('Every other setting that is not the dialect’s default.')),
});

const parentAbsorption = z.strictObject({
  parent: count,
  latent: z.int().meta(about('The main latent, or -1 where the parent has none.')),
  samples: count.meta(about('Samples with the parent on.')),
  childRate: orNull.meta(about('Share of those with a child on: what children can absorb.')),
  full: orNull.meta(about('Full absorption rate.')),
  fraction: orNull.meta(about('Mean absorption fraction.')),
  recall: orNull,
  cleanGap: orNull.meta(about('Recall without any child minus recall with the child.')),
  edgeGap: orNull.meta(about('Recall without the child minus recall with it.')),
  mainDead: z.boolean(),
});

const cosines = z
  .strictObject({
    latents: z.array(count).meta(about('Latent of each row.')),
    features: z.array(z.int()).meta(about('Feature matched with each row, or -1.')),
    values: z.array(numbers).meta(about('Rows of cosines with every true direction.')),
  })
  .nullable();

const cell = z.strictObject({
  architecture: z.string(),
  targetL0: z.number(),
  worldSeed: z.int(),
  seed: z.int(),
  kernel: z.string().meta(about('What computed it.')),
  samples: count,
  metrics,
  l0Matched: z.boolean().meta(about('Measured L0 within 3 % of the target.')),
  parents: z.array(parentAbsorption),
  cosines: cosines.meta(about('Decoder rows against true directions, for at most 64 features.')),
  encoderCosines: cosines.meta(about('The same of encoder columns, rows in the same order.')),
  erasure: z.array(
    z.strictObject({
      parent: count,
      n: z.array(count).meta(about('Latents ablated.')),
      drop: numbers.meta(about('Drop of the probe’s accuracy on the parent.')),
    }),
  ),
  detectors: z.array(
    z.strictObject({
      latent: count,
      feature: z.int().meta(about('Feature the latent is judged on, or -1.')),
      precision: z.number(),
      recall: z.number(),
      rate: z.number().meta(about('Share of samples in which the latent is active.')),
    }),
  ),
  prefixes: z
    .array(z.strictObject({ prefix: count, metrics }))
    .meta(about('The same SAE cut to each of its prefixes.')),
  curve: z.array(
    z.strictObject({
      step: count,
      l0: z.number(),
      mcc: orNull,
      fullAbsorption: orNull,
      deadLatents: z.number(),
      loss: orNull,
    }),
  ),
  threshold: orNull,
  mccDrift: orNull,
  converged: z.boolean().meta(about('MCC moved by at most 0.01 over the last fifth of the steps.')),
});

const verdict = z.enum(['shown', 'not reproduced', 'undecided']);

const schema = z
  .strictObject({
    schema: z.literal('matryoshka-sae/synthetic-results/1'),
    experiment: z.enum(['run', 'claims']),
    version: z.string().meta(about('Of matryoshka-sae.')),
    world,
    seeds: z.array(z.int()).meta(about('Training seeds; every one runs in every world.')),
    worldSeeds: z.array(z.int()),
    evaluationSamples: count,
    architectures: z.array(architecture).meta(about('The first is what others are compared with.')),
    cells: z.array(cell).meta(about('One training run each.')),
    summaries: z
      .array(
        z.strictObject({
          architecture: z.string(),
          targetL0: z.number(),
          metrics: z.record(z.string(), interval.nullable()),
          unconverged: count,
          unmatchedL0: count,
        }),
      )
      .meta(about('One for each architecture and L0.')),
    comparisons: z
      .array(
        z.strictObject({
          architecture: z.string(),
          baseline: z.string(),
          targetL0: z.number(),
          differences: z.record(z.string(), difference.nullable()),
        }),
      )
      .meta(about('One architecture minus another, paired by world and seed.')),
    claims: z.array(
      z.strictObject({
        number: z.literal([1, 2, 3, 4, 5]),
        claim: z.string(),
        verdict,
        expected: z
          .boolean()
          .meta(about('Whether published or observed runs on this world show it.')),
        evidence: z.array(
          z.strictObject({
            metric: z.string(),
            baseline: z.string(),
            treatment: z.string(),
            difference: difference.nullable().meta(about('Treatment minus baseline.')),
            baselineInterval: interval.nullable(),
            treatmentInterval: interval.nullable(),
            verdict,
          }),
        ),
      }),
    ),
    acceptance: z
      .array(
        z.strictObject({
          architecture: z.string(),
          metric: z.string(),
          ours: orNull,
          theirs: z.number(),
          tolerance: z.number(),
          holds: z.boolean(),
          source: z.string(),
        }),
      )
      .meta(about('Beside what another implementation gave with the same settings.')),
    controls: z.array(
      z.strictObject({
        name: z.enum(['oracle', 'planted absorption', 'permuted decoder rows', 'random code']),
        meaning: z.string(),
        checks: z.array(
          z.strictObject({
            metric: z.string(),
            got: orNull,
            expected: orNull,
            relation: z.enum(['equal', 'at most']),
            tolerance: z.number(),
            holds: z.boolean(),
          }),
        ),
      }),
    ),
  })
  .meta({ title: 'Results of matryoshka synthetic run and claims' });

/** Draft 2020-12. */
export function resultsJsonSchema(): object {
  return z.toJSONSchema(schema);
}

type Readonlies<T> = T extends object ? { readonly [K in keyof T]: Readonlies<T[K]> } : T;

/**
 * @param json - parsed JSON.
 * @param where - what error messages call it, such as the file's name.
 * @throws {@link UsageError} naming the first field that is missing, unknown, or not what it should be.
 */
export function readResults(json: unknown, where = 'results'): ExperimentResults {
  const read = schema.safeParse(json);
  if (!read.success) {
    const [{ path, message }] = read.error.issues;
    throw new UsageError(`${where}: no experiment results: ${path.join('.') || 'it'}: ${message}`);
  }
  // Neither line compiles once a field, or a value of one, is only in the schema or only in results.ts.
  const results: ExperimentResults = read.data;
  return results satisfies Readonlies<z.infer<typeof schema>>;
}

/**
 * Results to draw, made from formulas: a tree with five claims, a forest swept over L0, and a toy without parents.
 * No training; the figures only have the shape of real ones.
 * @module
 */
import { meanInterval, pairedDifference } from '../../../synthetic/bootstrap.ts';
import type {
  ArchitectureRecord,
  Cell,
  Claim,
  Comparison,
  ExperimentResults,
  Summary,
  WorldRecord,
} from '../../../synthetic/experiments/results.ts';
import { metricList } from '../../../synthetic/metric-list.ts';
import { forest, tree } from './sample-worlds.ts';

const METRICS: readonly string[] = metricList.map(({ name }) => name);
const OF_PARENTS = [
  'fullAbsorption',
  'rootAbsorption',
  'absorptionFraction',
  'absorptionSplits',
  'mainRecall',
  'cleanGap',
  'edgeGap',
  'childLeak',
  'hedge',
  'erasure1',
  'erasureN95',
  'ravel',
];

/** A fixed sequence in [-1, 1] in place of noise. */
function wobble(...at: readonly number[]): number {
  return Math.sin(at.reduce((sum, value, i) => sum + value * (12.9898 + 65.12 * i), 0.37) * 43.758);
}

/** `absorbs`: share of a parent's samples with a child in which its latent is silent. */
type Plan = Partial<ArchitectureRecord> & { readonly name: string; readonly absorbs: number };

interface Shape {
  readonly world: WorldRecord;
  readonly plans: readonly Plan[];
  readonly seeds: readonly number[];
  readonly worldSeeds: readonly number[];
}

function architectureOf({ absorbs: _, ...plan }: Plan): ArchitectureRecord {
  return {
    slug: plan.name.toLowerCase().replaceAll(' ', '-'),
    dialect: 'saelens',
    selection: 'batch',
    d_sae: 20,
    prefixes: [20],
    drawnPrefixes: false,
    targetL0s: [1.12],
    steps: 4000,
    batch: 512,
    learningRate: 5e-3,
    settings: {},
    ...plan,
  };
}

function cellOf(shape: Shape, plan: Plan, targetL0: number, worldSeed: number, seed: number): Cell {
  const { world } = shape;
  const architecture = architectureOf(plan);
  const { d_sae } = architecture;
  const features = world.features.length;
  const small = features <= 64;
  const parents = world.statistics.parents.map(({ parent, noChild }, i) => {
    const full = Math.max(0, plan.absorbs * (1 - noChild) + 0.03 * wobble(seed, i, worldSeed));
    return {
      parent,
      latent: parent < d_sae ? parent : -1,
      samples: Math.round(20000 * world.statistics.marginals[parent]),
      childRate: 1 - noChild,
      full: parent < d_sae ? full : null,
      fraction: parent < d_sae ? 0.9 * full : null,
      recall: parent < d_sae ? 1 - full : null,
      cleanGap: parent < d_sae ? plan.absorbs : null,
      edgeGap: parent < d_sae ? 0.8 * plan.absorbs : null,
      mainDead: false,
    };
  });
  const noise = 0.02 * wobble(seed, worldSeed, targetL0);
  const sparse = Math.log2(targetL0 / world.statistics.expectedL0) / 10;
  const metrics = Object.fromEntries(
    METRICS.map((name, m): [string, number | null] => {
      if (world.edges.length === 0 && OF_PARENTS.includes(name)) return [name, null];
      if (name === 'scr') return [name, null];
      if (name === 'l0' || name === 'thresholdL0') return [name, targetL0 * (1 + noise / 4)];
      if (name === 'deadLatents') return [name, seed % 3];
      if (name === 'erasureN95') return [name, 1 + Math.round(3 * plan.absorbs)];
      if (name === 'absorptionSplits') return [name, 1 + 2 * plan.absorbs];
      if (name === 'fullAbsorption') return [name, 0.6 * plan.absorbs + noise * plan.absorbs];
      if (name === 'childLeak') return [name, 0.7 * plan.absorbs - 0.03];
      if (name.startsWith('maxDecoder')) return [name, 0.03 + 0.4 * plan.absorbs + noise / 5];
      if (name === 'explainedVariance')
        return [name, 0.83 + 0.05 * plan.absorbs + sparse + noise / 9];
      if (name === 'hedge' && seed === 1) return [name, null];
      return [name, Math.min(1, 0.95 - 0.2 * plan.absorbs - sparse * 0.4 + noise - m / 400)];
    }),
  );
  const isEdge = (p: number, c: number): boolean =>
    world.edges.some(({ parent, child }) => parent === p && child === c);
  const cosine = (l: number, f: number, inChild: number, inParent: number): number =>
    l === f
      ? 0.97
      : (isEdge(f, l) ? inChild : isEdge(l, f) ? inParent : 0) + 0.04 * wobble(seed, l, f);
  const cosines = (inChild: number, inParent: number) => ({
    latents: [...Array(d_sae).keys()],
    features: [...Array(d_sae).keys()].map((l) => (l < features ? l : -1)),
    values: [...Array(d_sae).keys()].map((l) =>
      [...Array(features).keys()].map((f) => cosine(l, f, inChild, inParent)),
    ),
  });
  const role = (f: number): number =>
    world.statistics.parents.some((p) => p.parent === f) ? 1 : 0;
  return {
    architecture: plan.name,
    targetL0,
    worldSeed,
    seed,
    kernel: 'reference',
    samples: 20000,
    metrics,
    l0Matched: !(plan.name.startsWith('ReLU') && seed === 2),
    parents,
    cosines: small ? cosines(0.7 * plan.absorbs, 0.1) : null,
    encoderCosines: small && plan.selection !== 'row' ? cosines(0.1, -0.5 * plan.absorbs) : null,
    erasure: world.statistics.parents.map(({ parent }) => ({
      parent,
      n: [1, 2, 4, 8],
      drop: [0.5 - 0.3 * plan.absorbs + noise, 0.5 - 0.18 * plan.absorbs + noise, 0.5, 0.5],
    })),
    detectors: [...Array(d_sae).keys()].map((latent) => ({
      latent,
      feature: latent < features ? latent : -1,
      precision: Math.min(1, 0.96 + 0.04 * wobble(seed, latent)),
      recall: Math.min(
        1,
        (0.95 + 0.05 * wobble(seed, latent, 2)) * (1 - 0.6 * plan.absorbs * role(latent)),
      ),
      rate: latent < features ? world.statistics.marginals[latent] : 0.001,
    })),
    prefixes: architecture.prefixes.map((prefix) => ({
      prefix,
      metrics: {
        mcc: world.edges.length === 0 ? null : (0.95 * prefix) / d_sae,
        f1: (0.9 * prefix) / d_sae + noise,
        fullAbsorption:
          world.edges.length === 0 ? null : 0.6 * plan.absorbs * (prefix / d_sae) ** 2,
        explainedVariance: 1 - (1 - prefix / d_sae) ** 2 - 0.02,
        l0: (targetL0 * (1 + prefix / d_sae)) / 2,
        probeTop1: 0.7 + (0.28 * prefix) / d_sae,
        maxDecoderCosine: prefix === 1 ? null : 0.2 * plan.absorbs + 0.01 * wobble(prefix),
      },
    })),
    curve: Array.from({ length: 21 }, (_, i) => ({
      step: (architecture.steps * i) / 20,
      l0: targetL0 * (i === 0 ? 2 : 1 + 0.3 * Math.exp(-i)),
      mcc: 0.3 + 0.6 * (1 - Math.exp(-i / 4)) + noise,
      fullAbsorption: world.edges.length === 0 ? null : 0.6 * plan.absorbs * (1 - Math.exp(-i / 3)),
      deadLatents: i < 4 ? 4 - i : 0,
      loss: i === 0 ? null : 0.4 * Math.exp(-i / 3) + 0.02,
    })),
    threshold: 0.21,
    mccDrift: 0.002,
    converged: seed !== 2,
  };
}

function sample(experiment: 'run' | 'claims', shape: Shape): ExperimentResults {
  const architectures = shape.plans.map(architectureOf);
  const cells = shape.plans.flatMap((plan, a) =>
    architectures[a].targetL0s.flatMap((targetL0) =>
      shape.worldSeeds.flatMap((worldSeed) =>
        shape.seeds.map((seed) => cellOf(shape, plan, targetL0, worldSeed, seed)),
      ),
    ),
  );
  const valuesOf = (architecture: string, targetL0: number, metric: string): number[] =>
    cells
      .filter((cell) => cell.architecture === architecture && cell.targetL0 === targetL0)
      .flatMap((cell) => cell.metrics[metric] ?? []);
  const summaries = architectures.flatMap(({ name, targetL0s }) =>
    targetL0s.map((targetL0): Summary => ({
      architecture: name,
      targetL0,
      metrics: Object.fromEntries(
        METRICS.map((metric) => [metric, meanInterval(valuesOf(name, targetL0, metric), 0)]),
      ),
      unconverged: shape.seeds.length > 2 ? 1 : 0,
      unmatchedL0: name.startsWith('ReLU') && shape.seeds.length > 2 ? 1 : 0,
    })),
  );
  const [baseline, ...treatments] = architectures;
  const comparisons = treatments.flatMap(({ name, targetL0s }) =>
    targetL0s.map((targetL0): Comparison => ({
      architecture: name,
      baseline: baseline.name,
      targetL0,
      differences: Object.fromEntries(
        METRICS.map((metric) => [
          metric,
          pairedDifference(
            valuesOf(name, targetL0, metric),
            valuesOf(baseline.name, targetL0, metric),
            0,
          ),
        ]),
      ),
    })),
  );
  return {
    schema: 'matryoshka-sae/synthetic-results/1',
    experiment,
    version: '0.1.0',
    world: shape.world,
    seeds: shape.seeds,
    worldSeeds: shape.worldSeeds,
    evaluationSamples: 20000,
    architectures,
    cells,
    summaries,
    comparisons,
    claims: [],
    acceptance: [],
    controls: [],
  };
}

/** Five seeds, one L0, four architectures, every claim with another verdict. */
export function treeClaims(): ExperimentResults {
  const results = sample('claims', {
    world: tree,
    seeds: [0, 1, 2, 3, 4],
    worldSeeds: [0],
    plans: [
      { name: 'BatchTopK', absorbs: 0.5 },
      { name: 'Matryoshka BatchTopK', absorbs: 0.1, prefixes: [3, 5, 8, 12, 16, 20] },
      { name: 'ReLU + L1', absorbs: 1, selection: 'all', settings: { l1: 0.05 } },
      {
        name: 'Matryoshka, random prefixes',
        absorbs: 0,
        prefixes: [1, 5, 10, 20],
        drawnPrefixes: true,
      },
    ],
  });
  const claim = (
    number: Claim['number'],
    text: string,
    metric: string,
    verdict: Claim['verdict'],
    expected = true,
  ): Claim => {
    const of = (name: string) =>
      results.summaries.find(({ architecture }) => architecture === name)!.metrics[metric];
    const [baseline, treatment] = ['BatchTopK', 'Matryoshka BatchTopK'];
    const difference = results.comparisons[0].differences[metric];
    return {
      number,
      claim: text,
      verdict,
      expected,
      evidence: [
        {
          metric,
          baseline,
          treatment,
          difference,
          baselineInterval: of(baseline),
          treatmentInterval: of(treatment),
          verdict,
        },
      ],
    };
  };
  return {
    ...results,
    claims: [
      claim(1, 'Features are absorbed less', 'fullAbsorption', 'shown'),
      claim(2, 'The decoder is disentangled', 'maxDecoderCosine', 'shown'),
      claim(3, 'Sparse probing finds features better', 'probeTop1', 'shown'),
      claim(4, 'Concepts are erased with fewer latents', 'scr', 'undecided'),
      claim(5, 'Reconstruction costs little', 'explainedVariance', 'not reproduced', false),
    ],
    acceptance: [
      {
        architecture: 'BatchTopK',
        metric: 'mcc',
        ours: 0.9,
        theirs: 0.898,
        tolerance: 0.05,
        holds: true,
        source: 'SAELens 6.54.12, observed',
      },
      {
        architecture: 'Matryoshka BatchTopK',
        metric: 'fullAbsorption',
        ours: null,
        theirs: 0.068,
        tolerance: 0.05,
        holds: false,
        source: 'SAELens 6.54.12, observed',
      },
    ],
    controls: [
      {
        name: 'oracle',
        meaning: 'latents are the features themselves',
        checks: [
          { metric: 'mcc', got: 1, expected: 1, relation: 'equal', tolerance: 1e-9, holds: true },
          {
            metric: 'hedge',
            got: null,
            expected: null,
            relation: 'equal',
            tolerance: 1e-9,
            holds: true,
          },
        ],
      },
      {
        name: 'planted absorption',
        meaning: 'a parent is silent whenever a child is on',
        checks: [
          {
            metric: 'fullAbsorption',
            got: 0.59,
            expected: 0.6,
            relation: 'equal',
            tolerance: 1e-9,
            holds: false,
          },
        ],
      },
    ],
  };
}

/** Two world seeds by two seeds, three architectures at three L0s, no heat maps: the world is too large. */
export function forestRun(): ExperimentResults {
  return sample('run', {
    world: forest(),
    seeds: [0, 1],
    worldSeeds: [42, 43],
    plans: [
      { name: 'BatchTopK', absorbs: 0.9, d_sae: 96, prefixes: [96], targetL0s: [3, 6, 12] },
      {
        name: 'Matryoshka',
        absorbs: 0.2,
        d_sae: 96,
        prefixes: [12, 24, 48, 96],
        targetL0s: [3, 6, 12],
      },
      { name: 'JumpReLU', absorbs: 0.7, d_sae: 96, prefixes: [96], targetL0s: [3, 6, 12] },
    ],
  });
}

/** One run of one architecture on independent features: no parent, no comparison, nothing swept. */
export function toyRun(): ExperimentResults {
  const marginals = [0.25, 0.05, 0.05, 0.05];
  return sample('run', {
    world: {
      name: 'independent4',
      parameters: { kind: 'parent-child' },
      d_in: 50,
      features: ['0', '1', '2', '3'],
      edges: [],
      statistics: {
        marginals,
        expectedL0: 0.4,
        absorbedL0: 0.4,
        silent: 0.75 * 0.95 ** 3,
        parents: [],
        exact: true,
      },
      maxCosineFloor: [null],
      warnings: [],
    },
    seeds: [0],
    worldSeeds: [0],
    plans: [
      { name: 'TopK', absorbs: 0, d_sae: 5, prefixes: [5], selection: 'row', targetL0s: [0.4] },
    ],
  });
}

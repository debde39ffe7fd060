/**
 * The runs behind `matryoshka synthetic claims`, and what other implementations gave for the same settings.
 *
 * Figures: on the tree github.com/noanabeshima/matryoshka-saes @7b80f5f (its own class, seeds 0-2) and SAELens 6.54.12
 * (seeds 0-2); on mini256 and mini1k SAELens 6.54.12 (three seeds and one), which had an auxiliary loss at each level
 * and absorption over the trees' roots alone. 20,000 evaluation samples.
 * @module
 */
import type { Architecture } from '../architectures/architecture.ts';
import { architectureNamed } from '../architectures/catalogue.ts';
import type { TrainingSizes } from '../architectures/record.ts';
import type { Claim } from './results.ts';
import type { Pair } from './settings.ts';

/** Metrics as `metricList` names them. */
export type Figures = Readonly<Record<string, number>>;

export interface ClaimRow {
  readonly architecture: Architecture;
  /** Null: the world's own. */
  readonly targetL0: number | null;
  readonly sizes: Partial<TrainingSizes>;
  readonly theirs: Figures;
  readonly source: string;
  /** Where a figure is held closer than {@link TOLERANCE}. */
  readonly tolerances?: Figures;
}

export interface ClaimPlan {
  readonly rows: readonly ClaimRow[];
  /** Treatment and baseline. The first pair is the paper's own on this world and decides; others stand beside it. */
  readonly pairs: readonly Pair[];
  /** Of one world for every seed; null: each seed draws its own. */
  readonly worldSeed: number | null;
  /** Claims that published or observed runs on this world show. */
  readonly expected: readonly Claim['number'][];
  /** Those that BatchTopK beside its Matryoshka shows, where that pair stands alone. */
  readonly expectedOfBatchTopK: readonly Claim['number'][];
}

/** Means may differ by this from those of another implementation. */
export const TOLERANCE = 0.05;

const nabeshima = 'github.com/noanabeshima/matryoshka-saes @7b80f5f, seeds 0-2';
const saelens = 'SAELens 6.54.12, seeds 0-2';

const l1: Architecture = {
  ...architectureNamed('relu'),
  sparsity: 'fixed',
  options: { train: { sparsityCoefficient: 5e-2 } },
};

const ofNabeshima = { steps: 5000, batch: 200, learningRate: 3e-2 };
const ofSaelens = { steps: 4000, batch: 512, learningRate: 5e-3 };
const fullNear = { fullAbsorption: 0.02 };

const tree: ClaimPlan = {
  rows: [
    {
      architecture: architectureNamed('batchtopk'),
      targetL0: 1.12,
      sizes: ofSaelens,
      source: saelens,
      theirs: {
        mcc: 0.898,
        f1: 0.886,
        recall: 0.881,
        explainedVariance: 0.999,
        maxDecoderCosine: 0.31,
        fullAbsorption: 0.298,
        edgeGap: 0.254,
        probeTop1: 0.973,
        tpp1: 0.47,
      },
    },
    {
      architecture: architectureNamed('matryoshka'),
      targetL0: 1.12,
      sizes: ofSaelens,
      source: saelens,
      theirs: {
        mcc: 0.932,
        f1: 0.944,
        recall: 0.957,
        explainedVariance: 0.97,
        maxDecoderCosine: 0.115,
        fullAbsorption: 0.068,
        edgeGap: 0.059,
        probeTop1: 0.986,
        tpp1: 0.487,
      },
    },
    {
      architecture: l1,
      targetL0: 1.12,
      sizes: { steps: 3000, batch: 1024, learningRate: 1e-2 },
      source: saelens,
      tolerances: fullNear,
      theirs: {
        mcc: 0.872,
        f1: 0.836,
        recall: 0.79,
        explainedVariance: 0.999,
        maxDecoderCosine: 0.422,
        fullAbsorption: 0.6,
        edgeGap: 0.508,
        probeTop1: 0.956,
        tpp1: 0.453,
      },
    },
    {
      architecture: architectureNamed('vanilla-nabeshima'),
      targetL0: 1.2338,
      sizes: ofNabeshima,
      source: nabeshima,
      tolerances: fullNear,
      theirs: {
        mcc: 0.867,
        f1: 0.78,
        recall: 0.722,
        explainedVariance: 1,
        maxDecoderCosine: 0.428,
        fullAbsorption: 0.6,
        edgeGap: 0.488,
        probeTop1: 0.953,
        tpp1: 0.451,
      },
    },
    {
      architecture: architectureNamed('matryoshka-random'),
      targetL0: 1.2338,
      sizes: ofNabeshima,
      source: nabeshima,
      theirs: {
        mcc: 0.95,
        f1: 0.948,
        recall: 0.983,
        explainedVariance: 0.978,
        maxDecoderCosine: 0.032,
        fullAbsorption: 0,
        edgeGap: 0,
        probeTop1: 0.979,
        tpp1: 0.479,
      },
    },
  ],
  pairs: [
    { treatment: 'matryoshka-random', baseline: 'vanilla-nabeshima' },
    { treatment: 'matryoshka', baseline: 'batchtopk' },
  ],
  // As the runs compared with drew the tree's directions.
  worldSeed: null,
  expected: [1, 2, 3, 4, 5],
  // One latent finds a leaf of the tree about as well in both: top-1 differs by hundredths of either sign.
  expectedOfBatchTopK: [1, 2, 4, 5],
};

/** BatchTopK and Matryoshka at a mini world's own sizes. */
function mini(
  k: number,
  source: string,
  plain: Figures,
  nested: Figures,
  expected: ClaimPlan['expected'],
): ClaimPlan {
  const row = { targetL0: k, sizes: {}, source };
  return {
    rows: [
      { ...row, architecture: architectureNamed('batchtopk'), theirs: plain },
      { ...row, architecture: architectureNamed('matryoshka-each'), theirs: nested },
    ],
    pairs: [{ treatment: 'matryoshka-each', baseline: 'batchtopk' }],
    worldSeed: 42,
    expected,
    expectedOfBatchTopK: expected,
  };
}

/** BatchTopK and Matryoshka on a world that nobody has published runs on: nothing is expected of it. */
export const unpublished: ClaimPlan = {
  rows: ['batchtopk', 'matryoshka'].map((slug) => ({
    architecture: architectureNamed(slug),
    targetL0: null,
    sizes: {},
    source: '',
    theirs: {},
  })),
  pairs: [{ treatment: 'matryoshka', baseline: 'batchtopk' }],
  worldSeed: 42,
  expected: [],
  expectedOfBatchTopK: [],
};

/** By the name of a world. */
export const claimPlans: Readonly<Record<string, ClaimPlan>> = {
  tree,
  mini256: mini(
    3,
    `${saelens}, world 42`,
    {
      mcc: 0.666,
      f1: 0.542,
      explainedVariance: 0.779,
      uniqueness: 0.901,
      rootAbsorption: 0.563,
      maxDecoderCosine: 0.347,
      probeTop1: 0.94,
      probeTop5: 0.991,
      tpp1: 0.411,
      tpp5: 0.446,
    },
    {
      mcc: 0.735,
      f1: 0.74,
      explainedVariance: 0.756,
      uniqueness: 0.948,
      rootAbsorption: 0.132,
      maxDecoderCosine: 0.299,
      probeTop1: 0.96,
      probeTop5: 0.986,
      tpp1: 0.371,
      tpp5: 0.432,
    },
    [1, 2, 3, 5],
  ),
  mini1k: mini(
    4,
    'SAELens 6.54.12, one seed, world 42',
    {
      mcc: 0.683,
      f1: 0.584,
      explainedVariance: 0.766,
      uniqueness: 0.934,
      rootAbsorption: 0.72,
      maxDecoderCosine: 0.307,
      probeTop1: 0.932,
      probeTop5: 0.993,
      tpp1: 0.357,
      tpp5: 0.46,
    },
    {
      mcc: 0.705,
      f1: 0.709,
      explainedVariance: 0.743,
      uniqueness: 0.898,
      rootAbsorption: 0.124,
      maxDecoderCosine: 0.338,
      probeTop1: 0.959,
      probeTop5: 0.992,
      tpp1: 0.325,
      tpp5: 0.467,
    },
    [1, 3, 5],
  ),
};

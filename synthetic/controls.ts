/**
 * Controls: codes written down from the truth, whose metrics are known exactly. An evaluation that gets one of these
 * wrong says nothing about a trained SAE.
 * @module
 */
import type { Matrix } from '../reference/matrix.ts';
import { addScaled, columnMeans, dot, matrix, norm, row } from '../reference/matrix.ts';
import { evaluatePrefixes } from './evaluate-prefixes.ts';
import { evaluate, type Evaluation, type Judged } from './evaluate.ts';
import { foldDecoderNorms } from './metrics/code.ts';
import { mean, meanDefined } from './metrics/mean.ts';
import {
  childOnRows,
  oracle,
  permuteRows,
  plantAbsorption,
  randomCode,
  rowMovedTo,
  type PlantedCode,
} from './planted-codes.ts';
import { createRng, type Rng } from './rng.ts';
import { columnCounts, denseRows, type SparseRows } from './sparse-rows.ts';
import type { Edge, LabelledBatch, World } from './worlds/world.ts';

/** One figure of a control: what it came out as, and what it must be. */
export interface ControlCheck {
  readonly metric: string;
  readonly got: number | null;
  readonly expected: number | null;
  /** Exact, or the most it may be: chance has bounds, not values. */
  readonly relation: 'equal' | 'at most';
  /** Largest difference allowed: rounding only. */
  readonly tolerance: number;
  readonly holds: boolean;
}

export interface Control {
  readonly name: 'oracle' | 'planted absorption' | 'permuted decoder rows' | 'random code';
  readonly meaning: string;
  readonly checks: readonly ControlCheck[];
}

/** Metrics of exact codes differ from exact values by rounding alone: sums of 10^4..10^6 terms in float64. */
const ROUNDING = 1e-9;
/** Latents of a control, at most: it is the evaluation that is checked, not the size of the world. */
const LATENTS = 256;

/**
 * The four controls on one sample, each with its exact values or bounds. Where a sample is too small for a metric, both are
 * null. Of a world of more features than {@link LATENTS} the codes know only the first.
 * @param rng - of the probes' splits.
 */
export function runControls(
  batch: LabelledBatch,
  world: World,
  rng: Rng = createRng(0).split('controls'),
): Control[] {
  const known = Math.min(world.directions.rows, LATENTS);
  const edges = world.edges.filter(({ parent, child }) => parent < known && child < known);
  const parents = world.parents.filter((parent) => edges.some((edge) => edge.parent === parent));
  const within: World = { ...world, edges, parents };
  const codeOf = (code: PlantedCode): Judged => judgedCode(code, batch, world.bias);
  const judge = (judged: Judged): Evaluation => evaluate(judged, within);
  const top1 = (judged: Judged): number | null =>
    evaluatePrefixes(judged, within, [known], { rng })[0].metrics.probeTop1;

  const exact = oracle(batch.features, world.directions, known);
  const truthCode = codeOf(exact);
  const truth = judge(truthCode);
  const permuted = judge(codeOf(permuteRows(exact)));
  // Latents that say by themselves how much they write: permuted rows of other lengths would rescale them.
  const folded = foldDecoderNorms(exact.latents, exact.W_dec);
  const rewired = codeOf(permuteRows({ latents: folded.latents, W_dec: folded.decoder }));
  // With activations of 1, in directions that are axes, a child's latent can stand in for its parent exactly.
  const axes = identity(known);
  const ones = withOnes(exact.latents);
  const plantedCode = plantAbsorption(ones, axes, edges);
  const planted = evaluate(
    judgedCode(plantedCode, { features: ones, x: denseRows(ones) }, new Float64Array(known)),
    { directions: axes, edges, parents },
  );

  const chance = judge(codeOf(randomCode(batch.x, known, truth.l0, rng.split('random code'))));

  const childRate = meanDefined(planted.absorption.parents.map((p) => p.childRate));
  /** An exact value, where the sample is large enough for the metric to have one. */
  const ifDefined = (got: number | null, value: number): number | null =>
    got === null ? null : value;
  const residual = (rowOf: (feature: number) => number): number | null =>
    varianceLeft(batch, world.directions, known, rowOf);

  return [
    {
      name: 'oracle',
      meaning: 'the truth as latents: recovered in full, nothing absorbed',
      checks: [
        check('MCC', truth.mcc, 1),
        check('uniqueness', truth.metrics.uniqueness, 1),
        check('F1 (matched)', truth.classification.matchedF1, firingShare(batch.features, known)),
        check(
          'explained variance',
          truth.explainedVariance,
          residual((feature) => feature),
        ),
        check('full absorption', truth.absorption.full, ifDefined(childRate, 0)),
        check('absorption fraction', truth.absorption.fraction, ifDefined(childRate, 0)),
        check('clean gap', truth.absorption.cleanGap, ifDefined(truth.absorption.cleanGap, 0)),
      ],
    },
    {
      name: 'planted absorption',
      meaning: 'parents silenced by their children: absorbed as often as a child is on',
      checks: [
        check('full absorption', planted.absorption.full, childRate),
        check('absorption fraction', planted.absorption.fraction, childRate),
        check('clean gap', planted.absorption.cleanGap, ifDefined(truth.absorption.cleanGap, 1)),
        ...(onlyChildren(ones, edges)
          ? [check('explained variance', planted.explainedVariance, 1)]
          : []),
        check('child leak', planted.childLeak, exactLeak(plantedCode, edges)),
      ],
    },
    {
      name: 'permuted decoder rows',
      meaning:
        'every latent wired to another direction: MCC and probes cannot see it, detection and reconstruction can',
      checks: [
        check('MCC', permuted.mcc, truth.mcc),
        check('uniqueness', permuted.metrics.uniqueness, truth.metrics.uniqueness),
        check('probe accuracy, top 1', top1(rewired), top1(truthCode)),
        check(
          'explained variance',
          permuted.explainedVariance,
          residual((feature) => rowMovedTo(feature, known)),
        ),
      ],
    },
    {
      name: 'random code',
      meaning: 'random rows at the truth’s L0: they recover what chance does',
      checks: [
        atMost('L0', chance.l0, truth.l0),
        atMost('MCC', chance.mcc, chanceMatching(known, world.directions)),
        atMost('explained variance', chance.explainedVariance, truth.explainedVariance),
      ],
    },
  ];
}

/**
 * What MCC of `latents` random unit rows exceeds with probability under 1e-6. A cosine with a fixed direction is sub-Gaussian
 * of variance 1 / d_in, so the largest with any of F features, of either sign, is at most √(2 ln(2 F) / d_in) on average;
 * it changes by no more than the row does, so it spreads by less than 1 / √(d_in - 1), and their mean by √latents less.
 */
function chanceMatching(latents: number, { rows: features, cols: d_in }: Matrix): number {
  if (d_in < 2) return 1;
  const average = Math.sqrt((2 * Math.log(2 * features)) / d_in);
  return Math.min(1, average + 5 / Math.sqrt((d_in - 1) * latents));
}

function check(metric: string, got: number | null, expected: number | null): ControlCheck {
  const holds =
    got === null || expected === null ? got === expected : Math.abs(got - expected) <= ROUNDING;
  return { metric, got, expected, relation: 'equal', tolerance: ROUNDING, holds };
}

function atMost(metric: string, got: number | null, most: number | null): ControlCheck {
  const holds = got === null || most === null ? got === most : got <= most + ROUNDING;
  return { metric, got, expected: most, relation: 'at most', tolerance: ROUNDING, holds };
}

/** A planted code on a sample: its reconstruction is bias + latents · W_dec. */
export function judgedCode(
  { latents, W_dec }: PlantedCode,
  { x, features }: LabelledBatch,
  bias: Float64Array,
): Judged {
  const reconstruction = matrix(x.rows, x.cols);
  for (let n = 0; n < x.rows; n++) {
    const out = row(reconstruction, n);
    out.set(bias);
    for (let e = latents.start[n]; e < latents.start[n + 1]; e++) {
      addScaled(out, row(W_dec, latents.index[e]), latents.value[e]);
    }
  }
  return { latents, W_dec, reconstruction, x, features };
}

function withOnes(features: SparseRows): SparseRows {
  return { ...features, value: features.value.map(() => 1) };
}

function identity(size: number): Matrix {
  const out = matrix(size, size);
  for (let i = 0; i < size; i++) out.data[i * size + i] = 1;
  return out;
}

/** Share of the known features that are on in some sample: the others have F1 0. */
function firingShare(features: SparseRows, known: number): number | null {
  if (features.rows === 0 || known === 0) return null;
  return (
    columnCounts(features)
      .subarray(0, known)
      .filter((count) => count > 0).length / known
  );
}

/** No parent has two children on at a time: then absorption loses nothing of x. */
function onlyChildren(features: SparseRows, edges: readonly Edge[]): boolean {
  const rowsWithChild = childOnRows(features, edges);
  return rowsWithChild.every(({ children }) => children === 1);
}

/** cos(planted row of the child, its parent's axis), mean over edges whose child is on in some sample: √½ for a root's. */
function exactLeak({ latents, W_dec }: PlantedCode, edges: readonly Edge[]): number | null {
  const firing = columnCounts(latents);
  return mean(
    edges
      .filter(({ child }) => firing[child] > 0)
      .map(
        ({ parent, child }) => W_dec.data[child * W_dec.cols + parent] / norm(row(W_dec, child)),
      ),
  );
}

/**
 * Explained variance of a code that writes each known feature's activation along some known direction.
 * @param rowOf - the feature along whose direction a known feature's latent writes.
 */
function varianceLeft(
  { x, features }: LabelledBatch,
  directions: Matrix,
  known: number,
  rowOf: (feature: number) => number,
): number | null {
  if (x.rows === 0) return null;
  let error = 0;
  for (let n = 0; n < x.rows; n++) {
    const missing = new Float64Array(x.cols);
    for (let e = features.start[n]; e < features.start[n + 1]; e++) {
      const f = features.index[e];
      addScaled(missing, row(directions, f), features.value[e]);
      if (f < known) addScaled(missing, row(directions, rowOf(f)), -features.value[e]);
    }
    error += dot(missing, missing);
  }
  const centre = columnMeans(x);
  return 1 - error / (dot(x.data, x.data) - x.rows * dot(centre, centre));
}

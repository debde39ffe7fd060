/**
 * Controls: codes written down from the truth, whose metrics are known exactly. An evaluation that gets one of these
 * wrong says nothing about a trained SAE.
 * @module
 */
import type { Matrix } from '../reference/matrix.ts';
import { addScaled, map, matrix, multiply, row } from '../reference/matrix.ts';
import { evaluate, type Evaluation } from './evaluate.ts';
import { meanDefined } from './metrics/mean.ts';
import { denseRows, sparseRows } from './sparse-rows.ts';
import type { Edge, LabelledBatch, World } from './worlds/world.ts';

/** One figure of a control: what it came out as, and what it must be. */
export interface ControlCheck {
  readonly metric: string;
  readonly got: number | null;
  readonly expected: number | null;
  /** Largest difference allowed: rounding only. */
  readonly tolerance: number;
  readonly holds: boolean;
}

export interface Control {
  readonly name: 'oracle' | 'planted absorption' | 'permuted decoder rows';
  readonly meaning: string;
  readonly checks: readonly ControlCheck[];
}

/** Metrics of exact codes differ from exact values by rounding alone: sums of 10^4..10^6 terms in float64. */
const ROUNDING = 1e-9;

/** Latents and decoder without decoder bias. */
export interface PlantedCode {
  readonly latents: Matrix;
  readonly W_dec: Matrix;
}

/** The truth as a code: latents are the features, decoder rows their directions. */
export function oracle(features: Matrix, directions: Matrix): PlantedCode {
  return { latents: features, W_dec: directions };
}

/**
 * Total absorption: a parent's latent is silent whenever a child is on, and the child's row is parent + child. The
 * reconstruction stays exact as long as at most one child of a parent is on at a time.
 */
export function plantAbsorption(
  features: Matrix,
  directions: Matrix,
  edges: readonly Edge[],
): PlantedCode {
  const latents = map(features, (value, i) => {
    const [n, feature] = [Math.floor(i / features.cols), i % features.cols];
    const childOn = edges.some(
      ({ parent, child }) => parent === feature && features.data[n * features.cols + child] > 0,
    );
    return childOn ? 0 : value;
  });
  const W_dec = matrix(directions.rows, directions.cols, directions.data.slice());
  // Edges come in the order of the child, depth-first: a parent's row is complete before its children take it.
  for (const { parent, child } of edges) addScaled(row(W_dec, child), row(W_dec, parent), 1);
  return { latents, W_dec };
}

/**
 * The same latents with the decoder's rows moved on by half their number, so that each latent writes another family's
 * feature. (Moved on by one, siblings would still write their parent for one another.)
 */
export function permuteRows({ latents, W_dec }: PlantedCode): PlantedCode {
  const moved = matrix(W_dec.rows, W_dec.cols);
  for (let l = 0; l < W_dec.rows; l++) row(moved, movedTo(l, W_dec.rows)).set(row(W_dec, l));
  return { latents, W_dec: moved };
}

function movedTo(latent: number, latents: number): number {
  return (latent + Math.floor(latents / 2)) % latents;
}

/** The three controls on one sample, each with its exact values. Where a sample is too small for a metric, both are null. */
export function runControls(batch: LabelledBatch, world: World): Control[] {
  const features = denseRows(batch.features);
  const { directions, edges } = world;
  const judge = ({ latents, W_dec }: PlantedCode): Evaluation =>
    evaluate(
      { ...batch, latents: sparseRows(latents), W_dec, reconstruction: multiply(latents, W_dec) },
      world,
    );

  const truth = judge(oracle(features, directions));
  const planted = judge(plantAbsorption(features, directions, edges));
  const permuted = judge(permuteRows(oracle(features, directions)));
  const childRate = meanDefined(planted.absorption.parents.map((p) => p.childRate));
  /** An exact value, where the sample is large enough for the metric to have one. */
  const ifDefined = (got: number | null, exact: number): number | null =>
    got === null ? null : exact;

  return [
    {
      name: 'oracle',
      meaning: 'the truth as latents: recovered in full, nothing absorbed',
      checks: [
        check('MCC', truth.mcc, 1),
        check('F1 (matched)', truth.classification.matchedF1, 1),
        check('explained variance', truth.explainedVariance, 1),
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
        check('explained variance', planted.explainedVariance, 1),
        check('child leak', planted.childLeak, exactLeak(directions, edges)),
      ],
    },
    {
      name: 'permuted decoder rows',
      meaning:
        'every latent wired to another direction: MCC cannot see it, detection and reconstruction can',
      checks: [
        check('MCC', permuted.mcc, truth.mcc),
        check(
          'explained variance',
          permuted.explainedVariance,
          permutedVariance(features, directions),
        ),
      ],
    },
  ];
}

function check(metric: string, got: number | null, expected: number | null): ControlCheck {
  const holds =
    got === null || expected === null ? got === expected : Math.abs(got - expected) <= ROUNDING;
  return { metric, got, expected, tolerance: ROUNDING, holds };
}

/** cos(g_p + g_c, g_p) = |g_p| / sqrt(|g_p|² + |g_c|²) for orthogonal directions, mean over edges: √½ at equal norms. */
function exactLeak(directions: Matrix, edges: readonly Edge[]): number | null {
  if (edges.length === 0) return null;
  const square = (f: number): number => row(directions, f).reduce((sum, v) => sum + v * v, 0);
  const leaks = edges.map(({ parent, child }) =>
    Math.sqrt(square(parent) / (square(parent) + square(child))),
  );
  return leaks.reduce((sum, value) => sum + value, 0) / leaks.length;
}

/** Explained variance of the permuted oracle, from the features and the lengths of their directions alone. */
function permutedVariance(features: Matrix, directions: Matrix): number | null {
  const { rows, cols } = features;
  const square = Float64Array.from({ length: cols }, (_, f) =>
    row(directions, f).reduce((sum, v) => sum + v * v, 0),
  );
  // Along g_f, x - x̂ has the coefficient a_f - a_m, m being the latent that now writes g_f.
  let error = 0;
  let power = 0;
  const mean = new Float64Array(cols);
  for (let n = 0; n < rows; n++) {
    for (let f = 0; f < cols; f++) {
      const on = features.data[n * cols + f];
      const written = features.data[n * cols + movedTo(f, cols)];
      error += square[f] * (on - written) ** 2;
      power += square[f] * on * on;
      mean[f] += on / rows;
    }
  }
  const offset = mean.reduce((sum, m, f) => sum + square[f] * m * m, 0);
  return rows === 0 ? null : 1 - error / rows / (power / rows - offset);
}

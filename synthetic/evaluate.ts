/**
 * Every metric of one code on one labelled sample, as plain JSON.
 * @module
 */
import type { Matrix } from '../reference/matrix.ts';
import { row } from '../reference/matrix.ts';
import { denseRows, type SparseRows } from './sparse-rows.ts';
import type { World } from './worlds/world.ts';
import { absorption, type Absorption } from './metrics/absorption.ts';
import { leak } from './metrics/child-leak.ts';
import { classification, type Classification } from './metrics/classification.ts';
import { cosines, foldDecoderNorms } from './metrics/code.ts';
import { aliveLatents, deadLatents } from './metrics/dead-latents.ts';
import { explainedVariance } from './metrics/explained-variance.ts';
import { l0 } from './metrics/l0.ts';
import { maxDecoderCosine, maxDecoderCosineAlive } from './metrics/max-decoder-cosine.ts';
import { matchLatents } from './metrics/mcc.ts';

/** What is judged, and the truth it is judged by. */
export interface Judged {
  /** (samples, d_sae), before decoder norms are folded in. */
  readonly latents: SparseRows;
  /** (d_sae, d_in). */
  readonly W_dec: Matrix;
  /** (samples, d_in). */
  readonly reconstruction: Matrix;
  /** (samples, d_in). */
  readonly x: Matrix;
  /** (samples, features). */
  readonly features: SparseRows;
}

/** Null means "not defined here", never 0. */
export interface Evaluation {
  readonly samples: number;
  readonly l0: number;
  /** Never active in these samples. */
  readonly deadLatents: number;
  readonly mcc: number | null;
  readonly explainedVariance: number | null;
  readonly maxDecoderCosine: number | null;
  readonly maxDecoderCosineAlive: number | null;
  readonly childLeak: number | null;
  readonly hedge: number | null;
  readonly classification: Classification;
  readonly absorption: Absorption;
  /** Decoder rows against true directions, one row per matched feature in the tree's order, then what is unmatched. */
  readonly cosines: MatchedCosines;
}

export interface MatchedCosines {
  /** Latent of each row. */
  readonly latents: readonly number[];
  /** Feature matched with each row, or -1. */
  readonly features: readonly number[];
  /** cos(w_latent, g_feature), rows × features. */
  readonly values: readonly (readonly number[])[];
}

/** @throws {@link RangeError} if shapes do not fit or decoder rows are not finite. */
export function evaluate(judged: Judged, world: World): Evaluation {
  const { edges } = world;
  const features = denseRows(judged.features);
  const code = foldDecoderNorms(denseRows(judged.latents), judged.W_dec);
  const cosine = cosines(code.decoder, world.directions);
  const matching = matchLatents(cosine);
  const alive = aliveLatents(code.latents);
  return {
    samples: judged.x.rows,
    l0: l0(code.latents),
    deadLatents: deadLatents(code.latents),
    mcc: matching.mcc,
    explainedVariance: explainedVariance(judged.x, judged.reconstruction),
    maxDecoderCosine: maxDecoderCosine(code.decoder),
    maxDecoderCosineAlive: maxDecoderCosineAlive(code.decoder, alive),
    ...leak(cosine, edges, matching, alive),
    classification: classification(code.latents, features, cosine, matching),
    absorption: absorption(code, features, world.directions, edges, matching),
    cosines: inTreeOrder(cosine, matching.latentOf, matching.featureOf),
  };
}

function inTreeOrder(cosine: Matrix, latentOf: Int32Array, featureOf: Int32Array): MatchedCosines {
  const matched = [...latentOf].filter((latent) => latent >= 0);
  const unmatched = [...featureOf.keys()].filter((latent) => featureOf[latent] < 0);
  const latents = [...matched, ...unmatched];
  return {
    latents,
    features: latents.map((latent) => featureOf[latent]),
    values: latents.map((latent) => [...row(cosine, latent)]),
  };
}

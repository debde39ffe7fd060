/**
 * Everything that is measured on a trained SAE, in the shape of a cell.
 * @module
 */
import { row, transpose } from '../../reference/matrix.ts';
import type { SaeParams } from '../../reference/params.ts';
import { evaluatePrefixes } from '../evaluate-prefixes.ts';
import { evaluate, type Judged } from '../evaluate.ts';
import { cosines as cosinesOf } from '../metrics/code.ts';
import type { MatchedCosines } from '../metrics/matched-cosines.ts';
import type { Rng } from '../rng.ts';
import type { World } from '../worlds/world.ts';
import type { Cell } from './results.ts';

export interface JudgeOptions {
  readonly params: SaeParams;
  /** Those the SAE is also judged by when cut to each of them. */
  readonly prefixes: readonly number[];
  /** Of splits and negatives. */
  readonly rng: Rng;
}

type Judgement = Pick<
  Cell,
  'metrics' | 'parents' | 'cosines' | 'encoderCosines' | 'erasure' | 'detectors' | 'prefixes'
>;

export function judgeCode(
  judged: Judged,
  world: World,
  { params, prefixes, rng }: JudgeOptions,
): Judgement {
  const { metrics, absorption, cosines, erasure, classification } = evaluate(judged, world, {
    rng,
  });
  return {
    metrics,
    parents: absorption.parents,
    cosines,
    encoderCosines: cosines && encoderCosines(cosines, params, world),
    erasure,
    detectors: classification.detectors,
    prefixes: prefixes.length > 1 ? evaluatePrefixes(judged, world, prefixes, { rng }) : [],
  };
}

/** Encoder columns against true directions, in the order of the decoder's rows. */
function encoderCosines(
  decoder: MatchedCosines,
  { W_enc }: SaeParams,
  { directions }: World,
): MatchedCosines {
  const all = cosinesOf(transpose(W_enc), directions);
  return { ...decoder, values: decoder.latents.map((latent) => [...row(all, latent)]) };
}

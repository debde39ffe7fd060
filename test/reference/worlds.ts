/**
 * Small generated training steps: any mixture of what dialects may decide, and a state in the middle of a run. Values are
 * drawn from a continuum, so that no two scores tie.
 */
import fc from 'fast-check';
import {
  decisionList,
  dialects,
  withDecision,
  type Dialect,
  type Value,
} from '../../reference/dialects.ts';
import { reorderLatents } from '../../reference/latent-order.ts';
import { matrix, type Matrix } from '../../reference/matrix.ts';
import type { SaeParams } from '../../reference/params.ts';
import { trainConfig } from '../../reference/train-config.ts';
import type { StepResult, TrainConfig, TrainState } from '../../reference/train-step.ts';
import { createRng } from '../../synthetic/rng.ts';

export const rows = 5;
export const d_in = 4;
export const d_sae = 6;
export const prefixes: readonly number[] = [2, 3, 6];

export interface World {
  readonly dialect: Dialect;
  readonly config: TrainConfig;
  readonly state: TrainState;
  readonly x: Matrix;
}

/** Decisions of words, not numbers. */
export const wordDecisions: typeof decisionList = decisionList.filter(
  ({ values }) => values.length > 1,
);

/** A published dialect with two words of three decided anew. */
export const mixtures: fc.Arbitrary<Dialect> = fc
  .record({
    base: fc.constantFrom(...Object.values(dialects)),
    words: fc.tuple(
      ...wordDecisions.map(({ values }) =>
        fc.option(fc.constantFrom(...(values as readonly Value[])), { freq: 3 }),
      ),
    ),
    k: fc.constantFrom<Dialect['auxk']['k']>('half-d_in', 0, 1, 3, 512),
    tilt: fc.constantFrom(0, 0.002, 1.5),
    refinement: fc.constantFrom(0, 0, 0.3),
  })
  .map(({ base, words, k, tilt, refinement }) => {
    let dialect: Dialect = {
      ...base,
      name: 'mixture',
      auxk: { ...base.auxk, k },
      loss: { ...base.loss, tilt },
    };
    words.forEach((word, i) => {
      if (word !== null) dialect = withDecision(dialect, wordDecisions[i].path, word);
    });
    if (dialect.defaults.selection !== 'jump') {
      dialect = withDecision(dialect, 'encode.refinement', refinement);
    }
    // Latents that have not fired of late keep averages that differ.
    dialect = withDecision(dialect, 'latentOrder.decay', 0.9);
    // Wide enough for some values to lie in the window.
    return withDecision(dialect, 'jumpRelu.bandwidth', 1);
  });

/** Worlds whose dialect is a mixture for which `holds`. */
export function worlds(holds: (dialect: Dialect) => boolean = () => true): fc.Arbitrary<World> {
  return fc
    .record({ dialect: mixtures.filter(holds), seed: fc.nat() })
    .map(({ dialect, seed }) => worldOf(dialect, seed));
}

/** The world of a dialect and a seed. */
export function worldOf(dialect: Dialect, seed: number, options: Partial<TrainConfig> = {}): World {
  const { normal, uniform } = createRng(seed);
  const normals = (count: number, factor = 1): Float64Array =>
    Float64Array.from({ length: count }, () => factor * normal());
  const uniforms = (count: number, from: number, to: number): Float64Array =>
    Float64Array.from({ length: count }, () => from + (to - from) * uniform());
  const config = trainConfig({
    dialect,
    d_in,
    d_sae,
    k: dialect.defaults.selection === 'row' ? 2 : 1.7,
    steps: 50,
    prefixes,
    levelWeights: [0.5, 1, 0.75],
    learningRate: 0.01,
    warmupSteps: 2,
    decayStart: null,
    auxkAlpha: 0.75,
    deadAfter: 20,
    thresholdStartStep: -1,
    sparsityCoefficient: 0.3,
    sparsityWarmupSteps: 8,
    targetL0: 1.5,
    ...options,
  });
  const jump = config.selection === 'jump';
  const four = (factor: number): SaeParams => ({
    W_enc: matrix(d_in, d_sae, normals(d_in * d_sae, factor)),
    b_enc: normals(d_sae, factor / 2),
    W_dec: matrix(d_sae, d_in, normals(d_sae * d_in, factor)),
    b_dec: normals(d_in, factor / 2),
    ...(jump ? { threshold: normals(d_sae, factor) } : {}),
  });
  // Penalties of size are not defined of the negative latents that a negative threshold lets pass.
  const least = ['l1', 'log'].includes(dialect.penalty.kind) ? 0 : -0.3;
  const params = four(1);
  return {
    dialect,
    config,
    x: matrix(rows, d_in, normals(rows * d_in)),
    state: {
      step: 5,
      params: jump ? { ...params, threshold: uniforms(d_sae, least, 0.7) } : params,
      m: four(0.1),
      v: squares(four(0.1)),
      threshold: 0.25,
      sinceFired: uniforms(d_sae, 0, 60).map(Math.floor),
      averages: {
        meanNorm: 1.5,
        meanSquares: uniforms(d_sae, 0, 2),
        sparsityScale: 0.4,
        frequencies: uniforms(d_sae, 0, 1),
      },
    },
  };
}

/** The world with its parameters in the order that a step's result is in: see `StepResult.order`. */
export function placed(world: World, { order }: StepResult): World {
  const { state } = world;
  if (order === null) return world;
  return { ...world, state: { ...state, params: reorderLatents(state.params, order) } };
}

function squares(params: SaeParams): SaeParams {
  const squared = (values: Float64Array): Float64Array => values.map((value) => value * value);
  return {
    W_enc: matrix(d_in, d_sae, squared(params.W_enc.data)),
    b_enc: squared(params.b_enc),
    W_dec: matrix(d_sae, d_in, squared(params.W_dec.data)),
    b_dec: squared(params.b_dec),
    ...(params.threshold === undefined ? {} : { threshold: squared(params.threshold) }),
  };
}

/** Largest difference, relative to the largest magnitude expected or to 1; infinite for NaN or other lengths. */
export function difference(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (got.length !== expected.length) return Infinity;
  let largest = 0;
  let magnitude = 1;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(got[i] - expected[i]);
    if (Number.isNaN(error)) return Infinity;
    largest = Math.max(largest, error);
    magnitude = Math.max(magnitude, Math.abs(expected[i]));
  }
  return largest / magnitude;
}

/**
 * One training step on the engine, in the reference's order. Of the five products of a dense step only encode is one;
 * everything after selection touches selected latents alone, and parameters once for Adam.
 * @module
 */
import { learningRate } from '../../reference/adam.ts';
import { deadMask } from '../../reference/dead-latents.ts';
import { geometricMedian } from '../../reference/geometric-median.ts';
import { levelCoefficients, reconstructionLoss as reconstruction } from '../../reference/loss.ts';
import { matrix } from '../../reference/matrix.ts';
import { selectionCount } from '../../reference/select.ts';
import { updateThreshold } from '../../reference/threshold.ts';
import type { TrainConfig } from '../../reference/train-step.ts';
import { update } from './adam.ts';
import { type Losses, auxiliaries } from './auxk.ts';
import { centre, zeros } from './batch.ts';
import { preActivations, productsFor } from './dense.ts';
import { decode, losses, openLevels, suffix } from './decode.ts';
import { type Input, type Rows, selectBatch, selectRows, smallest } from './encode.ts';
import type { Engine } from './engine.ts';
import { gradientsOf } from './gradients.ts';
import type { State } from './state.ts';

export interface StepReport {
  readonly loss: number;
  readonly l0: number;
  readonly dead: number;
  /** Before clipping. */
  readonly gradientNorm: number;
}

/** What a step found on its way; its addresses are good until the next one. */
export interface StepDetails extends StepReport {
  readonly latents: Rows;
  /** L_0..L_G. */
  readonly levelLosses: Float64Array;
  readonly reconstructionLoss: number;
  readonly deadLatents: Uint8Array;
  readonly auxk: Losses;
  /** What every gradient was multiplied by. */
  readonly clip: number;
  readonly learningRate: number;
}

/** Told of what is in memory within a step, while it is there: how a step is certified. */
export interface Watch {
  /** Reconstructions, (levels, rows, stride). */
  readonly decoded?: (latents: Rows, reconstructions: number) => void;
  /** Errors, likewise, and what auxk made of them. */
  readonly auxk?: (auxk: Losses, errors: number) => void;
  /** Once gradients are there, before the update. @param raw - W_dec's, before projection. */
  readonly gradients?: (raw: number, clip: number, rate: number) => void;
}

/**
 * @param state - changed in place, and left as it was by a step that throws.
 * @param x - (rows, d_in), float32.
 * @throws {@link RangeError} on values that are not finite, and what the reference's operators refuse.
 */
export function trainStep(
  engine: Engine,
  state: State,
  x: Float32Array,
  config: TrainConfig,
  watch: Watch = {},
): StepDetails {
  const mark = engine.mark();
  try {
    return step(engine, state, x, config, watch);
  } finally {
    engine.release(mark);
  }
}

function step(
  engine: Engine,
  state: State,
  x: Float32Array,
  config: TrainConfig,
  watch: Watch,
): StepDetails {
  const { dialect, prefixes } = config;
  const { sizes, params } = state;
  const rows = x.length / sizes.d_in;
  const b_dec = engine.f32(params.b_dec, sizes.stride);
  const kept = b_dec.slice(0, sizes.d_in);
  if (state.step === 0 && dialect.initialise.b_dec === 'geometric-median') {
    b_dec.set(geometricMedian(matrix(rows, sizes.d_in, Float64Array.from(x))));
  }
  try {
    const batch = centre(engine, x, rows, sizes, params, dialect.encode.subtractsDecoderBias);
    const scores = dialect.select.score === 'acts-times-decoder-norm';
    if (scores) requireNorms(engine.f32(state.norms, sizes.d_sae));
    const encoded: Input = {
      centred: batch.centred,
      rows,
      d_in: sizes.d_in,
      stride: sizes.stride,
      W_enc: params.W_enc,
      b_enc: dialect.encode.usesEncoderBias ? params.b_enc : zeros(engine, sizes.panels * 12),
      latents: sizes.d_sae,
      norms: scores ? state.norms : 0,
      known: 0,
    };
    const products = productsFor(engine, rows, sizes.d_in, sizes.d_sae);
    const input =
      products === null
        ? encoded
        : { ...encoded, known: preActivations(engine, products, encoded) };
    const latents =
      config.selection === 'batch'
        ? selectBatch(engine, input, selectionCount(config.k, rows, sizes.d_sae), state.hint)
        : selectRows(engine, input, config.k);

    let { threshold } = state;
    if (state.step > config.thresholdStartStep) {
      const least = latents.count === 0 ? null : smallest(engine, latents);
      threshold = Math.fround(updateThreshold(threshold, least, dialect));
    }

    const coefficients = levelCoefficients(config.levelWeights, sizes.d_in, dialect);
    const decoded = openLevels(engine, batch.x, latents, state, prefixes, coefficients);
    decode(engine, decoded, latents.count);
    watch.decoded?.(latents, decoded.at);
    const levelLosses = losses(engine, decoded);
    const reconstructionLoss = reconstruction(levelLosses, coefficients);

    const sinceFired = state.sinceFired.slice();
    age(sinceFired, engine.i32(latents.latent, latents.count), rows, config);
    const counts = dialect.deadLatents.mask === 'this-step' ? sinceFired : state.sinceFired;
    const deadLatents = deadMask(Float64Array.from(counts), config.deadAfter, dialect);
    const dead = deadLatents.reduce((sum, flag) => sum + flag, 0);
    const residual = { W_dec: params.W_dec, d_sae: sizes.d_sae, error: decoded.at };
    const auxk = auxiliaries(engine, input, residual, deadLatents, config);

    watch.auxk?.(auxk, decoded.at);
    const attached = dialect.auxk.residual === 'attached' ? (auxk[0] ?? null) : null;
    suffix(engine, decoded, attached, dialect.loss.innerLevels);
    const rate = learningRate(state.step, config, dialect);
    const { clip, gradientNorm } = gradientsOf(
      engine,
      state,
      batch,
      latents,
      decoded,
      auxk,
      config,
      watch,
      rate,
    );
    update(engine, state, clip, rate, config);

    state.step += 1;
    state.threshold = threshold;
    state.sinceFired.set(sinceFired);
    const auxkLoss = auxk.reduce((sum, one) => sum + (one?.loss ?? 0), 0);
    return {
      loss: reconstructionLoss + config.auxkAlpha * auxkLoss,
      l0: latents.count / rows,
      dead,
      gradientNorm,
      latents,
      levelLosses,
      reconstructionLoss,
      deadLatents,
      auxk,
      clip,
      learningRate: rate,
    };
  } catch (error) {
    engine.f32(params.b_dec, sizes.d_in).set(kept);
    throw error;
  }
}

/** @throws {@link RangeError} on a decoder row without length, which no score can be scaled by. */
function requireNorms(norms: Float32Array): void {
  const row = norms.findIndex((norm) => norm === 0);
  if (row >= 0) {
    throw new RangeError(
      `W_dec: expected non-zero rows to rescale acts by, got norm 0 in row ${row}`,
    );
  }
}

/** 0 for what fired, else the batch's rows more, or 1 where steps are counted; counts stop at 2³⁰. */
export function age(
  sinceFired: Int32Array,
  fired: Int32Array,
  rows: number,
  { dialect }: Pick<TrainConfig, 'dialect'>,
): void {
  const passed = dialect.deadLatents.unit === 'tokens' ? rows : 1;
  for (let j = 0; j < sinceFired.length; j++) {
    sinceFired[j] = Math.min(sinceFired[j] + passed, 2 ** 30);
  }
  for (const latent of fired) sinceFired[latent] = 0;
}

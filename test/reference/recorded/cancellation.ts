/**
 * How large the terms are whose sum or difference a quantity is. Rounding is relative to those, not to what is left of them:
 * where little is left, float32's error relative to the result says nothing about a formula.
 *
 * A pass over absolute values: every input by its size, every difference as a sum.
 */
import { encoderInput } from '../../../reference/encode.ts';
import { rowNorms } from '../../../reference/decoder-norm.ts';
import { gradients } from '../../../reference/gradients.ts';
import { levelCoefficients } from '../../../reference/loss.ts';
import {
  addToRows,
  dot,
  map,
  multiply,
  scale,
  subtract,
  type Matrix,
} from '../../../reference/matrix.ts';
import { namesOf, valuesOf, type SaeParams } from '../../../reference/params.ts';
import { sparsityPenalty } from '../../../reference/penalty.ts';
import { groups } from '../../../reference/prefixes.ts';
import type { Taken } from './branches.ts';

const size = (a: Matrix): Matrix => map(a, Math.abs);

function largest(values: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i]));
  return most;
}

/** The largest size behind each quantity of a step, by the quantity's name. */
export function sizesOf(step: Taken): Map<string, number> {
  const { before, result, config } = step;
  const { dialect } = config;
  const params = before.params;
  const absolute: SaeParams = {
    ...params,
    W_enc: size(params.W_enc),
    b_enc: params.b_enc.map(Math.abs),
    W_dec: size(params.W_dec),
    b_dec: params.b_dec.map(Math.abs),
  };
  const minusBias: SaeParams = { ...absolute, b_dec: absolute.b_dec.map((bias) => -bias) };
  const centred = encoderInput(size(result.input), minusBias, dialect);
  const pre = addToRows(multiply(centred, absolute.W_enc), absolute.b_enc);
  const latents = map(pre, (value, i) => (result.latents.data[i] > 0 ? value : 0));
  const prefixes = step.draws.prefixes ?? config.prefixes;
  const errors = errorSizes(latents, absolute, prefixes, size(result.input));
  const auxk = result.auxk.map((term) => {
    const chosen = map(pre, (value, i) => (term.latents.data[i] === 0 ? 0 : value));
    const miss = map(
      multiply(chosen, absolute.W_dec),
      (value, i) => value + errors[term.level].data[i],
    );
    const residual = subtract(result.input, result.reconstructions[term.level - 1]);
    const actual = subtract(multiply(term.latents, params.W_dec), residual);
    const factor = term.loss === 0 ? 0 : term.loss / dot(actual.data, actual.data);
    const loss = factor * dot(miss.data, miss.data);
    const gradient = scale(miss, 2 * config.auxkAlpha * factor);
    return { ...term, latents: chosen, loss, gradient };
  });
  const penalty = sparsityPenalty(
    result.latents,
    absolute.W_dec,
    prefixes,
    result.l0,
    config.targetL0,
    dialect,
  );
  const coefficients = levelCoefficients(
    step.draws.prefixes === undefined ? config.levelWeights : prefixes.map(() => 1),
    config.d_in,
    dialect,
  );
  const gradient = gradients(
    {
      x: centred,
      pre: result.pre,
      latents,
      errors,
      auxk,
      penalty: { penalty, coefficient: result.penaltyCoefficient },
    },
    {
      ...absolute,
      // b_dec's gradient is a difference: the sign makes it the sum of both sizes.
      W_enc: scale(absolute.W_enc, -1),
      b_dec: absolute.b_dec.map(() => 0),
    },
    prefixes,
    coefficients,
    dialect,
  );
  const auxkLoss = auxk.reduce((total, { loss }) => total + loss, 0);
  return new Map([
    ['auxk', auxkLoss * (dialect.name === 'dictionary_learning' ? 1 : config.auxkAlpha)],
    ['threshold', thresholdSize(step, pre)],
    ...namesOf(params).flatMap((name) => momentSizes(step, gradient, name)),
  ]);
}

/** |x̂_g| + |x| for g = 0..G, x̂_g as the sum of its terms' sizes. */
function errorSizes(
  latents: Matrix,
  { W_dec, b_dec }: SaeParams,
  prefixes: readonly number[],
  x: Matrix,
): Matrix[] {
  return [{ start: 0, end: 0 }, ...groups(prefixes)].map(({ end }) => {
    const own = map(latents, (value, i) => (i % latents.cols < end ? value : 0));
    const reconstruction = addToRows(multiply(own, W_dec), b_dec);
    return map(reconstruction, (value, i) => value + x.data[i]);
  });
}

/** Old threshold, and the pre-activation behind the smallest latent, both times their weights. */
function thresholdSize({ before, result, config }: Taken, pre: Matrix): number {
  const { select, threshold } = config.dialect;
  const norms = rowNorms(before.params.W_dec);
  const factor = (i: number): number => (select.score === 'acts' ? 1 : norms[i % norms.length]);
  let smallest = Infinity;
  let at = 0;
  result.latents.data.forEach((latent, i) => {
    if (latent > 0 && latent * factor(i) < smallest) {
      smallest = latent * factor(i);
      at = i;
    }
  });
  return (
    threshold.decay * Math.abs(before.threshold) + (1 - threshold.decay) * pre.data[at] * factor(at)
  );
}

/** Of the gradient, of what Adam receives (a projection leaves a difference, too), and of the moments. */
function momentSizes(
  { before, result, config }: Taken,
  gradient: SaeParams,
  name: keyof SaeParams,
): [string, number][] {
  const { adam, clip, decoderNorm } = config.dialect;
  const own = largest(valuesOf(gradient, name));
  const factor = Math.min(1, clip.maxNorm / (result.gradientNorm + 1e-6));
  const projected = name === 'W_dec' && decoderNorm.project !== 'never' ? 2 : 1;
  const received = projected * factor * own;
  return [
    [`gradient ${name}`, own],
    [`clipped ${name}`, received],
    [`m ${name}`, adam.beta1 * largest(valuesOf(before.m, name)) + (1 - adam.beta1) * received],
    [
      `v ${name}`,
      adam.beta2 * largest(valuesOf(before.v, name)) + (1 - adam.beta2) * received ** 2,
    ],
  ];
}

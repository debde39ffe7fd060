/**
 * train-step: the other operators one after another, each on what the ones before it stored.
 * @module
 */
import { dictionaryLearning } from '../../reference/dialects.ts';
import { paramNames } from '../../reference/params.ts';
import type { Call, Tensor, Tensors } from '../kernel.ts';
import { numberOf, numbersOf, scalar } from '../tensors.ts';
import { adamUpdate, clipGradients, learningRate } from './adam.ts';
import type { Arithmetic } from './arithmetic.ts';
import { auxk } from './auxk.ts';
import { sinceFired } from './dead-latents.ts';
import { decode } from './decode.ts';
import { normaliseRows, projectGradient } from './decoder-norm.ts';
import { encode } from './encode.ts';
import { geometricMedian } from './geometric-median.ts';
import { gradients } from './gradients.ts';
import { loss } from './loss.ts';
import { batchTopk } from './select.ts';
import { updateThreshold } from './threshold.ts';
import type { VariantOperator } from './variant.ts';

const { adam, clip, decoderNorm, threshold: thresholdRule } = dictionaryLearning;

export function trainStep(call: Call, arithmetic: Arithmetic): Tensors {
  const { x, W_enc, b_enc, W_dec, since_fired } = call.inputs;
  const { round, store } = arithmetic;
  const answer = (operator: VariantOperator, config: Call['config'], inputs: Tensors): Tensors =>
    operator({ config, inputs }, arithmetic);
  const step = numberOf(call, 'step');
  const b_dec = step === 0 ? answer(geometricMedian, {}, { x }).median : call.inputs.b_dec;

  const { acts } = answer(encode, {}, { x, W_enc, b_enc, b_dec });
  const { latents } = answer(batchTopk, { k: numberOf(call, 'k') }, { acts });
  let { threshold } = call.inputs;
  if (step > numberOf(call, 'threshold_start_step')) {
    const { decay } = thresholdRule;
    ({ threshold } = answer(updateThreshold, { decay }, { threshold, latents }));
  }
  const prefixes = numbersOf(call, 'prefixes');
  const { reconstructions } = answer(decode, { prefixes }, { latents, W_dec, b_dec });
  const level_weights = numbersOf(call, 'level_weights');
  const losses = answer(loss, { level_weights }, { x, reconstructions });
  const counted = answer(
    sinceFired,
    { dead_after: numberOf(call, 'dead_after') },
    { since_fired, latents },
  );

  const last = reconstructions.data.slice(-x.data.length);
  const residual: Tensor = {
    shape: x.shape,
    data: x.data.map((value, i) => store(round(value - last[i]))),
  };
  const alpha = numberOf(call, 'auxk_alpha');
  const revival = answer(auxk, { alpha }, { residual, acts, W_dec, dead: counted.dead });
  const weighted = round(round(alpha) * revival.loss.data[0]);
  const total = store(round(losses.loss.data[0] + weighted));

  const params = { W_enc, b_enc, W_dec, b_dec };
  const grads = answer(
    gradients,
    { prefixes, level_weights },
    {
      ...params,
      x,
      latents,
      auxk_latents: revival.latents,
      auxk_gradient: revival.gradient,
    },
  );
  const projected = answer(
    projectGradient,
    { epsilon: decoderNorm.projectEpsilon },
    { gradient: grads['grad.W_dec'], W_dec },
  ).gradient;
  const { norm, ...clipped } = answer(
    clipGradients,
    { max_norm: clip.maxNorm },
    { ...grads, 'grad.W_dec': projected },
  );

  // The rate is no tensor of the step: it stays as precise as sums are.
  const { rate } = learningRate(call, { ...arithmetic, store: round });
  const next: Record<string, Tensor> = {};
  for (const name of paramNames) {
    const updated = answer(
      adamUpdate,
      { step, rate: rate.data[0], ...adam },
      {
        parameter: params[name],
        gradient: clipped[`grad.${name}`],
        m: call.inputs[`m.${name}`],
        v: call.inputs[`v.${name}`],
      },
    );
    next[name] = updated.parameter;
    next[`m.${name}`] = updated.m;
    next[`v.${name}`] = updated.v;
    next[`clipped.${name}`] = clipped[`grad.${name}`];
  }
  const updated = next['W_dec'];
  const normalised = answer(
    normaliseRows,
    { epsilon: decoderNorm.normaliseEpsilon },
    { W_dec: updated },
  );
  return {
    acts,
    latents,
    reconstructions,
    level_losses: losses.level_losses,
    reconstruction_loss: losses.loss,
    residual,
    auxk_latents: revival.latents,
    auxk_gradient: revival.gradient,
    auxk_loss: revival.loss,
    loss: scalar(total),
    ...counted,
    threshold,
    ...grads,
    'projected.W_dec': projected,
    norm,
    ...next,
    'updated.W_dec': updated,
    ...normalised,
  };
}

/**
 * Wrong training steps: the right operators in another trainer's order or with another trainer's constants.
 * @module
 */
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { stepTensors } from '../kernels/train-step-calls.ts';
import { reordered } from '../kernels/train-step-order.ts';
import { scalar } from '../tensors.ts';
import type { Mutant } from './mutant.ts';

const dl = dictionaryLearning;

/** Stages of a step are judged one by one, and a violation names its stage. */
const law = {
  stages: 'every stage agrees with the reference on the kernel’s own inputs to it',
  start:
    'step 0 starts b_dec at the geometric median of the batch and moves no weight but the decoder’s norms',
  order:
    'a step commutes with reordering latents within their groups: parameters, moments and counts',
} as const;

/**
 * The reference's step with some decisions changed. A batch on which it then has no answer (a latent more is dead, and
 * the residual does not vary) is answered as it should be: a refusal would tell nothing of what is wrong.
 */
function stepping(
  name: string,
  imitates: string,
  why: Pick<Mutant, 'diagnosis' | 'stages'>,
  change: Partial<Dialect>,
): Mutant {
  return {
    operator: 'train-step',
    name,
    imitates,
    ...why,
    run: (call) => {
      try {
        return stepTensors(call, { ...dl, ...change });
      } catch (error) {
        if (error instanceof RangeError) return stepTensors(call);
        throw error;
      }
    },
  };
}

export const mutants: readonly Mutant[] = [
  stepping(
    'projection after clipping',
    'bartbussmann/matryoshka_sae: make_decoder_weights_and_grad_unit_norm after clip_grad_norm_',
    { diagnosis: [law.stages], stages: ['project-gradient'] },
    { decoderNorm: { ...dl.decoderNorm, project: 'after-clip' } },
  ),
  stepping(
    'rows rescaled before the update',
    'bartbussmann/matryoshka_sae: rows are unit before the step and not after it',
    { diagnosis: [law.stages], stages: ['adam-update', 'normalise-rows'] },
    { decoderNorm: { ...dl.decoderNorm, normalise: 'before-update' } },
  ),
  stepping(
    'decoder norm left free',
    'SAELens: no projection, no rescaling in training',
    { diagnosis: [law.stages], stages: ['project-gradient', 'normalise-rows'] },
    {
      decoderNorm: { ...dl.decoderNorm, project: 'never', normalise: 'never' },
    },
  ),
  stepping(
    'dead latents from the counts before this step',
    'SAELens: the mask lags one step',
    { diagnosis: [law.stages], stages: ['since-fired'] },
    {
      deadLatents: { ...dl.deadLatents, mask: 'previous-steps' },
    },
  ),
  stepping(
    'steps counted instead of tokens',
    'SAELens and bartbussmann/matryoshka_sae',
    { diagnosis: [law.stages], stages: ['since-fired'] },
    {
      deadLatents: { ...dl.deadLatents, unit: 'steps' },
    },
  ),
  stepping(
    'auxk residual not detached',
    'bartbussmann/matryoshka_sae; BatchTopK issue 4',
    { diagnosis: [law.stages], stages: ['gradients'] },
    {
      auxk: { ...dl.auxk, residual: 'attached' },
    },
  ),
  stepping(
    'auxk of pre-activations',
    'SAELens: negative values are chosen and contribute',
    { diagnosis: [law.stages], stages: ['auxk', 'gradients'] },
    {
      auxk: { ...dl.auxk, values: 'pre-activations' },
    },
  ),
  stepping(
    'auxk not normalised',
    'SAELens and bartbussmann/matryoshka_sae leave the normaliser out',
    { diagnosis: [law.stages], stages: ['auxk'] },
    { auxk: { ...dl.auxk, normaliser: 'none' } },
  ),
  stepping(
    'clipping at 1e5',
    'bartbussmann/matryoshka_sae: max_grad_norm 100000',
    { diagnosis: [law.stages], stages: ['clip-gradients'] },
    {
      clip: { maxNorm: 1e5 },
    },
  ),
  stepping(
    'beta2 0.99',
    'bartbussmann/matryoshka_sae and the BatchTopK code',
    { diagnosis: [law.stages], stages: ['adam-update'] },
    {
      adam: { ...dl.adam, beta2: 0.99 },
    },
  ),
  stepping(
    'warm-up that starts above 0',
    'SAELens: (t + 1) / w',
    { diagnosis: [law.stages], stages: ['adam-update'] },
    {
      learningRate: { ...dl.learningRate, warmup: 't-plus-one-over-w' },
    },
  ),
  stepping(
    'b_dec starts at zero',
    'SAELens and bartbussmann/matryoshka_sae',
    { diagnosis: [law.start], stages: ['geometric-median'] },
    {
      initialise: { ...dl.initialise, b_dec: 'zero' },
    },
  ),
  stepping(
    'levels summed, not averaged',
    'SAELens and the listing of the paper',
    { diagnosis: [law.stages], stages: ['loss'] },
    {
      loss: { ...dl.loss, overLevels: 'sum' },
    },
  ),
  {
    operator: 'train-step',
    name: 'alpha multiplied in twice',
    imitates: 'dictionary_learning pull 34',
    diagnosis: [law.stages],
    run: (call) => {
      const { auxk_alpha: alpha } = call.config as { auxk_alpha: number };
      const outputs = stepTensors({ ...call, config: { ...call.config, auxk_alpha: alpha ** 2 } });
      return outputs;
    },
  },
  {
    operator: 'train-step',
    name: 'alpha twice backwards, once in the loss',
    imitates: 'dictionary_learning pull 34, where the loss was reported right',
    diagnosis: [law.stages],
    stages: ['auxk'],
    run: (call) => {
      const { auxk_alpha: alpha } = call.config as { auxk_alpha: number };
      const honest = stepTensors(call);
      const twice = stepTensors({ ...call, config: { ...call.config, auxk_alpha: alpha ** 2 } });
      return { ...twice, loss: honest.loss };
    },
  },
  {
    operator: 'train-step',
    name: 'the threshold one step early',
    imitates: 'step >= threshold_start_step for step > threshold_start_step',
    diagnosis: [law.stages],
    run: (call) => {
      const { threshold_start_step: start } = call.config as { threshold_start_step: number };
      return stepTensors({ ...call, config: { ...call.config, threshold_start_step: start - 1 } });
    },
  },
  {
    operator: 'train-step',
    name: 'auxk reported and never back-propagated',
    imitates: 'crosscode pull 3',
    diagnosis: [law.stages],
    stages: ['gradients'],
    run: (call) => {
      const honest = stepTensors(call);
      const silent = stepTensors({ ...call, config: { ...call.config, auxk_alpha: 0 } });
      const { auxk_alpha: alpha } = call.config as { auxk_alpha: number };
      const total = silent.reconstruction_loss.data[0] + alpha * silent.auxk_loss.data[0];
      return { ...silent, auxk_gradient: honest.auxk_gradient, loss: scalar(total) };
    },
  },
  {
    operator: 'train-step',
    name: 'latents reordered by activity, their moments and counts left behind',
    imitates:
      'matryoshka-saes of noanabeshima: parameters are permuted after the update, Adam’s moments are not',
    diagnosis: [law.order],
    run: (call) => {
      const honest = stepTensors(call);
      const { shape, data } = honest.latents;
      const active = Array.from({ length: shape[1] }, (_, j) =>
        data.reduce((sum, latent, i) => sum + (i % shape[1] === j ? latent ** 2 : 0), 0),
      );
      const order = [...active.keys()].sort((a, b) => active[b] - active[a]);
      const { W_enc, b_enc, W_dec } = honest;
      return { ...honest, ...reordered({ W_enc, b_enc, W_dec }, order) };
    },
  },
];

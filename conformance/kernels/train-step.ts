/**
 * train-step: one whole step, judged stage by stage.
 *
 * Adam is ill-conditioned where a gradient is near 0, and a selection may turn on one rounding, so a step is never
 * compared end to end: the kernel shows its intermediates, and each stage is judged by its own operator's acceptance on
 * the kernel's own inputs to it.
 * @module
 */
import fc from 'fast-check';
import { learningRate as learningRateOf } from '../../reference/adam.ts';
import { dictionaryLearning } from '../../reference/dialects.ts';
import { paramNames } from '../../reference/params.ts';
import { permutationOf, withNonFinite } from '../arbitraries.ts';
import { compareTensor } from '../compare.ts';
import { underflow, type Profile } from '../error-model.ts';
import type { Call, KernelSpec, Tensor, Tensors } from '../kernel.ts';
import { answerOrRefusal, judge, law, neverHidesNonFinite, only } from '../laws.ts';
import { numberOf, numbersOf, scalar, tensor } from '../tensors.ts';
import { adamUpdate, clipGradients } from './adam.ts';
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
import {
  calls,
  configOf,
  firstCalls,
  inputWords,
  mostLatents,
  stepTensors,
} from './train-step-calls.ts';
import { inverseOf, orderWithinGroups, reordered } from './train-step-order.ts';

export { configOf, stepTensors } from './train-step-calls.ts';

const { adam, clip, decoderNorm, threshold: thresholdRule } = dictionaryLearning;

/** One stage: its operator, its call made of the kernel's own tensors, and the kernel's answer to it. */
interface Stage {
  readonly spec: KernelSpec;
  readonly call: Call;
  readonly answer: Tensors;
}

/** Every stage of a step, from the call and what the kernel showed. */
function stagesOf(call: Call, got: Tensors): Stage[] {
  const { x, W_enc, b_enc, W_dec, b_dec, threshold, since_fired } = call.inputs;
  const levels = { level_weights: numbersOf(call, 'level_weights') };
  const prefixes = { prefixes: numbersOf(call, 'prefixes') };
  const at = (
    spec: KernelSpec,
    config: Call['config'],
    inputs: Tensors,
    answer: Tensors,
  ): Stage => ({
    spec,
    call: { config, inputs },
    answer,
  });
  const grads = named(got, 'grad.');
  const step = numberOf(call, 'step');
  const rate = learningRateOf(step, configOf(call), dictionaryLearning);
  return [
    at(encode, {}, { x, W_enc, b_enc, b_dec }, { acts: got.acts }),
    at(batchTopk, { k: numberOf(call, 'k') }, { acts: got.acts }, { latents: got.latents }),
    ...(step > numberOf(call, 'threshold_start_step')
      ? [
          at(
            updateThreshold,
            { decay: thresholdRule.decay },
            { threshold, latents: got.latents },
            { threshold: got.threshold },
          ),
        ]
      : []),
    at(
      decode,
      prefixes,
      { latents: got.latents, W_dec, b_dec },
      { reconstructions: got.reconstructions },
    ),
    at(
      loss,
      levels,
      { x, reconstructions: got.reconstructions },
      { level_losses: got.level_losses, loss: got.reconstruction_loss },
    ),
    at(
      sinceFired,
      { dead_after: numberOf(call, 'dead_after') },
      { since_fired, latents: got.latents },
      { since_fired: got.since_fired, dead: got.dead },
    ),
    at(
      auxk,
      { alpha: numberOf(call, 'auxk_alpha') },
      { residual: got.residual, acts: got.acts, W_dec, dead: got.dead },
      { loss: got.auxk_loss, latents: got.auxk_latents, gradient: got.auxk_gradient },
    ),
    at(
      gradients,
      { ...prefixes, ...levels },
      {
        x,
        latents: got.latents,
        W_enc,
        b_enc,
        W_dec,
        b_dec,
        auxk_latents: got.auxk_latents,
        auxk_gradient: got.auxk_gradient,
      },
      grads,
    ),
    at(
      projectGradient,
      { epsilon: decoderNorm.projectEpsilon },
      { gradient: grads['grad.W_dec'], W_dec },
      { gradient: got['projected.W_dec'] },
    ),
    at(
      clipGradients,
      { max_norm: clip.maxNorm },
      { ...grads, 'grad.W_dec': got['projected.W_dec'] },
      { ...renamed(named(got, 'clipped.'), 'clipped.', 'grad.'), norm: got.norm },
    ),
    ...paramNames.map((name) =>
      at(
        adamUpdate,
        { step, rate, ...adam },
        {
          parameter: call.inputs[name],
          gradient: got[`clipped.${name}`],
          m: call.inputs[`m.${name}`],
          v: call.inputs[`v.${name}`],
        },
        {
          parameter: name === 'W_dec' ? got['updated.W_dec'] : got[name],
          m: got[`m.${name}`],
          v: got[`v.${name}`],
        },
      ),
    ),
    at(
      normaliseRows,
      { epsilon: decoderNorm.normaliseEpsilon },
      { W_dec: got['updated.W_dec'] },
      { W_dec: got.W_dec },
    ),
  ];
}

/** What is wrong with a step, by its stages and by the sums that join them; null if nothing. */
async function wrongStep(call: Call, got: Tensors, profile: Profile): Promise<string | null> {
  for (const stage of stagesOf(call, got)) {
    const wrong = await judge(stage.spec, stage.call, stage.answer, profile);
    if (wrong !== null) return `stage ${stage.spec.name}: ${wrong}`;
  }
  return (
    wrongResidual(call, got, profile) ?? wrongTotal(call, got, profile) ?? wrongHeld(call, got)
  );
}

/** x - x̂_G is one subtraction: u relative. */
function wrongResidual(call: Call, got: Tensors, profile: Profile): string | null {
  const { x } = call.inputs;
  const last = got.reconstructions.data.slice(-x.data.length);
  const expected = tensor(
    x.shape,
    x.data.map((value, i) => value - last[i]),
  );
  return compareTensor(
    'residual',
    got.residual,
    expected,
    (i) => 2 * profile.u_out * Math.abs(expected.data[i]) + underflow(1, 1, profile),
  );
}

/** reconstruction loss + alpha · auxk loss: alpha rounded, one product, one sum. */
function wrongTotal(call: Call, got: Tensors, profile: Profile): string | null {
  const alpha = numberOf(call, 'auxk_alpha');
  const total = got.reconstruction_loss.data[0] + alpha * got.auxk_loss.data[0];
  const bound = 4 * profile.u_out * total + underflow(2, 1, profile);
  return compareTensor('loss', got.loss, scalar(total), () => bound);
}

/** Until its first update is due the threshold stays what it was. */
function wrongHeld(call: Call, got: Tensors): string | null {
  if (numberOf(call, 'step') > numberOf(call, 'threshold_start_step')) return null;
  return compareTensor('threshold', got.threshold, call.inputs.threshold, () => 0);
}

function named(tensors: Tensors, prefix: string): Record<string, Tensor> {
  return Object.fromEntries(
    paramNames.map((name) => [`${prefix}${name}`, tensors[`${prefix}${name}`]]),
  );
}

function renamed(tensors: Tensors, from: string, to: string): Tensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, value]) => [name.replace(from, to), value]),
  );
}

function outputShapes({ inputs, config }: Call): Record<string, readonly number[]> {
  const [rows, d_in] = inputs.x.shape;
  const d_sae = inputs.b_enc.shape[0];
  const levels = (config['prefixes'] as readonly number[]).length;
  const params = { W_enc: [d_in, d_sae], b_enc: [d_sae], W_dec: [d_sae, d_in], b_dec: [d_in] };
  const each = ['', 'm.', 'v.', 'grad.', 'clipped.'].flatMap((prefix) =>
    paramNames.map((name) => [`${prefix}${name}`, params[name]] as const),
  );
  return {
    ...Object.fromEntries(each),
    'projected.W_dec': params.W_dec,
    'updated.W_dec': params.W_dec,
    acts: [rows, d_sae],
    latents: [rows, d_sae],
    auxk_latents: [rows, d_sae],
    reconstructions: [levels, rows, d_in],
    residual: [rows, d_in],
    auxk_gradient: [rows, d_in],
    level_losses: [levels],
    dead: [d_sae],
    since_fired: [d_sae],
    reconstruction_loss: [],
    auxk_loss: [],
    loss: [],
    threshold: [],
    norm: [],
  };
}

export const trainStep: KernelSpec = {
  name: 'train-step',
  summary: 'one training step, shown stage by stage',
  inputs: inputWords,
  outputs: {
    'acts, latents': '(rows, d_sae), before and after selection',
    reconstructions: '(prefixes, rows, d_in)',
    'level_losses, reconstruction_loss, auxk_loss, loss':
      '(prefixes), then scalars; auxk_loss before alpha',
    residual: '(rows, d_in), x minus the last reconstruction',
    'auxk_latents, auxk_gradient': '(rows, d_sae), (rows, d_in)',
    'dead, since_fired, threshold': '(d_sae), (d_sae), ()',
    'grad.…': 'as derived',
    'projected.W_dec': 'its gradient after projection',
    'clipped.…, norm': 'what Adam receives, and the norm before clipping',
    'updated.W_dec': 'after Adam, before rows are rescaled',
    'W_enc, b_enc, W_dec, b_dec, m.…, v.…': 'the next state',
  },
  config: {
    k: 'mean latents per row',
    prefixes: 'm_1 < … < m_G = d_sae',
    level_weights: 'one per prefix',
    step: 'updates done before this one',
    'steps, warmup_steps, decay_start, learning_rate': 'the schedule',
    threshold_start_step: 'the threshold is updated in steps after it',
    dead_after: 'tokens',
    auxk_alpha: 'weight of auxk',
  },
  outputShapes,
  reference: (call) => stepTensors(call),
  laws: [
    law(
      'every stage agrees with the reference on the kernel’s own inputs to it',
      only(calls),
      async ({ call }, { run, profile }) => wrongStep(call, await run(call), profile),
    ),
    // Both steps may differ by rounding, in their selections and so in all that follows, Adam's updates above all. But
    // stages are right or wrong whatever the order of latents: put back in order, a right step is one of the first call.
    law(
      'a step commutes with reordering latents within their groups: parameters, moments and counts',
      fc
        .tuple(calls, permutationOf(mostLatents))
        .map(([call, priorities]) => ({ call, priorities })),
      async ({ call, priorities }, { run, profile }) => {
        const order = orderWithinGroups(call, priorities);
        const got = await run({ ...call, inputs: reordered(call.inputs, order) });
        const wrong = await wrongStep(call, reordered(got, inverseOf(order)), profile);
        return wrong && `with latents in the order ${order.join(', ')} and back: ${wrong}`;
      },
    ),
    law(
      'step 0 starts b_dec at the geometric median of the batch and moves no weight but the decoder’s norms',
      only(firstCalls),
      async ({ call }, { run, profile }) => {
        const got = await run(call);
        // Update 0 of a warm-up has rate 0, so b_dec is returned as it was set.
        const median = await judge(
          geometricMedian,
          { config: {}, inputs: { x: call.inputs.x } },
          { median: got.b_dec },
          profile,
        );
        if (median !== null) return `stage geometric-median: ${median}`;
        const started = { ...call, inputs: { ...call.inputs, b_dec: got.b_dec } };
        return wrongStep(started, got, profile);
      },
    ),
    law(
      'a batch that is not finite is refused or shows, in the loss above all',
      only(withNonFinite(calls, ['x'])),
      async ({ call }, subject) => {
        const got = await answerOrRefusal(call, subject);
        return got !== null && Number.isFinite(got.loss.data[0])
          ? `loss is ${got.loss.data[0]}`
          : null;
      },
    ),
    neverHidesNonFinite(withNonFinite(calls, ['W_enc', 'b_enc', 'W_dec', 'b_dec'])),
  ],
};

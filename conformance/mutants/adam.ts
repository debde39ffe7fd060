/**
 * Wrong clipping, schedules and Adam updates.
 * @module
 */
import type { Call, Tensors } from '../kernel.ts';
import { numberOf, scalar, tensor } from '../tensors.ts';
import type { Mutant } from './mutant.ts';

const gradientNames = ['grad.W_enc', 'grad.b_enc', 'grad.W_dec', 'grad.b_dec'] as const;

const norm = (values: Iterable<number>): number => Math.hypot(...values);
const each = (call: Call, name: string): number => norm(call.inputs[name].data);
const together = (call: Call): number => norm(gradientNames.map((name) => each(call, name)));

/** What becomes of each value, and the norm that is reported. */
function clipping(
  clip: (value: number, call: Call, name: string) => number,
  reported: (call: Call) => number = together,
): Mutant['run'] {
  return (call): Tensors => ({
    ...Object.fromEntries(
      gradientNames.map((name) => {
        const { shape, data } = call.inputs[name];
        return [
          name,
          tensor(
            shape,
            data.map((value) => clip(value, call, name)),
          ),
        ];
      }),
    ),
    norm: scalar(reported(call)),
  });
}

const limit = (call: Call): number => numberOf(call, 'max_norm');
const factor = (call: Call, total: number, added = 1e-6): number =>
  Math.min(1, limit(call) / (total + added));

/** The settings of a schedule, by the names they have in equations. */
interface At {
  readonly t: number;
  readonly T: number;
  readonly w: number;
  readonly s: number | null;
}

/** A wrong multiplier of the learning rate. */
function scheduling(multiplier: (at: At) => number): Mutant['run'] {
  return (call) => {
    const { decay_start } = call.config;
    const at: At = {
      t: numberOf(call, 'step'),
      T: numberOf(call, 'steps'),
      w: numberOf(call, 'warmup_steps'),
      s: decay_start === null ? null : Number(decay_start),
    };
    return { rate: scalar(numberOf(call, 'learning_rate') * multiplier(at)) };
  };
}

const warm = ({ t, w }: At): number => (t < w ? t / w : 1);
const cooled = ({ t, T, s }: At): number => (s !== null && t >= s ? (T - t) / (T - s) : 1);

/** One value's update, in the published steps; each can be replaced. */
interface AdamSteps {
  readonly m: (m: number, g: number, beta1: number) => number;
  readonly v: (v: number, g: number, beta2: number) => number;
  readonly correct: (beta: number, t: number) => number;
  readonly divisor: (v: number, correction: number, epsilon: number) => number;
  readonly parameter: (w: number, update: number, rate: number) => number;
}

const published: AdamSteps = {
  m: (m, g, beta1) => m + (1 - beta1) * (g - m),
  v: (v, g, beta2) => beta2 * v + (1 - beta2) * g * g,
  correct: (beta, t) => 1 - beta ** t,
  divisor: (v, correction, epsilon) => Math.sqrt(v) / Math.sqrt(correction) + epsilon,
  parameter: (w, update, rate) => w - rate * update,
};

/** @param skips - calls whose parameter is left as it is. */
function stepping(
  wrong: Partial<AdamSteps>,
  skips: (call: Call) => boolean = () => false,
): Mutant['run'] {
  const steps = { ...published, ...wrong };
  return (call) => {
    const { parameter, gradient, m, v } = call.inputs;
    const [beta1, beta2] = [numberOf(call, 'beta1'), numberOf(call, 'beta2')];
    const t = numberOf(call, 'step') + 1;
    const first = m.data.map((old, i) => steps.m(old, gradient.data[i], beta1));
    const second = v.data.map((old, i) => steps.v(old, gradient.data[i], beta2));
    const next = parameter.data.map((w, i) => {
      const divisor = steps.divisor(second[i], steps.correct(beta2, t), numberOf(call, 'epsilon'));
      const update = first[i] / steps.correct(beta1, t) / divisor;
      return steps.parameter(w, update, numberOf(call, 'rate'));
    });
    return {
      parameter: skips(call) ? parameter : tensor(parameter.shape, next),
      m: tensor(parameter.shape, first),
      v: tensor(parameter.shape, second),
    };
  };
}

/** Laws that tell what is wrong. */
const clipped = {
  direction: 'clipping keeps directions: one factor for all four gradients',
  most: 'the clipped gradients together have a norm of at most max_norm',
  short:
    'gradients with a norm below max_norm - 1e-6, by more than rounding, come back as they are',
  exact: 'a norm of max_norm exactly becomes max_norm² / (max_norm + 1e-6)',
  reported: 'the norm reported is that before clipping',
} as const;

/** Laws that tell what is wrong. */
const rate = {
  zero: 'with warm-up, update 0 has rate 0',
  falls: 'the rate never rises once decay has started',
  last: 'the last update of a decay has the share 1 / (steps - decay_start) of the rate',
} as const;

/** Laws that tell what is wrong. */
const update = {
  first: 'the first update is -rate · g / (|g| + epsilon)',
  most: 'the first update moves no value by more than the rate, and none along its gradient',
  nothing: 'a zero gradient with zero moments changes nothing, whatever the step',
  shrinks: 'without a gradient m shrinks to beta1 m, and v to beta2 v',
} as const;

export const mutants: readonly Mutant[] = [
  {
    operator: 'clip-gradients',
    name: 'each gradient clipped by its own norm',
    imitates: 'clip_grad_norm_ called for one parameter after the other',
    diagnosis: [clipped.direction],
    run: clipping((g, call, name) => g * factor(call, each(call, name))),
  },
  {
    operator: 'clip-gradients',
    name: 'no 1e-6',
    imitates: 'the textbook factor max_norm / norm',
    diagnosis: [clipped.exact],
    run: clipping((g, call) => (together(call) === 0 ? g : g * factor(call, together(call), 0))),
  },
  {
    operator: 'clip-gradients',
    name: 'applied only above max_norm',
    imitates:
      'an if around the product: torch multiplies always, so a norm of max_norm shrinks too',
    diagnosis: [clipped.exact],
    run: clipping((g, call) =>
      together(call) > limit(call) ? g * factor(call, together(call)) : g,
    ),
  },
  {
    operator: 'clip-gradients',
    name: 'factor not capped at 1',
    imitates: 'normalisation taken for clipping: small gradients are scaled up',
    diagnosis: [clipped.short],
    run: clipping((g, call) => (g * limit(call)) / (together(call) + 1e-6)),
  },
  {
    operator: 'clip-gradients',
    name: 'values clamped to max_norm',
    imitates: 'clip_grad_value_ taken for clip_grad_norm_',
    diagnosis: [clipped.direction],
    run: clipping((g, call) => Math.max(-limit(call), Math.min(limit(call), g))),
  },
  {
    operator: 'clip-gradients',
    name: 'biases left out of the norm',
    imitates: 'a norm over matrices alone',
    diagnosis: [clipped.most],
    run: clipping((g, call) => {
      const matrices = norm([each(call, 'grad.W_enc'), each(call, 'grad.W_dec')]);
      return g * factor(call, matrices);
    }),
  },
  {
    operator: 'clip-gradients',
    name: 'norms of the four added up',
    imitates: 'a 1-norm of norms',
    diagnosis: [clipped.short],
    run: clipping(
      (g, call) =>
        g *
        factor(
          call,
          gradientNames.reduce((sum, name) => sum + each(call, name), 0),
        ),
    ),
  },
  {
    operator: 'clip-gradients',
    name: 'norm reported after clipping',
    imitates: 'a log of the norm that never exceeds max_norm',
    diagnosis: [clipped.reported],
    run: clipping(
      (g, call) => g * factor(call, together(call)),
      (call) => together(call) * factor(call, together(call)),
    ),
  },
  {
    operator: 'learning-rate',
    name: 'warm-up from 1 / warmup_steps',
    imitates: 'SAELens: (t + 1) / w, so that update 0 already moves',
    diagnosis: [rate.zero],
    run: scheduling((at) => (at.t < at.w ? (at.t + 1) / at.w : cooled(at))),
  },
  {
    operator: 'learning-rate',
    name: 'no warm-up',
    imitates: "bartbussmann/matryoshka_sae and SAELens's default: a constant rate",
    diagnosis: [rate.zero],
    run: scheduling(cooled),
  },
  {
    operator: 'learning-rate',
    name: 'no decay',
    imitates: 'dictionary_learning 1df47d8: the scheduler was never stepped',
    diagnosis: [rate.last],
    run: scheduling(warm),
  },
  {
    operator: 'learning-rate',
    name: 'decay reaches 0 one update early',
    imitates: 'the last update taken for the end of the run',
    diagnosis: [rate.last],
    run: scheduling((at) =>
      at.s !== null && at.t >= at.s ? (at.T - 1 - at.t) / (at.T - at.s) : warm(at),
    ),
  },
  {
    operator: 'learning-rate',
    name: 'decay over the whole run',
    imitates: '(T - t) / T from decay_start on, a jump down where decay begins',
    diagnosis: [rate.last],
    run: scheduling((at) => (at.s !== null && at.t >= at.s ? (at.T - at.t) / at.T : warm(at))),
  },
  {
    operator: 'learning-rate',
    name: 'decay to a tenth',
    imitates: 'noanabeshima/matryoshka-saes: 1 - 0.9 (t - s) / (T - s)',
    diagnosis: [rate.last],
    run: scheduling((at) => (at.t < at.w ? warm(at) : 1 - 0.9 * (1 - cooled(at)))),
  },
  {
    operator: 'learning-rate',
    name: 'rate rises after decay_start',
    imitates: 'the two ends of the decay exchanged',
    diagnosis: [rate.falls],
    run: scheduling((at) =>
      at.s !== null && at.t >= at.s ? (at.t - at.s) / (at.T - at.s) : warm(at),
    ),
  },
  {
    operator: 'adam-update',
    name: 'epsilon inside the root',
    imitates: 'RMSProp variants: √(v + ε)',
    diagnosis: [update.first],
    run: stepping({ divisor: (v, correction, epsilon) => Math.sqrt(v / correction + epsilon) }),
  },
  {
    operator: 'adam-update',
    name: 'epsilon added before the correction of v',
    imitates: "the paper's shortcut (Kingma & Ba, end of section 2), whose ε is not the same ε",
    diagnosis: [update.first],
    run: stepping({
      divisor: (v, correction, epsilon) => (Math.sqrt(v) + epsilon) / Math.sqrt(correction),
    }),
  },
  {
    operator: 'adam-update',
    name: 'no bias correction',
    imitates: 'moments that start at 0 taken as they are',
    diagnosis: [update.first, update.most],
    run: stepping({ correct: () => 1 }),
  },
  {
    operator: 'adam-update',
    name: 'corrected as one update later',
    imitates: 't off by one: the step counted before it is used',
    diagnosis: [update.first],
    run: stepping({ correct: (beta, t) => 1 - beta ** (t + 1) }),
  },
  {
    operator: 'adam-update',
    name: 'bias corrections in float32',
    imitates:
      'tf.train.adam, which keeps powers of β in float32 variables: 1 - 0.999 is off by 200 u',
    diagnosis: [update.first],
    run: stepping({
      correct: (beta, t) => Math.fround(1 - Math.fround(Math.fround(beta) ** t)),
    }),
  },
  {
    operator: 'adam-update',
    name: 'v from the gradient instead of its square',
    imitates: 'a square lost when m was copied to make v',
    diagnosis: [update.first],
    run: stepping({ v: (v, g, beta2) => beta2 * v + (1 - beta2) * Math.abs(g) }),
  },
  {
    operator: 'adam-update',
    name: 'weights of old and new exchanged in m',
    imitates: 'β1 taken for the weight of the gradient',
    diagnosis: [update.shrinks, update.first],
    run: stepping({ m: (m, g, beta1) => m + beta1 * (g - m) }),
  },
  {
    operator: 'adam-update',
    name: 'weight decay of 0.01',
    imitates: "AdamW's default, where the published trainers use Adam",
    diagnosis: [update.nothing],
    run: stepping({ parameter: (w, update, rate) => w - rate * (update + 0.01 * w) }),
  },
  {
    operator: 'adam-update',
    name: 'the largest v kept',
    imitates: 'AMSGrad',
    diagnosis: [update.shrinks],
    run: stepping({ v: (v, g, beta2) => Math.max(v, beta2 * v + (1 - beta2) * g * g) }),
  },
  {
    operator: 'adam-update',
    name: 'moved along the gradient',
    imitates: 'a sign lost',
    diagnosis: [update.first, update.most],
    run: stepping({ parameter: (w, update, rate) => w + rate * update }),
  },
  {
    operator: 'adam-update',
    name: 'update left out where a gradient exceeds float16',
    imitates: 'SAELens pull 723: a GradScaler that was not needed skips updates without a word',
    diagnosis: [update.first],
    run: stepping({}, (call) => call.inputs.gradient.data.some((g) => Math.abs(g) > 65504)),
  },
];

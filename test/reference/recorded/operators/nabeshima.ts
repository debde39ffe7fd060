import { learningRate } from '../../../../reference/adam.ts';
import { nabeshima } from '../../../../reference/dialects/nabeshima.ts';
import { infer } from '../../../../reference/infer.ts';
import { estimateInputScale, normaliseInput } from '../../../../reference/input-norm.ts';
import { fromRows, map, matrix, scale } from '../../../../reference/matrix.ts';
import { paramNames, valuesOf, zeroParams } from '../../../../reference/params.ts';
import { controlSparsity, sparsityPenalty } from '../../../../reference/penalty.ts';
import { samplePrefixes } from '../../../../reference/prefixes.ts';
import { trainConfig } from '../../../../reference/train-config.ts';
import { trainStep } from '../../../../reference/train-step.ts';
import { recordedMatrix, wholeMatrix, wholeParams, type Recording } from '../../golden-vectors.ts';
import type { Quantity } from '../source.ts';
import {
  defaultsCase,
  initialiseCase,
  refused,
  replacedParams,
  withOptions,
  type Case,
} from './case.ts';

interface PrefixCase {
  readonly id: string;
  readonly n_latents: number;
  readonly n_prefixes: number;
  readonly min_prefix_length: number;
  readonly error?: string;
}

interface Rates {
  readonly id: string;
  readonly n_steps: number;
  readonly n_warmup_steps?: number;
  readonly percent_cooldown?: number;
}

interface Controller {
  readonly id: string;
  readonly target_l0: number;
  readonly warmup_steps: number;
  readonly eps?: number;
  readonly error?: string;
}

interface StepCase {
  readonly id: string;
  readonly sparsity_type: string;
  readonly changed: Readonly<Record<string, readonly number[]>>;
}

interface Config {
  readonly prefixes: readonly PrefixCase[];
  readonly learning_rates: readonly Rates[];
  readonly controller: readonly Controller[];
  readonly normaliser: {
    readonly alpha: number;
    readonly first_batch_of_zeros_gives_nan: boolean;
  };
  readonly step: { readonly cases: readonly StepCase[] };
  readonly defaults: {
    readonly lr: number;
    readonly permute_latents: boolean;
    readonly min_prefix_length: number;
    readonly sparsity_type: string;
    readonly starting_sparsity_loss_scale: number;
    readonly pareto_power: number;
    readonly controller_eps: number;
    readonly controller_warmup_fraction: number;
    readonly normalizer_alpha: number;
    readonly get_wsd_scheduler: { readonly percent_cooldown: number };
    readonly adam_betas: readonly [number, number];
    readonly adam_eps: number;
    readonly clip_norm: number;
  };
}

/** Operators of sae.py. */
export function nabeshimaCases(recording: Recording): Case[] {
  const config = recording.config as unknown as Config;
  const { defaults: own } = config;
  return [
    defaultsCase(nabeshima, {
      'learningRate.base': own.lr,
      'learningRate.scalesWithWidth': false,
      'defaults.sparsityCoefficient': own.starting_sparsity_loss_scale,
      'prefixes.power': own.pareto_power,
      'penalty.controllerStep': own.controller_eps,
      'defaults.sparsityWarmup': own.controller_warmup_fraction,
      'input.decay': own.normalizer_alpha,
      'adam.beta1': own.adam_betas[0],
      'adam.beta2': own.adam_betas[1],
      'adam.epsilon': own.adam_eps,
      'clip.maxNorm': own.clip_norm,
      // No default of the code's: train_saes_on_toy.ipynb, "L0 of the true features".
      'defaults.targetL0': 1.2338,
    }),
    {
      id: 'defaults: penalty and permutation',
      *compare(change) {
        const { penalty, latentOrder } = change(nabeshima);
        yield ['sparsity_type', [Number(penalty.kind === own.sparsity_type)], [1]];
        const permutes = latentOrder.permute === 'by-mean-square';
        yield ['permute_latents', [Number(permutes)], [Number(own.permute_latents)]];
      },
    },
    initialiseCase(recording, nabeshima),
    ...config.prefixes.map((prefixes) => prefixCase(recording, prefixes)),
    ...config.learning_rates.map((rates) => ratesCase(recording, rates, own)),
    ...config.controller.map((controller) => controllerCase(recording, controller)),
    normaliserCase(recording, config.normaliser),
    {
      id: 'no estimate of an input scale',
      *compare(change) {
        // The published code has no such function.
        const x = fromRows([[1, 2]]);
        yield refused(() => estimateInputScale([x], change(nabeshima)));
      },
    },
    getActs(recording),
    ...config.step.cases.map((step) => oneStep(recording, step)),
  ];
}

/**
 * Compared by distribution: the weights of the first draw, theirs in the dtype, and how often each length comes, theirs and
 * ours. A sampler is asked for every length by drawing a stratified sequence of uniform numbers.
 */
function prefixCase(recording: Recording, recorded: PrefixCase): Case {
  const { id, n_latents, n_prefixes, min_prefix_length: least } = recorded;
  const name = `prefixes.${id}`;
  return {
    id: name,
    *compare(change): Generator<Quantity> {
      const { power } = change(nabeshima).prefixes;
      const draw = (uniform: () => number): number[] =>
        samplePrefixes(n_latents, n_prefixes, least, power, uniform);
      if (recorded.error !== undefined) {
        yield refused(() => draw(() => 0.5));
        return;
      }
      const samples = recording.values(`${name}.samples`);
      const count = recording.shape(`${name}.samples`)[0];
      for (let i = 0; i < count; i++) {
        const sample = samples.subarray(i * n_prefixes, (i + 1) * n_prefixes);
        const fits = sample.every((length, p) => length > (p === 0 ? least - 1 : sample[p - 1]));
        yield [
          'published prefixes rise to d_sae',
          [Number(fits), sample[n_prefixes - 1]],
          [1, n_latents],
        ];
      }
      if (n_prefixes === 1) {
        yield ['prefixes', draw(() => 0.5), [n_latents]];
        return;
      }
      const probability = recording.values(`${name}.probability`); // of each length from 0 on
      yield ['weights of the first draw', firstWeights(n_latents, least, power), probability];
      // Frequencies within five standard deviations, of theirs and of ours.
      const ours = Array.from({ length: 2_000 }, (_, i) => draw(uniformFrom(i)));
      const theirs = Array.from({ length: count }, (_, i) => [
        ...samples.subarray(i * n_prefixes, (i + 1) * n_prefixes),
      ]);
      const [a, b] = [ours, theirs].map((drawn) => frequencies(drawn, n_latents));
      const within = a.map((p, j) => {
        const deviation = Math.sqrt((p * (1 - p) + 1e-4) * (1 / ours.length + 1 / count));
        return Number(Math.abs(p - b[j]) <= 5 * deviation);
      });
      yield ['frequencies', within, within.map(() => 1)];
    },
  };
}

/** Of each length from 0 on; found by bisection, as the cut points of the sampler's first draw. */
function firstWeights(d_sae: number, least: number, power: number): number[] {
  const first = (uniform: number): number =>
    samplePrefixes(d_sae, 2, least, power, () => uniform)[0];
  const share = (length: number): number => {
    let [low, high] = [0, 1];
    for (let i = 0; i < 52; i++) {
      const middle = (low + high) / 2;
      if (first(middle) <= length) low = middle;
      else high = middle;
    }
    return high;
  };
  const ends = Array.from({ length: d_sae }, (_, length) => (length < least ? 0 : share(length)));
  return ends.map((end, length) => end - (ends[length - 1] ?? 0));
}

/** Uniform numbers of one seed, by the golden ratio. */
function uniformFrom(seed: number): () => number {
  let state = (seed * 0.754_877_666 + 0.5) % 1;
  return () => {
    state = (state * 9_301.3 + 0.618_033_988_75) % 1;
    return state;
  };
}

/** How often each length is among the prefixes. */
function frequencies(drawn: readonly (readonly number[])[], d_sae: number): number[] {
  const counts = new Array<number>(d_sae).fill(0);
  for (const prefixes of drawn)
    for (const length of prefixes) counts[length - 1] += 1 / drawn.length;
  return counts;
}

function ratesCase(recording: Recording, recorded: Rates, own: Config['defaults']): Case {
  const { id, n_steps: steps } = recorded;
  return {
    id: `learning_rates.${id}`,
    *compare(change): Generator<Quantity> {
      const dialect = change(nabeshima);
      const expected = recording.values(`learning_rates.${id}`);
      // The constructor's arguments are the dialect's defaults; the function's own differ.
      const run = { dialect, d_in: 2, d_sae: 4, k: 0, steps, learningRate: 1 };
      const percent = recorded.percent_cooldown ?? own.get_wsd_scheduler.percent_cooldown;
      const schedule =
        id === 'constructor'
          ? trainConfig(run)
          : {
              ...trainConfig(run),
              warmupSteps: recorded.n_warmup_steps ?? 0.05 * steps,
              decayStart: (1 - percent) * steps,
            };
      yield ['rates', expected.map((_, t) => learningRate(t, schedule, dialect)), expected];
    },
  };
}

function controllerCase(recording: Recording, recorded: Controller): Case {
  const { id, target_l0, warmup_steps } = recorded;
  const name = `controller.${id}`;
  return {
    id: name,
    *compare(change): Generator<Quantity> {
      const dialect = change(nabeshima);
      if (recorded.error !== undefined) {
        yield refused(() => controlSparsity(1, 0, 1, target_l0, warmup_steps, dialect));
        return;
      }
      const l0 = recording.values(`${name}.l0`);
      const scales = recording.values(`${name}.scale`);
      const got = Array.from(l0, (value, t) =>
        controlSparsity(scales[t], t, value, target_l0, warmup_steps, dialect),
      );
      yield ['scale', got.map((after) => after.scale), scales.slice(1)];
      const coefficients = got.map(({ coefficient }) => coefficient);
      yield ['coefficient', coefficients, recording.values(`${name}.sparsity_scale`)];
    },
  };
}

function normaliserCase(recording: Recording, recorded: Config['normaliser']): Case {
  return {
    id: 'normaliser',
    *compare(change): Generator<Quantity> {
      const dialect = change(nabeshima);
      const averages = recording.values('normaliser.running_avg');
      yield ['decay', [dialect.input.decay], [recorded.alpha]];
      const got = [averages[0]];
      for (let t = 0; t + 1 < averages.length; t++) {
        const x = recordedMatrix(recording, 'normaliser.x', t);
        const normalised = normaliseInput(x, averages[t], dialect, true);
        got.push(normalised.meanNorm);
        yield ['normalised', normalised.x.data, recording.values('normaliser.normalised', t)];
        const restored = normalised.restore(normalised.x);
        yield ['restored', restored.data, recording.values('normaliser.restored', t)];
      }
      yield ['running mean', got, averages];
      yield ['published gives NaN', [Number(recorded.first_batch_of_zeros_gives_nan)], [1]];
      yield refused(() => normaliseInput(matrix(2, 3), 0, dialect, true));
    },
  };
}

function getActs(recording: Recording): Case {
  return {
    id: 'get_acts',
    *compare(change): Generator<Quantity> {
      const dialect = change(nabeshima);
      const params = wholeParams(recording, 'get_acts.');
      const [meanNorm] = recording.values('get_acts.running_avg');
      const x = wholeMatrix(recording, 'get_acts.x');
      // Nothing is gated: a threshold is not read.
      const { latents } = infer(x, params, 0.5, dialect, meanNorm);
      yield ['acts', latents.data, recording.values('get_acts.acts')];
      // normalize=False: as of an x that normalising makes x.
      const before = scale(x, meanNorm / Math.sqrt(x.cols));
      const other = infer(before, params, 0.5, dialect, meanNorm).latents;
      yield ['acts of x as it is', other.data, recording.values('get_acts.acts_not_normalised')];
    },
  };
}

function oneStep(recording: Recording, step: StepCase): Case {
  const name = `step.${step.id}`;
  return {
    id: name,
    *compare(change): Generator<Quantity> {
      const dialect = change(
        withOptions(nabeshima, {
          'penalty.kind': step.sparsity_type,
          'latentOrder.permute': 'never',
        }),
      );
      const params = replacedParams(wholeParams(recording, 'step.'), step.changed);
      const [d_in, d_sae] = [params.W_enc.rows, params.W_enc.cols];
      const config = trainConfig({ dialect, d_in, d_sae, k: 0, steps: 10, targetL0: 2 });
      const zero = zeroParams(d_in, d_sae);
      const [meanNorm] = recording.values('step.running_avg');
      const one = (what: string): Float64Array => recording.values(`${name}.${what}`);
      const prefixes = [...one('prefixes')];
      const result = trainStep(
        {
          step: 0,
          params,
          m: zero,
          v: zero,
          threshold: 0,
          sinceFired: new Float64Array(d_sae),
          averages: {
            meanNorm,
            meanSquares: new Float64Array(d_sae),
            sparsityScale: config.sparsityCoefficient,
          },
        },
        wholeMatrix(recording, 'step.x'),
        config,
        { prefixes },
      );
      yield ['level losses', result.levelLosses.slice(1), one('level_losses')];
      const penalties = prefixes.map((end) => {
        const own = map(result.latents, (value, i) => (i % d_sae < end ? value : 0));
        const alone = withOptions(dialect, { 'penalty.overPrefixes': false });
        return sparsityPenalty(own, params.W_dec, [d_sae], 0, 1, alone).loss;
      });
      yield ['penalty of levels', penalties, one('level_sparsity')];
      yield ['penalty coefficient', [result.penaltyCoefficient], one('sparsity_scale')];
      yield ['loss', [result.loss], one('loss')];
      for (const param of paramNames) {
        yield [`gradient ${param}`, valuesOf(result.gradients, param), one(`grad.${param}`)];
      }
    },
  };
}

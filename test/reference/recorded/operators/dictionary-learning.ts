import { learningRate } from '../../../../reference/adam.ts';
import { auxkCount } from '../../../../reference/auxk.ts';
import { normaliseRows, projectGradient } from '../../../../reference/decoder-norm.ts';
import type { Dialect } from '../../../../reference/dialects.ts';
import {
  dictionaryLearning,
  dictionaryLearningJumpRelu,
  dictionaryLearningRelu,
} from '../../../../reference/dialects/dictionary-learning.ts';
import { encode } from '../../../../reference/encode.ts';
import { geometricMedian } from '../../../../reference/geometric-median.ts';
import { infer } from '../../../../reference/infer.ts';
import { estimateInputScale, foldInputScale } from '../../../../reference/input-norm.ts';
import { defaultLevelWeights } from '../../../../reference/loss.ts';
import { fromRows, row } from '../../../../reference/matrix.ts';
import { namesOf, valuesOf, zeroParams } from '../../../../reference/params.ts';
import { prefixesFromFractions } from '../../../../reference/prefixes.ts';
import { batchTopK } from '../../../../reference/select.ts';
import { trainConfig } from '../../../../reference/train-config.ts';
import { trainStep } from '../../../../reference/train-step.ts';
import { updateThreshold } from '../../../../reference/threshold.ts';
import { wholeMatrix, wholeParams, type Recording } from '../../golden-vectors.ts';
import { negativeThresholds, normFactorRecorded } from '../called-once.ts';
import type { Quantity } from '../source.ts';
import {
  defaultsCase,
  firstLatents,
  initialiseCase,
  refused,
  replacedParams,
  selectionQuantities,
  thresholdCase,
  withOptions,
  type Case,
} from './case.ts';

import { configOf, type Config, type Defaults } from './dictionary-learning-config.ts';
import { oneStep } from './dictionary-learning-steps.ts';

/** Operators of MatryoshkaBatchTopKTrainer and its SAE. */
export function dictionaryLearningCases(recording: Recording): Case[] {
  const config = configOf(recording);
  return [
    defaults(config.defaults),
    ...shared(recording, dictionaryLearning),
    initialiseCase(recording, dictionaryLearning),
    initialiseCase(recording, dictionaryLearning, {
      prefix: 'initialise.top-k',
      keepsLinearWeight: true,
    }),
    ...config.geometric_median.map(({ id }) => median(recording, id)),
    ...config.group_sizes.map(groupSizes),
    ...config.update_threshold.map(({ id, error, threshold_beta }): Case => {
      if (error === undefined) {
        const options = { 'threshold.decay': threshold_beta! };
        return thresholdCase(recording, id, withOptions(dictionaryLearning, options));
      }
      return {
        id: `update_threshold.${id}`,
        *compare(change) {
          const dialect = change(dictionaryLearning);
          yield refused(() => updateThreshold(dialect.threshold.start, null, dialect));
        },
      };
    }),
    decoderNorm(recording),
    encoding(recording, config.encode),
    ...config.batch_top_k.map(({ id, k, fired }): Case => ({
      id: `batch_top_k.${id}`,
      *compare() {
        const got = batchTopK(wholeMatrix(recording, `batch_top_k.${id}.acts`), k);
        const published = wholeMatrix(recording, `batch_top_k.${id}.latents`);
        yield* selectionQuantities(got, published);
        // fired is listed of the published choice.
        const own = fired.map((_, j) =>
          Number(published.data.some((value, i) => i % got.cols === j && value > 0)),
        );
        yield ['fired', own, fired.map(Number)];
      },
    })),
    ...config.step.cases.map((step) => oneStep(recording, config, step)),
  ];
}

/** What every trainer of the package shares. */
function shared(recording: Recording, base: Dialect): Case[] {
  const config = configOf(recording);
  return [
    ...config.lr_multipliers.map((recorded) => rates(recording, base, recorded)),
    scaleBiases(recording, base, config.scale_biases.scale),
    {
      id: 'get_norm_factor',
      *compare(change) {
        const batches = normFactorRecorded.batches.map(fromRows);
        const got = estimateInputScale(batches, change(base));
        yield ['input scale', [got], [1 / normFactorRecorded.factor]];
      },
    },
  ];
}

/** Operators that JumpReluTrainer shares, and its constructor. */
export function dictionaryLearningJumpReluCases(recording: Recording): Case[] {
  const { defaults: all } = configOf(recording);
  const { jumprelu } = all.architectures;
  return [
    defaultsCase(dictionaryLearningJumpRelu, {
      'learningRate.base': jumprelu.lr,
      'learningRate.scalesWithWidth': false,
      'jumpRelu.bandwidth': jumprelu.bandwidth,
      'defaults.sparsityCoefficient': jumprelu.sparsity_penalty,
      'defaults.targetL0': jumprelu.target_l0,
      'defaults.warmupSteps': jumprelu.warmup_steps,
      // decay_start=None in the constructor.
      'defaults.decayFraction': 0,
      'defaults.sparsityWarmup': jumprelu.sparsity_warmup_steps,
      'adam.beta1': jumprelu.adam_betas[0],
      'adam.beta2': jumprelu.adam_betas[1],
      'adam.epsilon': jumprelu.adam_eps,
    }),
    ...shared(recording, dictionaryLearningJumpRelu),
    initialiseCase(recording, dictionaryLearningJumpRelu, { prefix: 'initialise.jumprelu' }),
    belowZero,
  ];
}

/** A step with thresholds below 0. */
const belowZero: Case = {
  id: 'thresholds below 0',
  *compare(change) {
    const { x, params: recorded, loss, grad } = negativeThresholds;
    const options = { 'jumpRelu.bandwidth': 1 };
    const dialect = change(withOptions(dictionaryLearningJumpRelu, options));
    const [d_in, d_sae] = [3, 5];
    const config = trainConfig({
      dialect,
      d_in,
      d_sae,
      k: 0,
      steps: 2_000,
      sparsityCoefficient: 0.5,
      sparsityWarmupSteps: 0,
      targetL0: 2,
    });
    const params = replacedParams(
      { ...zeroParams(d_in, d_sae), threshold: new Float64Array(d_sae) },
      { ...recorded },
    );
    const zero = { ...zeroParams(d_in, d_sae), threshold: new Float64Array(d_sae) };
    const sinceFired = new Float64Array(d_sae);
    const state = { step: 3, params, m: zero, v: zero, threshold: -1, sinceFired };
    const result = trainStep(state, fromRows(x), config);
    yield ['loss', [result.loss], [loss]];
    for (const name of namesOf(params)) {
      const expected: readonly (number | readonly number[])[] = grad[name];
      yield [`gradient ${name}`, valuesOf(result.gradients, name), expected.flat()];
    }
  },
};

/** Operators that StandardTrainerAprilUpdate shares, and its constructor. */
export function dictionaryLearningReluCases(recording: Recording): Case[] {
  const standard = configOf(recording).defaults.architectures['standard-april'];
  return [
    defaultsCase(dictionaryLearningRelu, {
      'learningRate.base': standard.lr,
      'learningRate.scalesWithWidth': false,
      'defaults.sparsityCoefficient': standard.l1_penalty,
      'defaults.warmupSteps': standard.warmup_steps,
      // decay_start=None in the constructor.
      'defaults.decayFraction': 0,
      'defaults.sparsityWarmup': standard.sparsity_warmup_steps,
      'adam.beta1': standard.adam_betas[0],
      'adam.beta2': standard.adam_betas[1],
      'adam.epsilon': standard.adam_eps,
    }),
    ...shared(recording, dictionaryLearningRelu),
    initialiseCase(recording, dictionaryLearningRelu, {
      prefix: 'initialise.standard-april',
      keepsLinearBias: true,
    }),
  ];
}

function defaults(recorded: Defaults): Case {
  const { compare } = defaultsCase(dictionaryLearning, {
    'defaults.auxkAlpha': recorded.auxk_alpha,
    'defaults.warmupSteps': recorded.warmup_steps,
    'threshold.decay': recorded.threshold_beta,
    'defaults.thresholdStartStep': recorded.threshold_start_step,
    'adam.beta1': recorded.adam_betas[0],
    'adam.beta2': recorded.adam_betas[1],
    'adam.epsilon': recorded.adam_eps,
    'clip.maxNorm': recorded.clip_norm,
    'defaults.deadAfter': recorded.dead_feature_threshold,
    'defaults.decayFraction': recorded.decay_start ?? 0,
  });
  return {
    id: 'defaults',
    *compare(change) {
      yield* compare(change);
      const dialect = change(dictionaryLearning);
      for (const [d_sae, rate] of Object.entries(recorded.lr)) {
        const run = { dialect, d_in: 2, d_sae: Number(d_sae), k: 1, steps: 10_000 };
        yield ['learning rate', [trainConfig(run).learningRate], [rate]];
      }
      for (const [d_in, count] of Object.entries(recorded.k_aux)) {
        const dead = new Uint8Array(100).fill(1);
        yield ['k_aux', [auxkCount(dead, Number(d_in), dialect)], [count]];
      }
      for (const [levels, weights] of Object.entries(recorded.group_weights)) {
        yield ['level weights', defaultLevelWeights(Number(levels), dialect), weights];
      }
    },
  };
}

function median(recording: Recording, id: string): Case {
  return {
    id: `geometric_median.${id}`,
    *compare(): Generator<Quantity> {
      const points = wholeMatrix(recording, `geometric_median.${id}.points`);
      const expected = recording.values(`geometric_median.${id}.median`);
      // Published: NaN.
      if (expected.some(Number.isNaN)) yield refused(() => geometricMedian(points));
      else yield ['median', geometricMedian(points), expected];
    },
  };
}

function rates(
  recording: Recording,
  base: Dialect,
  recorded: Config['lr_multipliers'][number],
): Case {
  const { id, steps, warmup_steps: warmupSteps, decay_start: decayStart } = recorded;
  return {
    id: `lr_multipliers.${id}`,
    *compare(change): Generator<Quantity> {
      const dialect = change(base);
      if (recorded.error !== undefined) {
        const run = { dialect: base, d_in: 2, d_sae: 4, k: 1, steps, warmupSteps, decayStart };
        yield refused(() => trainConfig(run));
        return;
      }
      const schedule = { learningRate: 1, steps, warmupSteps, decayStart, cosineTo: null };
      const expected = recording.values(`lr_multipliers.${id}`);
      yield ['rates', expected.map((_, t) => learningRate(t, schedule, dialect)), expected];
    },
  };
}

function groupSizes(recorded: Config['group_sizes'][number]): Case {
  const { group_fractions: fractions, d_sae, group_sizes: sizes } = recorded;
  return {
    id: `group_sizes of ${fractions.join(', ')}`,
    *compare(): Generator<Quantity> {
      const prefixes = (): number[] => prefixesFromFractions(fractions, d_sae);
      if (sizes === undefined) {
        yield refused(prefixes);
        return;
      }
      const own = prefixes().map((end, g, all) => end - (g === 0 ? 0 : all[g - 1]));
      yield ['sizes', own, sizes];
    },
  };
}

function decoderNorm(recording: Recording): Case {
  return {
    id: 'decoder_norm',
    *compare(change): Generator<Quantity> {
      const { projectEpsilon, normaliseEpsilon } = change(dictionaryLearning).decoderNorm;
      const W_dec = wholeMatrix(recording, 'decoder_norm.W_dec');
      const grad = wholeMatrix(recording, 'decoder_norm.grad');
      for (const [name, got, size] of [
        ['projected', projectGradient(grad, W_dec, projectEpsilon), grad],
        ['unit', normaliseRows(W_dec, normaliseEpsilon), null],
      ] as const) {
        const expected = wholeMatrix(recording, `decoder_norm.${name}`);
        for (let j = 0; j < got.rows; j++) {
          // A gradient entirely parallel to its row leaves 2e-6 of itself: measured with it beside.
          const beside = size === null ? [] : [...row(size, j)];
          yield [`${name} row ${j}`, [...row(got, j), ...beside], [...row(expected, j), ...beside]];
        }
      }
    },
  };
}

function encoding(recording: Recording, { k, group_sizes, k_above_d_sae }: Config['encode']): Case {
  return {
    id: 'encode',
    *compare(change): Generator<Quantity> {
      const dialect = change(dictionaryLearning);
      const params = wholeParams(recording, 'encode.');
      const x = wholeMatrix(recording, 'encode.x');
      for (const [t, threshold] of recording.values('encode.threshold').entries()) {
        const { latents } = infer(x, params, threshold, dialect);
        yield ['latents', latents.data, recording.values('encode.latents', t)];
      }
      const latents = batchTopK(encode(x, params, dialect), k);
      yield ['batch top k', latents.data, recording.values('encode.batch_top_k')];
      const first = firstLatents(latents, group_sizes[0]);
      yield ['first group', first.data, recording.values('encode.batch_top_k_first_group')];
      const { k: more, d_sae } = k_above_d_sae;
      yield refused(() => trainConfig({ dialect, d_in: 2, d_sae, k: more, steps: 2_000 }));
    },
  };
}

function scaleBiases(recording: Recording, base: Dialect, scale: number): Case {
  return {
    id: 'scale_biases',
    *compare(change): Generator<Quantity> {
      const dialect = change(base);
      const [b_enc, b_dec] = ['b_enc', 'b_dec'].map((name) =>
        recording.values(`scale_biases.${name}`),
      );
      const zero = zeroParams(b_dec.length, b_enc.length);
      for (const [i, threshold] of recording.values('scale_biases.threshold').entries()) {
        // JumpReLU's are a threshold for each latent.
        const jump = base.defaults.selection === 'jump' && threshold >= 0;
        const own = jump ? { threshold: new Float64Array(b_enc.length).fill(threshold) } : {};
        const before = { ...zero, b_enc, b_dec, ...own };
        const folded = foldInputScale(before, threshold, 1 / scale, dialect);
        const expected = recording.values('scale_biases.scaled_threshold')[i];
        yield ['threshold', [folded.threshold], [expected]];
        if (jump) yield ['thresholds', folded.params.threshold!, b_enc.map(() => expected)];
        yield ['b_enc', folded.params.b_enc, recording.values('scale_biases.scaled_b_enc')];
        yield ['b_dec', folded.params.b_dec, recording.values('scale_biases.scaled_b_dec')];
      }
    },
  };
}

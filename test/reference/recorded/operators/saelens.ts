import { learningRate } from '../../../../reference/adam.ts';
import { auxk } from '../../../../reference/auxk.ts';
import { foldDecoderNorm } from '../../../../reference/decoder-norm.ts';
import type { Dialect } from '../../../../reference/dialects.ts';
import { saelens, saelensJumpRelu, saelensRelu } from '../../../../reference/dialects/saelens.ts';
import { preActivations } from '../../../../reference/encode.ts';
import { infer } from '../../../../reference/infer.ts';
import { estimateInputScale } from '../../../../reference/input-norm.ts';
import { jumpRelu, jumpReluGradient, stepGradient } from '../../../../reference/jump-relu.ts';
import { map, matrix, type Matrix } from '../../../../reference/matrix.ts';
import type { SaeParams } from '../../../../reference/params.ts';
import { requirePrefixes } from '../../../../reference/prefixes.ts';
import { batchTopK, selectionCount, topK } from '../../../../reference/select.ts';
import { recordedMatrix, wholeMatrix, wholeParams, type Recording } from '../../golden-vectors.ts';
import type { Quantity } from '../source.ts';
import {
  defaultsCase,
  initialiseCase,
  refused,
  selectionQuantities,
  thresholdCase,
  withOptions,
  type Case,
} from './case.ts';

import { configOf, type Config, type Rates, type Trainer } from './saelens-config.ts';
import { exported, paramsEqual, scaled } from './saelens-export.ts';
import { oneStep, zeroAuxkCase } from './saelens-steps.ts';

/** Schedulers of get_lr_scheduler that ours has none of: warm restarts. */
export const notCovered: readonly string[] = ['cosineannealingwarmrestarts'];

/** Operators of MatryoshkaBatchTopKTrainingSAE and its base classes. */
export function saelensCases(recording: Recording): Case[] {
  const config = configOf(recording);
  return [
    defaults(config.defaults),
    ...shared(recording, saelens),
    ...config.batch_top_k.map(({ id, k }) => batchTopKCase(recording, id, k)),
    {
      id: 'selected_counts',
      *compare() {
        for (const { k, rows, selected: count } of config.selected_counts) {
          yield [`K of k ${k}, ${rows} rows`, [selectionCount(k, rows, 100)], [count]];
        }
      },
    },
    {
      id: 'top_k',
      *compare() {
        const got = topK(positive(wholeMatrix(recording, 'top_k.scores')), config.top_k.k);
        yield* selectionQuantities(got, wholeMatrix(recording, 'top_k.latents'));
      },
    },
    ...config.update_threshold.map(({ id, topk_threshold_lr: rate }) =>
      thresholdCase(recording, id, withOptions(saelens, { 'threshold.decay': 1 - rate })),
    ),
    auxActs(recording),
    ...(['rescaled', 'raw'] as const).map((id) => exported(recording, id)),
    ...config.widths.map(widths),
    ...config.step.cases.map((step) => oneStep(recording, config, step)),
    zeroAuxkCase,
    {
      id: 'step with d_in 1 and dead latents',
      *compare(change): Generator<Quantity> {
        // Published: floor(d_in / 2) = 0 is divided by, and raises.
        const dialect = change(saelens);
        const dead = Uint8Array.of(1, 1);
        const W_dec = matrix(2, 1, Float64Array.of(1, 1));
        const values = matrix(2, 2, Float64Array.of(1, 2, 3, 4));
        const residual = matrix(2, 1, Float64Array.of(1, 2));
        yield refused(() => auxk(residual, values, W_dec, dead, 1, dialect));
      },
    },
  ];
}

/** What every trainer of the package shares. */
function shared(recording: Recording, base: Dialect): Case[] {
  const config = configOf(recording);
  return [
    initialiseCase(recording, base),
    ...config.learning_rates
      .filter(({ scheduler_name }) => !notCovered.includes(scheduler_name))
      .map((recorded) => rates(recording, base, recorded)),
    {
      id: 'scaling_factor',
      *compare(change) {
        const batches = [0, 1, 2].map((t) => recordedMatrix(recording, 'scaling_factor.x', t));
        const got = estimateInputScale(batches, change(base));
        const { scaling_factor: expected } = config.scaling_factor;
        yield ['scaling factor', [got], [expected]];
      },
    },
    ...(base.select.score === 'acts'
      ? [scaled(recording, 'raw', base)]
      : (['rescaled', 'raw'] as const).map((id) => scaled(recording, id, base))),
  ];
}

/** Operators that JumpReLUTrainingSAE has, and shares. */
export function saelensJumpReluCases(recording: Recording): Case[] {
  const { defaults: all, jumprelu } = configOf(recording);
  const { jumprelu: own, trainer } = all;
  return [
    defaultsCase(saelensJumpRelu, {
      ...trainerDefaults(trainer, all),
      'jumpRelu.start': own.jumprelu_init_threshold,
      'jumpRelu.bandwidth': own.jumprelu_bandwidth,
      'defaults.sparsityCoefficient': own.l0_coefficient,
      'defaults.sparsityWarmup': own.l0_warm_up_steps,
      'initialise.decoderNorm': own.decoder_init_norm,
    }),
    {
      id: 'defaults: step loss, gradient to the threshold alone',
      *compare(change) {
        const dialect = change(saelensJumpRelu);
        const kind = dialect.penalty.kind === 'l0' ? 'step' : dialect.penalty.kind;
        yield ['mode', [Number(kind === own.jumprelu_sparsity_loss_mode)], [1]];
        const both = dialect.jumpRelu.inputGradient === 'gate-and-window';
        yield ['ste_to_input', [Number(both)], [Number(own.jumprelu_ste_to_input)]];
      },
    },
    ...shared(recording, saelensJumpRelu).filter(({ id }) => id !== 'initialise'),
    {
      id: 'initialise (with thresholds of its own)',
      *compare(change) {
        const quantities = [...initialiseCase(recording, saelensJumpRelu).compare(change)];
        yield* quantities.filter(([name]) => name !== 'threshold');
      },
    },
    encoding(recording),
    jumpReluCase(recording, jumprelu.bandwidth),
  ];
}

/** Operators that StandardTrainingSAE has, and shares. */
export function saelensReluCases(recording: Recording): Case[] {
  const { defaults: all } = configOf(recording);
  const { standard, trainer } = all;
  return [
    defaultsCase(saelensRelu, {
      ...trainerDefaults(trainer, all),
      'defaults.sparsityCoefficient': standard.l1_coefficient,
      'defaults.sparsityWarmup': standard.l1_warm_up_steps,
      'initialise.decoderNorm': standard.decoder_init_norm,
    }),
    ...shared(recording, saelensRelu),
  ];
}

function trainerDefaults(
  trainer: Trainer,
  all: Config['defaults'],
): Record<string, number | boolean> {
  return {
    'learningRate.base': trainer.lr,
    'learningRate.scalesWithWidth': false,
    'defaults.warmupSteps': trainer.lr_warm_up_steps,
    'defaults.decayFraction': trainer.lr_decay_steps,
    'adam.beta1': trainer.adam_beta1,
    'adam.beta2': trainer.adam_beta2,
    'adam.epsilon': all.adam_eps,
    'clip.maxNorm': all.clip_norm,
  };
}

function defaults(all: Config['defaults']): Case {
  const { sae, trainer } = all;
  const { compare } = defaultsCase(saelens, {
    ...trainerDefaults(trainer, all),
    'threshold.decay': 1 - sae.topk_threshold_lr,
    'threshold.start': all.threshold,
    'defaults.auxkAlpha': sae.aux_loss_coefficient,
    'defaults.deadAfter': trainer.dead_feature_window,
    'initialise.decoderNorm': sae.decoder_init_norm,
    'encode.subtractsDecoderBias': sae.apply_b_dec_to_input,
  });
  return {
    id: 'defaults',
    *compare(change) {
      yield* compare(change);
      const { select, auxk: aux, input } = change(saelens);
      const rescales = select.score === 'acts-times-decoder-norm';
      yield ['rescales', [Number(rescales)], [Number(sae.rescale_acts_by_decoder_norm)]];
      yield ['level aux', [Number(aux.levels === 'each')], [Number(sae.use_matryoshka_aux_loss)]];
      yield ['normaliser', [Number(input.normaliser === sae.normalize_activations)], [1]];
    },
  };
}

function batchTopKCase(recording: Recording, id: string, k: number): Case {
  const name = `batch_top_k.${id}`;
  return {
    id: name,
    *compare(): Generator<Quantity> {
      if (!recording.names.includes(`${name}.scores`)) {
        yield refused(() => selectionCount(k, 4, 6));
        return;
      }
      const got = batchTopK(positive(wholeMatrix(recording, `${name}.scores`)), k);
      yield* selectionQuantities(got, wholeMatrix(recording, `${name}.latents`));
    },
  };
}

const positive = (scores: Matrix): Matrix => map(scores, (score) => Math.max(score, 0));

function auxActs(recording: Recording): Case {
  return {
    id: 'aux_acts',
    *compare(change): Generator<Quantity> {
      const values = wholeMatrix(recording, 'aux_acts.hidden_pre');
      const dead = Uint8Array.from(recording.values('aux_acts.dead'));
      const [count] = recording.shape('aux_acts.acts');
      // Decoder rows of norm 1: what is recorded is rescaled already.
      const identity = map(matrix(values.cols, values.cols), (_, i) =>
        Number(i % values.cols === Math.floor(i / values.cols)),
      );
      for (let k = 1; k <= count; k++) {
        const dialect = change(withOptions(saelens, { 'auxk.k': k }));
        const residual = map(matrix(values.rows, values.cols), (_, i) => i + 1);
        const { latents } = auxk(residual, values, identity, dead, 1, dialect);
        yield [`latents of ${k}`, latents.data, recording.values('aux_acts.acts', k - 1)];
      }
    },
  };
}

function encoding(recording: Recording): Case {
  return {
    id: 'encode',
    *compare(change): Generator<Quantity> {
      const dialect = change(saelensJumpRelu);
      const x = wholeMatrix(recording, 'encode.x');
      const params: SaeParams = {
        ...wholeParams(recording, 'encode.'),
        threshold: recording.values('encode.threshold'),
      };
      yield [
        'latents',
        infer(x, params, 0, dialect).latents.data,
        recording.values('encode.latents'),
      ];
      const folded = foldDecoderNorm(params);
      yield* paramsEqual(folded, recording, 'encode.folded.');
      yield ['thresholds', folded.threshold!, recording.values('encode.folded.threshold')];
      // From theirs, not ours: a threshold that equals its pre-activation is off by the last bit after folding.
      const theirs: SaeParams = {
        ...wholeParams(recording, 'encode.folded.'),
        threshold: recording.values('encode.folded.threshold'),
      };
      const { latents } = infer(x, theirs, 0, dialect);
      // In float32 a tie is no tie any more once folding has rounded both sides.
      const pre = preActivations(x, theirs, dialect);
      const apart = pre.data.map((value, i) =>
        Number(
          recording.dtype === 'float64' ||
            Math.abs(value - theirs.threshold![i % pre.cols]) > 1e-6 * Math.abs(value),
        ),
      );
      const clear = (values: Float64Array): Float64Array =>
        values.map((value, i) => value * apart[i]);
      const expected = recording.values('encode.folded.latents');
      yield ['latents after folding', clear(latents.data), clear(expected)];
    },
  };
}

function jumpReluCase(recording: Recording, bandwidth: number): Case {
  return {
    id: 'jumprelu',
    *compare(change): Generator<Quantity> {
      const dialect = change(withOptions(saelensJumpRelu, { 'jumpRelu.bandwidth': bandwidth }));
      const both = withOptions(dialect, { 'jumpRelu.inputGradient': 'gate-and-window' });
      const whole = (name: string): Matrix => wholeMatrix(recording, `jumprelu.${name}`);
      const x = whole('x');
      const threshold = recording.values('jumprelu.threshold');
      const upstream = whole('grad_output');
      yield ['y', jumpRelu(x, threshold).data, whole('y').data];
      const gate = jumpReluGradient(x, threshold, upstream, dialect);
      yield ['gradient of x', gate.input.data, whole('grad_x').data];
      yield ['gradient of θ', gate.threshold, recording.values('jumprelu.grad_threshold')];
      const through = jumpReluGradient(x, threshold, upstream, both);
      yield ['gradient of x, window too', through.input.data, whole('grad_x_ste').data];
      const steps = map(x, (value, i) => Number(value > threshold[i % x.cols]));
      yield ['step', steps.data, whole('step_y').data];
      const count = stepGradient(x, threshold, upstream, dialect);
      yield [
        'gradient of θ by the step',
        count.threshold,
        recording.values('jumprelu.step_grad_threshold'),
      ];
      yield ['gradient of x by the step', count.input.data, count.input.data.map(() => 0)];
      const counted = stepGradient(x, threshold, upstream, both);
      yield [
        'gradient of x by the step, window too',
        counted.input.data,
        whole('step_grad_x_ste').data,
      ];
    },
  };
}

function widths({ matryoshka_widths: given, d_sae, prefixes }: Config['widths'][number]): Case {
  return {
    id: `widths ${given.join(', ')} of ${d_sae}`,
    *compare(): Generator<Quantity> {
      const kept = prefixes?.length === given.length;
      // Published: appends d_sae where it is missing, with a warning; ours asks for it.
      if (kept) yield ['prefixes', given, prefixes];
      if (kept) requirePrefixes(given, d_sae);
      else yield refused(() => requirePrefixes(given, d_sae));
      if (prefixes !== undefined) requirePrefixes(prefixes, d_sae);
    },
  };
}

function rates(recording: Recording, base: Dialect, recorded: Rates): Case {
  const { id, training_steps: steps, warm_up_steps: warmupSteps, decay_steps, lr } = recorded;
  const cosine = recorded.scheduler_name === 'cosineannealing';
  return {
    id: `learning_rates.${id}`,
    *compare(change): Generator<Quantity> {
      const dialect = change(base);
      // Published: refuses names it does not know, and a decay from 0. Ours has a switch, and no name to mistake.
      if (recorded.error !== undefined) {
        yield ['error raised', [Number(recorded.error === 'ValueError')], [1]];
        return;
      }
      const schedule = {
        learningRate: lr,
        steps,
        warmupSteps,
        decayStart: decay_steps === 0 ? null : steps - decay_steps,
        cosineTo: cosine ? recorded.lr_end : null,
      };
      const expected = recording.values(`learning_rates.${id}`).slice(0, steps);
      yield ['rates', expected.map((_, t) => learningRate(t, schedule, dialect)), expected];
    },
  };
}

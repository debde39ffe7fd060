import { deadMask, updateSinceFired } from '../../../../reference/dead-latents.ts';
import { normaliseRows, projectGradient } from '../../../../reference/decoder-norm.ts';
import { bussmann } from '../../../../reference/dialects/bussmann.ts';
import { encode } from '../../../../reference/encode.ts';
import { infer } from '../../../../reference/infer.ts';
import { estimateInputScale, normaliseInput } from '../../../../reference/input-norm.ts';
import { jumpRelu, jumpReluGradient, stepGradient } from '../../../../reference/jump-relu.ts';
import { levelCoefficients } from '../../../../reference/loss.ts';
import { fromRows, map, matrix, row, type Matrix } from '../../../../reference/matrix.ts';
import { valuesOf, zeroParams } from '../../../../reference/params.ts';
import { batchTopK, selectionCount } from '../../../../reference/select.ts';
import { smallestSelected, updateThreshold } from '../../../../reference/threshold.ts';
import { trainConfig } from '../../../../reference/train-config.ts';
import { trainStep, type TrainConfig } from '../../../../reference/train-step.ts';
import { recordedMatrix, wholeMatrix, wholeParams, type Recording } from '../../golden-vectors.ts';
import { auxkLoss, selected, type Change, type Quantity } from '../source.ts';
import {
  composed,
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

interface StepCase {
  readonly id: string;
  readonly active_groups: number;
  readonly k_aux: number;
  readonly dead: number;
  readonly l1_coeff: number;
  readonly input_unit_norm: boolean;
  readonly changed: Readonly<Record<string, readonly number[]>>;
}

interface Config {
  readonly batch_top_k: readonly {
    readonly id: string;
    readonly k: number;
    readonly threshold_after?: number;
  }[];
  readonly update_threshold: readonly { readonly id: string }[];
  readonly standardise: { readonly eps: number };
  readonly encode: { readonly k: number; readonly group_sizes: readonly number[] };
  readonly step: {
    readonly group_sizes: readonly number[];
    readonly k: number;
    readonly aux_penalty: number;
    readonly n_batches_to_dead: number;
    readonly cases: readonly StepCase[];
  };
  readonly jumprelu: { readonly bandwidth: number; readonly default_bandwidth: number };
  readonly initialise: { readonly draw_of_W_enc: number };
  readonly defaults: {
    readonly lr: number;
    readonly max_grad_norm: number;
    readonly l1_coeff: number;
    readonly input_unit_norm: boolean;
    readonly n_batches_to_dead: number;
    readonly top_k_aux: number;
    readonly aux_penalty: number;
    readonly bandwidth: number;
    readonly adam_betas: readonly [number, number];
    readonly adam_eps: number;
    readonly threshold: number;
    readonly threshold_lr: number;
  };
}

const trained = ['W_enc', 'W_dec', 'b_dec'] as const;

/** Operators of GlobalBatchTopKMatryoshkaSAE and its base class. */
export function bussmannCases(recording: Recording): Case[] {
  const config = recording.config as unknown as Config;
  const { defaults: own } = config;
  return [
    defaultsCase(bussmann, {
      'learningRate.base': own.lr,
      'learningRate.scalesWithWidth': false,
      'clip.maxNorm': own.max_grad_norm,
      'defaults.sparsityCoefficient': own.l1_coeff,
      'defaults.deadAfter': own.n_batches_to_dead,
      'auxk.k': own.top_k_aux,
      'defaults.auxkAlpha': own.aux_penalty,
      'jumpRelu.bandwidth': own.bandwidth,
      'adam.beta1': own.adam_betas[0],
      'adam.beta2': own.adam_betas[1],
      'adam.epsilon': own.adam_eps,
      'threshold.start': own.threshold,
      'threshold.decay': 1 - own.threshold_lr,
      // No schedule: the rate is a number of the configuration.
      'defaults.warmupSteps': 0,
      'defaults.decayFraction': 0,
    }),
    {
      id: 'defaults: rows are standardised',
      *compare(change) {
        const each = change(bussmann).input.normaliser === 'each-row';
        yield ['input_unit_norm', [Number(each)], [Number(own.input_unit_norm)]];
      },
    },
    initialiseCase(recording, bussmann, { draw: config.initialise.draw_of_W_enc }),
    ...config.batch_top_k.map((recorded) => batchTopKCase(recording, recorded)),
    ...config.update_threshold.map(({ id }) => thresholdCase(recording, id, bussmann)),
    {
      id: 'no estimate of an input scale',
      *compare(change) {
        // The published code has no such function.
        const x = fromRows([[1, 2]]);
        yield refused(() => estimateInputScale([x], change(bussmann)));
      },
    },
    inactive(recording),
    decoderNorm(recording),
    standardise(recording, config.standardise.eps),
    encoding(recording, config.encode),
    jumpReluCase(recording, config.jumprelu.bandwidth),
    ...config.step.cases.map((step) => oneStep(recording, config, step)),
  ];
}

function batchTopKCase(
  recording: Recording,
  { id, k, threshold_after }: Config['batch_top_k'][number],
): Case {
  const name = `batch_top_k.${id}`;
  return {
    id: name,
    *compare(change): Generator<Quantity> {
      const dialect = change(bussmann);
      if (id === 'k-above-d_sae') {
        yield refused(() => selectionCount(k, 4, 4));
        return;
      }
      // Published: whole k only. Ours may be fractional, with K = trunc(k · rows).
      if (id === 'fractional-k') {
        yield ['K', [selectionCount(k, 4, 4)], [6]];
        return;
      }
      const latents = batchTopK(wholeMatrix(recording, `${name}.acts`), k);
      yield* selectionQuantities(latents, wholeMatrix(recording, `${name}.latents`));
      const after = updateThreshold(dialect.threshold.start, smallestSelected(latents), dialect);
      const published = recording.dtype === 'float32' ? Math.fround(after) : after;
      yield ['threshold', [published], [threshold_after!]];
    },
  };
}

/** Published: a column with NaN is neither counted nor reset. Ours never sees NaN: acts that are not finite are refused. */
function inactive(recording: Recording): Case {
  return {
    id: 'inactive',
    *compare(change): Generator<Quantity> {
      const dialect = change(bussmann);
      const counts = recording.values('inactive.batches_since_fired');
      const [batches, , columns] = recording.shape('inactive.latents');
      for (let t = 0; t < batches; t++) {
        const latents = recordedMatrix(recording, 'inactive.latents', t);
        const isNumber = Array.from({ length: columns }, (_, j) =>
          latents.data.every((value, i) => i % columns !== j || !Number.isNaN(value)),
        );
        const of = (at: number): Float64Array => counts.slice(at * columns, (at + 1) * columns);
        const next = updateSinceFired(of(t), latents, dialect);
        const kept = (values: Float64Array): Float64Array => values.filter((_, j) => isNumber[j]);
        yield ['counts', kept(next), kept(of(t + 1))];
        const nan = of(t + 1).filter((_, j) => !isNumber[j]);
        yield ['published counts of NaN', nan, of(t).filter((_, j) => !isNumber[j])];
      }
    },
  };
}

function decoderNorm(recording: Recording): Case {
  return {
    id: 'decoder_norm',
    *compare(change): Generator<Quantity> {
      const { projectEpsilon, normaliseEpsilon } = change(bussmann).decoderNorm;
      const W_dec = wholeMatrix(recording, 'decoder_norm.W_dec');
      const grad = wholeMatrix(recording, 'decoder_norm.grad');
      const projected = wholeMatrix(recording, 'decoder_norm.projected');
      const unit = wholeMatrix(recording, 'decoder_norm.unit');
      for (let j = 0; j < W_dec.rows; j++) {
        const one = (a: Matrix): Matrix => matrix(1, a.cols, row(a, j).slice());
        if (row(unit, j).some(Number.isNaN)) {
          // A zero row. Published: NaN.
          yield refused(() => normaliseRows(one(W_dec), normaliseEpsilon));
          yield refused(() => projectGradient(one(grad), one(W_dec), projectEpsilon));
          continue;
        }
        const g = projectGradient(one(grad), one(W_dec), projectEpsilon);
        // Of a gradient entirely parallel to its row nothing but rounding is left: measured with it beside.
        yield [
          `projected row ${j}`,
          [...g.data, ...row(grad, j)],
          [...row(projected, j), ...row(grad, j)],
        ];
        const w = normaliseRows(one(W_dec), normaliseEpsilon);
        yield [`unit row ${j}`, w.data, row(unit, j)];
      }
    },
  };
}

function standardise(recording: Recording, epsilon: number): Case {
  return {
    id: 'standardise',
    *compare(change): Generator<Quantity> {
      const dialect = change(bussmann);
      yield ['epsilon', [dialect.input.epsilon], [epsilon]];
      const x = wholeMatrix(recording, 'standardise.x');
      const { x: normalised, restore } = normaliseInput(x, 0, dialect, true);
      for (let b = 0; b < x.rows; b++) {
        // One row is 3 and deviations of 1e-3: float32 cancellation.
        const deviation = recording.values('standardise.std')[b];
        yield [
          `row ${b}`,
          row(normalised, b),
          row(wholeMatrix(recording, 'standardise.normalised'), b),
          Math.max(...row(x, b).map(Math.abs)) / (deviation + epsilon),
        ];
      }
      yield ['restored', restore(normalised).data, recording.values('standardise.restored')];
      // What restoring a 0 and a 1 gives: the mean, and the deviation more.
      const zero = restore(matrix(x.rows, 1));
      const one = restore(map(matrix(x.rows, 1), () => 1));
      yield ['mean', zero.data, recording.values('standardise.mean')];
      const deviations = one.data.map((value, b) => value - zero.data[b]);
      yield ['deviation', deviations, recording.values('standardise.std')];
    },
  };
}

function encoding(recording: Recording, { k, group_sizes }: Config['encode']): Case {
  return {
    id: 'encode',
    *compare(change): Generator<Quantity> {
      const dialect = change(withOptions(bussmann, { 'input.normaliser': 'none' }));
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
      // Encoding moves the threshold each time, by all selected latents.
      const smallest = smallestSelected(latents);
      const once = updateThreshold(dialect.threshold.start, smallest, dialect);
      const twice = updateThreshold(once, smallest, dialect);
      yield ['threshold', [once, twice], recording.values('encode.threshold_after')];
    },
  };
}

/**
 * Published: trained is log θ, by the derivative for θ; one value for each row, which autograd then sums. Ours is of θ, and
 * summed.
 */
function jumpReluCase(recording: Recording, bandwidth: number): Case {
  return {
    id: 'jumprelu',
    *compare(change): Generator<Quantity> {
      const dialect = change(withOptions(bussmann, { 'jumpRelu.bandwidth': bandwidth }));
      const whole = (name: string): Matrix => wholeMatrix(recording, `jumprelu.${name}`);
      const x = whole('x');
      const threshold = recording.values('jumprelu.log_threshold').map(Math.exp);
      const upstream = whole('grad_output');
      const summed = (a: Matrix): Float64Array =>
        threshold.map((_, j) => a.data.reduce((sum, g, i) => sum + (i % a.cols === j ? g : 0), 0));
      yield ['y', jumpRelu(x, threshold).data, whole('y').data];
      const gate = jumpReluGradient(x, threshold, upstream, dialect);
      yield ['gradient of x', gate.input.data, whole('grad_x').data];
      yield ['gradient of θ', gate.threshold, summed(whole('grad_log_threshold'))];
      const steps = map(x, (value, i) => Number(value > threshold[i % x.cols]));
      yield ['step', steps.data, whole('step_y').data];
      const count = stepGradient(x, threshold, upstream, dialect);
      yield ['gradient of x through the step', count.input.data, whole('step_grad_x').data];
      yield [
        'gradient of θ through the step',
        count.threshold,
        summed(whole('step_grad_log_threshold')),
      ];
    },
  };
}

function oneStep(recording: Recording, { step: all }: Config, step: StepCase): Case {
  const name = `step.${step.id}`;
  const prefixes = all.group_sizes.reduce<number[]>(
    (ends, size) => [...ends, (ends.at(-1) ?? 0) + size],
    [],
  );
  const run = (change: Change): TrainConfig =>
    trainConfig({
      dialect: change(
        withOptions(bussmann, {
          'auxk.k': step.k_aux,
          ...(step.input_unit_norm ? {} : { 'input.normaliser': 'none' }),
        }),
      ),
      d_in: recording.shape('step.W_enc')[0],
      d_sae: prefixes[prefixes.length - 1],
      k: all.k,
      steps: 100,
      prefixes,
      auxkAlpha: all.aux_penalty,
      deadAfter: all.n_batches_to_dead,
      sparsityCoefficient: step.l1_coeff,
      // Nothing is warmed up where the coefficient is constant.
      sparsityWarmupSteps: 10,
    });
  return {
    id: name,
    *compare(change): Generator<Quantity> {
      const config = run(change);
      const { dialect, d_in, d_sae } = config;
      const params = replacedParams(wholeParams(recording, 'step.'), step.changed);
      const x = wholeMatrix(recording, 'step.x');
      const one = (what: string): Float64Array => recording.values(`${name}.${what}`);
      const means = (losses: Float64Array): Float64Array => losses.map((loss) => loss / d_in);
      const sinceFired = one('batches_since_fired');
      const zero = zeroParams(d_in, d_sae);
      const state = { step: 1, params, m: zero, v: zero, threshold: 0, sinceFired };
      const active = step.active_groups;
      // Neither fewer groups nor a decoder row of zeros, which a whole step refuses to rescale, has a setting of ours.
      if (active < prefixes.length || step.id === 'zero-decoder-row') {
        if (step.id === 'zero-decoder-row') yield refused(() => trainStep(state, x, config));
        const end = prefixes[active - 1];
        const coefficients = levelCoefficients(new Array<number>(active).fill(1), d_in, dialect);
        const counts = updateSinceFired(
          sinceFired,
          batchTopK(encode(x, params, dialect), config.k),
          dialect,
        );
        const got = composed(
          x,
          params,
          (acts) => firstLatents(batchTopK(acts, config.k), end),
          {
            prefixes,
            coefficients: Float64Array.from(
              { length: prefixes.length + 1 },
              (_, g) => coefficients[g] ?? 0,
            ),
            dead: deadMask(counts, config.deadAfter, dialect),
            alpha: config.auxkAlpha,
          },
          dialect,
        );
        const aux = config.auxkAlpha * auxkLoss(got.auxk);
        const all = batchTopK(encode(x, params, dialect), config.k);
        yield ['latents', all.data, one('latents')];
        yield ['level losses', means(got.levelLosses.slice(0, active + 1)), one('level_losses')];
        yield ['reconstruction loss', [got.reconstructionLoss], one('l2')];
        yield ['auxk', [aux], one('aux')];
        yield ['penalty', [0], one('l1')];
        yield ['loss', [got.reconstructionLoss + aux], one('loss')];
        for (const param of trained) {
          yield [`gradient ${param}`, valuesOf(got.gradients, param), one(`grad.${param}`)];
        }
        return;
      }
      const result = trainStep(state, x, config);
      yield ['latents', result.latents.data, one('latents')];
      yield ['selection', selected(result.latents.data), selected(one('latents'))];
      yield ['dead', [result.dead.reduce((sum, dead) => sum + dead, 0)], [step.dead]];
      yield ['level losses', means(result.levelLosses), one('level_losses')];
      yield ['reconstruction loss', [result.reconstructionLoss], one('l2')];
      const penalty = result.penaltyCoefficient * result.penalty;
      yield ['penalty', [penalty], one('l1')];
      yield ['auxk', [config.auxkAlpha * auxkLoss(result.auxk)], one('aux')];
      yield ['loss', [result.loss], one('loss')];
      for (const param of trained) {
        yield [`gradient ${param}`, valuesOf(result.gradients, param), one(`grad.${param}`)];
      }
    },
  };
}

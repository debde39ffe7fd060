/**
 * The reference against the published code itself: 50 recorded steps at two shapes, each replayed from its recorded
 * state. conformance/vectors/dictionary-learning/make.py made the recordings by running dictionary_learning's trainer.
 */
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { learningRate } from '../../reference/adam.ts';
import { normaliseRows, projectGradient } from '../../reference/decoder-norm.ts';
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { encode } from '../../reference/encode.ts';
import { geometricMedian } from '../../reference/geometric-median.ts';
import { foldNormFactor } from '../../reference/input-norm.ts';
import { matrix, row } from '../../reference/matrix.ts';
import { paramNames, zeroParams } from '../../reference/params.ts';
import { prefixesFromFractions } from '../../reference/prefixes.ts';
import { aboveThreshold, batchTopK } from '../../reference/select.ts';
import { smallestSelected, updateThreshold } from '../../reference/threshold.ts';
import { trainConfig } from '../../reference/train-config.ts';
import {
  trainStep,
  type StepResult,
  type TrainConfig,
  type TrainState,
} from '../../reference/train-step.ts';
import { openRecording, recordedMatrix, recordedParams, type Recording } from './golden-vectors.ts';

const folder = fileURLToPath(
  new URL('../../conformance/vectors/dictionary-learning', import.meta.url),
);
const open = (id: string): Recording => openRecording(`${folder}/${id}.safetensors`);

/** Agreement asked for: float64 with the published code's float32 casts lifted, float32 with the code unedited. */
const tolerances = { float64: 1e-12, float32: 5e-6 } as const;

describe.each([
  ['three-groups', 'float64'],
  ['four-groups', 'float64'],
  ['three-groups', 'float32'],
  ['four-groups', 'float32'],
] as const)('%s in %s', (id, dtype) => {
  const recording = open(`${id}.${dtype}`);
  const config = configOf(recording);
  const tolerance = tolerances[dtype];
  const steps = Array.from({ length: config.steps }, (_, t) => t);

  test('every step replayed from the recorded state agrees', () => {
    const worst = new Map<string, number>();
    for (const t of steps) {
      const result = trainStep(stateAt(recording, t), recordedMatrix(recording, 'x', t), config);
      for (const [name, got, expected] of quantities(result, recording, t)) {
        const error = relativeError(got, expected);
        expect(error, `${name} at step ${t}`).toBeLessThanOrEqual(tolerance);
        worst.set(name, Math.max(worst.get(name) ?? 0, error));
      }
    }
    // Nothing was compared with itself: float32 rounding must show.
    if (dtype === 'float32') expect(Math.max(...worst.values())).toBeGreaterThan(1e-8);
  });

  test('selection, counters and dead latents agree exactly', () => {
    for (const t of steps) {
      const result = trainStep(stateAt(recording, t), recordedMatrix(recording, 'x', t), config);
      const selected = recording.values('latents', t).map((latent) => Number(latent > 0));
      expect(result.latents.data.map((latent) => Number(latent > 0))).toEqual(selected);
      expect(result.state.sinceFired).toEqual(recording.values('tokens_since_fired', t + 1));
      expect(result.dead.reduce((sum, dead) => sum + dead, 0)).toBe(recording.values('dead', t)[0]);
    }
  });

  test('the run has dead latents, an unset threshold, its first update and later ones', () => {
    const dead = steps.map((t) => recording.values('dead', t)[0]);
    const k_aux = Math.floor(config.d_in / 2);
    for (const [what, has] of [
      ['none', (count: number) => count === 0],
      ['fewer than k_aux', (count: number) => count > 0 && count < k_aux],
      ['k_aux', (count: number) => count === k_aux],
      ['more than k_aux', (count: number) => count > k_aux],
    ] as const) {
      expect(dead.some(has), `a step with ${what} dead`).toBe(true);
    }
    const thresholds = recording.values('threshold');
    const first = thresholds.findIndex((threshold) => threshold >= 0);
    expect(first).toBe(config.thresholdStartStep + 2);
    expect(new Set(thresholds.slice(first)).size).toBeGreaterThan(10);
  });

  test('running free from the first recorded state stays near for all steps', () => {
    let state = stateAt(recording, 0);
    for (const t of steps)
      state = trainStep(state, recordedMatrix(recording, 'x', t), config).state;
    const last = recordedParams(recording, config.steps);
    // Rounding differences grow from step to step; a missing or different decision would be far beyond this.
    const drift = { float64: 1e-9, float32: 1e-2 }[dtype];
    for (const name of paramNames) {
      expect(relativeError(flat(state.params[name]), flat(last[name])), name).toBeLessThan(drift);
    }
  });
});

test.each<[string, (dialect: Dialect) => Dialect]>([
  ['losses summed over levels', (d) => ({ ...d, loss: { ...d.loss, overLevels: 'sum' } })],
  ['b_dec alone as a level', (d) => ({ ...d, loss: { ...d.loss, emptyPrefix: true } })],
  ['auxk not normalised', (d) => ({ ...d, auxk: { ...d.auxk, normaliser: 'none' } })],
  ['auxk residual attached', (d) => ({ ...d, auxk: { ...d.auxk, residual: 'attached' } })],
  ['dead above the limit', (d) => ({ ...d, deadLatents: { ...d.deadLatents, test: 'above' } })],
  [
    'dead by earlier counts',
    (d) => ({ ...d, deadLatents: { ...d.deadLatents, mask: 'previous-steps' } }),
  ],
  [
    'projection after clipping',
    (d) => ({ ...d, decoderNorm: { ...d.decoderNorm, project: 'after-clip' } }),
  ],
  [
    'rows normalised before the update',
    (d) => ({ ...d, decoderNorm: { ...d.decoderNorm, normalise: 'before-update' } }),
  ],
  ['x not centred', (d) => ({ ...d, encode: { ...d.encode, subtractsDecoderBias: false } })],
  ['b_enc unused', (d) => ({ ...d, encode: { ...d.encode, usesEncoderBias: false } })],
  [
    'warm-up from one',
    (d) => ({ ...d, learningRate: { ...d.learningRate, warmup: 't-plus-one-over-w' } }),
  ],
  ['β2 0.99', (d) => ({ ...d, adam: { ...d.adam, beta2: 0.99 } })],
  [
    'threshold averaged from its start',
    (d) => ({ ...d, threshold: { ...d.threshold, first: 'average' } }),
  ],
])('the recordings reject another decision: %s', (_name, change) => {
  const recording = open('four-groups.float64');
  const config = { ...configOf(recording) };
  const other: TrainConfig = { ...config, dialect: change(config.dialect) };
  const disagrees = Array.from({ length: config.steps }, (_, t) => t).some((t) => {
    const result = trainStep(stateAt(recording, t), recordedMatrix(recording, 'x', t), other);
    return [...quantities(result, recording, t)].some(
      ([, got, expected]) => !(relativeError(got, expected) <= 1e-9),
    );
  });
  expect(disagrees).toBe(true);
});

describe('single operators', () => {
  const recording = open('operators.float64');
  const config = recording.config as unknown as OperatorsConfig;

  test.each(config.geometric_median.map(({ id }) => id))('geometric median: %s', (id) => {
    const points = wholeMatrix(recording, `geometric_median.${id}.points`);
    const expected = recording.values(`geometric_median.${id}.median`);
    if (expected.some(Number.isNaN)) {
      expect(() => geometricMedian(points)).toThrow(/equals the iterate/);
    } else {
      expect(relativeError(geometricMedian(points), expected)).toBeLessThan(1e-12);
    }
  });

  test.each(config.lr_multipliers)('learning rate: $id', (recorded) => {
    const { steps, warmup_steps: warmupSteps, decay_start: decayStart } = recorded;
    if (recorded.error !== undefined) {
      const run = { d_in: 2, d_sae: 4, k: 1, steps, warmupSteps, decayStart };
      expect(() => trainConfig(run)).toThrow(RangeError);
      return;
    }
    const schedule = { learningRate: 1, steps, warmupSteps, decayStart, cosineTo: null };
    const expected = recording.values(`lr_multipliers.${recorded.id}`);
    const got = expected.map((_, t) => learningRate(t, schedule, dictionaryLearning));
    expect(relativeError(got, expected)).toBeLessThan(1e-15);
  });

  test.each(config.group_sizes)('group sizes of $group_fractions', (recorded) => {
    const prefixes = (): number[] =>
      prefixesFromFractions(recorded.group_fractions, recorded.d_sae);
    if (recorded.group_sizes === undefined) expect(prefixes).toThrow(RangeError);
    else {
      const sizes = prefixes().map((end, g, all) => end - (g === 0 ? 0 : all[g - 1]));
      expect(sizes).toEqual(recorded.group_sizes);
    }
  });

  test.each(config.update_threshold.filter(({ error }) => error === undefined))(
    'threshold: $id',
    ({ id, threshold_beta }) => {
      const name = `update_threshold.${id}`;
      const dialect: Dialect = {
        ...dictionaryLearning,
        threshold: { ...dictionaryLearning.threshold, decay: threshold_beta! },
      };
      const expected = recording.values(`${name}.threshold`);
      for (let t = 0; t + 1 < expected.length; t++) {
        const smallest = smallestSelected(recordedMatrix(recording, `${name}.latents`, t));
        const got = updateThreshold(expected[t], smallest, dialect);
        expect(relativeError([got], [expected[t + 1]])).toBeLessThan(1e-15);
      }
    },
  );

  test('projection and unit rows, a zero row among them', () => {
    const W_dec = wholeMatrix(recording, 'decoder_norm.W_dec');
    const gradient = wholeMatrix(recording, 'decoder_norm.grad');
    const { projectEpsilon, normaliseEpsilon } = dictionaryLearning.decoderNorm;
    for (const [got, name] of [
      [projectGradient(gradient, W_dec, projectEpsilon), 'projected'],
      [normaliseRows(W_dec, normaliseEpsilon), 'unit'],
    ] as const) {
      const expected = wholeMatrix(recording, `decoder_norm.${name}`);
      for (let j = 0; j < got.rows; j++) {
        expect(relativeError(row(got, j), row(expected, j)), `${name} row ${j}`).toBeLessThan(1e-9);
      }
    }
  });

  test('inference drops acts equal to the threshold; training selects over the batch', () => {
    const params = {
      ...zeroParams(3, 6),
      W_enc: wholeMatrix(recording, 'encode.W_enc'),
      b_enc: recording.values('encode.b_enc'),
      b_dec: recording.values('encode.b_dec'),
    };
    const acts = encode(wholeMatrix(recording, 'encode.x'), params, dictionaryLearning);
    recording.values('encode.threshold').forEach((threshold, t) => {
      const expected = recording.values('encode.latents', t);
      expect(aboveThreshold(acts, threshold).data).toEqual(expected);
    });
    expect(batchTopK(acts, config.encode.k).data).toEqual(recording.values('encode.batch_top_k'));
  });

  test('folding the input scale multiplies biases and a threshold that was set', () => {
    const { scale } = config.scale_biases;
    const params = {
      ...zeroParams(
        recording.values('scale_biases.b_dec').length,
        recording.values('scale_biases.b_enc').length,
      ),
      b_enc: recording.values('scale_biases.b_enc'),
      b_dec: recording.values('scale_biases.b_dec'),
    };
    recording.values('scale_biases.threshold').forEach((threshold, i) => {
      const folded = foldNormFactor(params, threshold, scale);
      expect(folded.threshold).toBeCloseTo(
        recording.values('scale_biases.scaled_threshold')[i],
        12,
      );
      expect(
        relativeError(folded.params.b_enc, recording.values('scale_biases.scaled_b_enc')),
      ).toBeLessThan(1e-15);
      expect(
        relativeError(folded.params.b_dec, recording.values('scale_biases.scaled_b_dec')),
      ).toBeLessThan(1e-15);
    });
  });
});

interface OperatorsConfig {
  readonly geometric_median: readonly { readonly id: string }[];
  readonly lr_multipliers: readonly {
    readonly id: string;
    readonly steps: number;
    readonly warmup_steps: number;
    readonly decay_start: number | null;
    readonly error?: string;
  }[];
  readonly group_sizes: readonly {
    readonly group_fractions: readonly number[];
    readonly d_sae: number;
    readonly group_sizes?: readonly number[];
  }[];
  readonly update_threshold: readonly {
    readonly id: string;
    readonly threshold_beta?: number;
    readonly error?: string;
  }[];
  readonly encode: { readonly k: number };
  readonly scale_biases: { readonly scale: number };
}

function wholeMatrix(recording: Recording, name: string): ReturnType<typeof matrix> {
  const [rows, cols] = recording.shape(name);
  return matrix(rows, cols, recording.values(name));
}

/** The recorded run's settings under the reference's names. */
function configOf({ config }: Recording): TrainConfig {
  const number = (name: string): number => config[name] as number;
  const dialect: Dialect = {
    ...dictionaryLearning,
    threshold: { ...dictionaryLearning.threshold, decay: number('threshold_beta') },
  };
  return trainConfig({
    dialect,
    d_in: number('d_in'),
    d_sae: number('d_sae'),
    k: number('k'),
    steps: number('steps'),
    prefixes: config['prefixes'] as number[],
    levelWeights: config['group_weights'] as number[],
    learningRate: number('lr'),
    warmupSteps: number('warmup_steps'),
    decayStart: number('decay_start'),
    auxkAlpha: number('auxk_alpha'),
    deadAfter: number('dead_feature_threshold'),
    thresholdStartStep: number('threshold_start_step'),
  });
}

function stateAt(recording: Recording, t: number): TrainState {
  return {
    step: t,
    params: recordedParams(recording, t),
    m: recordedParams(recording, t, 'm.'),
    v: recordedParams(recording, t, 'v.'),
    threshold: recording.values('threshold')[t],
    sinceFired: recording.values('tokens_since_fired', t),
  };
}

/** Everything recorded of step t: name, ours, theirs. */
function* quantities(
  result: StepResult,
  recording: Recording,
  t: number,
): Generator<[string, ArrayLike<number>, ArrayLike<number>]> {
  yield ['latents', result.latents.data, recording.values('latents', t)];
  yield ['level losses', result.levelLosses.slice(1), recording.values('level_losses', t)];
  yield ['reconstruction loss', [result.reconstructionLoss], recording.values('l2', t)];
  yield ['auxk', [result.auxk[0].loss], recording.values('auxk', t)];
  yield ['loss', [result.loss], recording.values('loss', t)];
  yield ['gradient norm', [result.gradientNorm], recording.values('grad_norm', t)];
  yield ['learning rate', [result.learningRate], recording.values('lr', t)];
  yield ['threshold', [result.state.threshold], recording.values('threshold').slice(t + 1, t + 2)];
  const reconstructions = result.reconstructions.flatMap(({ data }) => [...data]);
  yield ['reconstructions', reconstructions, recording.values('x_hat', t)];
  const recorded = {
    grad: [result.gradients, recordedParams(recording, t, 'grad.')],
    clipped: [result.clippedGradients, recordedParams(recording, t, 'clipped.')],
    params: [result.state.params, recordedParams(recording, t + 1)],
    m: [result.state.m, recordedParams(recording, t + 1, 'm.')],
    v: [result.state.v, recordedParams(recording, t + 1, 'v.')],
  };
  for (const [kind, [got, expected]] of Object.entries(recorded)) {
    for (const name of paramNames) yield [`${kind} ${name}`, flat(got[name]), flat(expected[name])];
  }
}

function flat(param: Float64Array | { readonly data: Float64Array }): Float64Array {
  return param instanceof Float64Array ? param : param.data;
}

/** Largest difference relative to the largest expected magnitude; infinite for NaN or other lengths. */
function relativeError(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (got.length !== expected.length) return Infinity;
  let difference = 0;
  let scale = 0;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(got[i] - expected[i]);
    if (Number.isNaN(error)) return Infinity;
    difference = Math.max(difference, error);
    scale = Math.max(scale, Math.abs(expected[i]));
  }
  return difference === 0 ? 0 : difference / scale;
}

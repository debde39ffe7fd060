/**
 * SAELens's JumpReLU has losses that no decision says: `tanh`, `quadratic` of each row, and one that lowers thresholds of
 * dead latents. Here they are worked out from the published formulas and put through the reference's own straight-through
 * gradients, so that the recorded runs hold `jumpRelu.inputGradient: gate-and-window` on whole steps.
 * Source: `saes/jumprelu_sae.py`, `JumpReLUTrainingSAE.calculate_aux_loss`, `calculate_pre_act_loss`.
 */
import { adamUpdate, clipGradients, gradientNorm } from '../../../reference/adam.ts';
import { rowNorms } from '../../../reference/decoder-norm.ts';
import { withDecision, type Dialect } from '../../../reference/dialects.ts';
import { encoderInput } from '../../../reference/encode.ts';
import { jumpReluGradient, keptThresholds, stepGradient } from '../../../reference/jump-relu.ts';
import {
  addScaled,
  columnSums,
  dot,
  map,
  matrix,
  multiplyTransposed,
  row,
  transpose,
  type Matrix,
} from '../../../reference/matrix.ts';
import { eachParam, namesOf, valuesOf, type SaeParams } from '../../../reference/params.ts';
import { trainStep, type StepResult } from '../../../reference/train-step.ts';
import { recordedMatrix, type Recording } from '../golden-vectors.ts';
import { saelensJumpReluSource } from './architectures.ts';
import type { Quantity, Step } from './source.ts';

/** A loss, and its gradient at pre-activations, thresholds and decoder norms. */
interface Part {
  readonly loss: number;
  readonly pre: Matrix;
  readonly threshold: Float64Array;
  readonly norms: Float64Array;
}

interface At {
  readonly result: StepResult;
  readonly threshold: Float64Array;
  readonly norms: Float64Array;
  readonly dialect: Dialect;
}

/** coefficient · mean over rows of 2 / target · (l0 - target)², each row by itself. */
function quadratic({ result, threshold, dialect }: At, coefficient: number, target: number): Part {
  const { pre } = result;
  const counts = new Float64Array(pre.rows);
  pre.data.forEach((z, i) => {
    if (z > threshold[i % pre.cols]) counts[Math.floor(i / pre.cols)]++;
  });
  const loss = counts.reduce((sum, count) => sum + (2 / target) * (count - target) ** 2, 0);
  const upstream = map(pre, (_, i) => {
    const excess = counts[Math.floor(i / pre.cols)] - target;
    return (coefficient * 4 * excess) / (target * pre.rows);
  });
  const { input, threshold: atThreshold } = stepGradient(pre, threshold, upstream, dialect);
  return {
    loss: (coefficient * loss) / pre.rows,
    pre: input,
    threshold: atThreshold,
    norms: new Float64Array(pre.cols),
  };
}

/** coefficient · mean over rows of Σ tanh(s · latent · decoder norm). */
function tanh({ result, threshold, norms, dialect }: At, coefficient: number, s: number): Part {
  const { latents, pre } = result;
  const atNorms = new Float64Array(pre.cols);
  let loss = 0;
  const upstream = map(latents, (latent, i) => {
    const j = i % pre.cols;
    const value = Math.tanh(s * latent * norms[j]);
    const slope = (coefficient * s * (1 - value * value)) / pre.rows;
    loss += (coefficient * value) / pre.rows;
    atNorms[j] += slope * latent;
    return slope * norms[j];
  });
  const { input, threshold: atThreshold } = jumpReluGradient(pre, threshold, upstream, dialect);
  return { loss, pre: input, threshold: atThreshold, norms: atNorms };
}

/** coefficient · mean over rows of Σ max(θ - z, 0) · decoder norm, of dead latents. */
function preActivationLoss({ result, threshold, norms }: At, coefficient: number): Part {
  const { pre, dead } = result;
  const atThreshold = new Float64Array(pre.cols);
  const atNorms = new Float64Array(pre.cols);
  let loss = 0;
  const atPre = map(pre, (z, i) => {
    const j = i % pre.cols;
    const below = threshold[j] - z;
    if (dead[j] === 0 || below <= 0) return 0;
    const share = coefficient / pre.rows;
    loss += share * below * norms[j];
    atThreshold[j] += share * norms[j];
    atNorms[j] += share * below;
    return -share * norms[j];
  });
  return { loss, pre: atPre, threshold: atThreshold, norms: atNorms };
}

/** What a part adds to the gradient of every parameter. */
function spread(part: Part, { result, norms, dialect }: At, params: SaeParams): SaeParams {
  const { W_dec } = params;
  const b_enc = columnSums(part.pre);
  const decoder = matrix(W_dec.rows, W_dec.cols);
  norms.forEach((norm, j) => {
    addScaled(row(decoder, j), row(W_dec, j), part.norms[j] / norm);
  });
  return {
    W_enc: transpose(multiplyTransposed(part.pre, encoderInput(result.input, params, dialect))),
    b_enc,
    W_dec: decoder,
    b_dec: params.b_dec.map((_, i) => -dot(row(params.W_enc, i), b_enc)),
    threshold: part.threshold,
  };
}

/** Everything recorded of one step of `jumprelu-ste` or `jumprelu-quadratic`. */
export function* jumpLossQuantities(
  recording: Recording,
  { t, s, before: r, after }: Step,
): Generator<Quantity> {
  const source = saelensJumpReluSource;
  const { config: recorded } = recording;
  const config = source.configOf(recording, (dialect) =>
    withDecision(dialect, 'penalty.kind', 'none'),
  );
  const { dialect } = config;
  const state = source.stateAt(recording, t, r);
  const result = trainStep(state, recordedMatrix(recording, 'x', t), config);
  const params = {
    ...state.params,
    threshold: keptThresholds(state.params.threshold!, dialect),
  };
  const at: At = {
    result,
    threshold: params.threshold,
    norms: rowNorms(params.W_dec),
    dialect,
  };
  const one = (name: string): Float64Array => recording.values(name).slice(s, s + 1);
  const [coefficient] = one('coefficient');
  const number = (name: string): number => recorded[name] as number;
  const isQuadratic = recorded['jumprelu_sparsity_loss_mode'] === 'quadratic';
  const sparsity = isQuadratic
    ? quadratic(at, coefficient, number('target_l0'))
    : tanh(at, coefficient, number('jumprelu_tanh_scale'));
  const parts = isQuadratic
    ? [sparsity]
    : [sparsity, preActivationLoss(at, number('pre_act_loss_coefficient'))];
  const added = parts.map((part) => spread(part, at, params));
  const total = eachParam(params, (name) =>
    valuesOf(result.gradients, name).map((g, i) =>
      added.reduce((sum, extra) => sum + valuesOf(extra, name)[i], g),
    ),
  );
  const clipped = clipGradients(total, dialect.clip.maxNorm);
  const adam = adamUpdate(params, clipped, state.m, state.v, t, result.learningRate, dialect);

  yield ['pre-activations', result.pre.data, recording.values('hidden_pre', s)];
  yield ['latents', result.latents.data, recording.values('latents', s)];
  yield ['reconstruction', result.reconstructions[0].data, recording.values('x_hat', s)];
  yield ['reconstruction loss', [result.reconstructionLoss], one('l2')];
  yield ['penalty', [sparsity.loss], one('sparsity_loss')];
  if (parts.length > 1) yield ['pre-activation loss', [parts[1].loss], one('pre_act_loss')];
  const losses = parts.reduce((sum, { loss }) => sum + loss, result.reconstructionLoss);
  yield ['loss', [losses], one('loss')];
  const positive = result.latents.data.reduce((sum, latent) => sum + Number(latent > 0), 0);
  yield ['L0', [positive / result.latents.rows], one('l0')];
  yield ['dead', [result.dead.reduce((sum, dead) => sum + dead, 0)], one('dead')];
  yield ['counts', result.state.sinceFired, recording.values('passes_since_fired', after)];
  yield ['learning rate', [result.learningRate], one('lr')];
  yield ['gradient norm', [gradientNorm(total)], one('grad_norm')];
  for (const name of namesOf(params)) {
    yield [`gradient ${name}`, valuesOf(total, name), recording.values(`grad.${name}`, s)];
    yield [`clipped ${name}`, valuesOf(clipped, name), recording.values(`clipped.${name}`, s)];
    yield [`m ${name}`, valuesOf(adam.m, name), recording.values(`m.${name}`, after)];
    yield [`v ${name}`, valuesOf(adam.v, name), recording.values(`v.${name}`, after)];
    yield [`params ${name}`, valuesOf(adam.params, name), recording.values(name, after)];
  }
}

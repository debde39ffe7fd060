/**
 * One training step, stage by stage: each stage exactly, on what the reference's step says it was given.
 * @module
 */
import type { Dialect } from '../../../reference/dialect.ts';
import type { Matrix } from '../../../reference/matrix.ts';
import { valuesOf, type SaeParams } from '../../../reference/params.ts';
import type { StepResult, TrainConfig, TrainState } from '../../../reference/train-step.ts';
import type { Judge } from '../judge.ts';
import type { Oracle } from '../oracle.ts';
import type { Reference } from '../reference.ts';
import {
  add,
  div,
  isZero,
  min,
  mul,
  one,
  real,
  square,
  sub,
  sum,
  Unbounded,
  zero,
  type Real,
} from '../real.ts';
import { columnOf, range, realMatrix, realParams, reals, type RealMatrix } from '../real-matrix.ts';
import { adamEntry } from './adam.ts';
import { clip, gradientNorm } from './clip.ts';
import { hasZeroRow, normaliseRows, projectGradient, rowNorms } from './decoder-norm.ts';
import { positiveParts } from './encode.ts';
import { closedForm } from './gradients.ts';
import { normalisedInput } from './input-norm.ts';
import { frequencies } from './latent-order.ts';
import { learningRate } from './learning-rate.ts';
import { selectionScores } from './select.ts';
import type { LossCase } from './loss-cases.ts';
import { stepCases, type StepCase } from './step-cases.ts';
import { average } from './threshold.ts';
import { exactForward, forcedBy, judgeChoices } from './total-loss.ts';

export const trainStep: Oracle<StepCase> = {
  name: 'training step',
  holds: ['trainStep.trainStep', 'trainStep.startingAverages'],
  cases: stepCases(),
  check(given, reference, judge) {
    const { state, x, config, drawn } = given;
    const { dialect } = config;
    const start = reference.trainStep.startingAverages(config);
    judge.same('starting mean norm', start.meanNorm, 0);
    judge.same('starting sparsity scale', start.sparsityScale, config.sparsityCoefficient);
    judge.same(
      'starting mean squares',
      start.meanSquares.every((value) => value === 0),
      true,
    );

    const draws = drawn === null ? {} : { prefixes: drawn };
    const got = stepOrUnbounded(() => reference.trainStep.trainStep(state, x, config, draws));
    const averages = state.averages ?? start;
    const scaled = realMatrix(x);
    const scale = real(config.inputScale);
    const input = normalisedInput(
      { ...scaled, data: scaled.data.map((value) => mul(scale, value)) },
      real(averages.meanNorm),
      dialect,
      true,
    );
    judge.allNear('input', got.input, input.x);
    judge.near('mean norm', got.state.averages!.meanNorm, input.meanNorm);

    judgeOrder(given, got, judge);
    const placed = inPlace(given, got, reference);
    const params = startingParams(placed, got.input, reference);
    const loss = lossCase(placed, got, params);
    judgeLoss(loss, got, judge);
    judgeCounts(placed, got, judge);
    judgeUpdate(placed, got, params, judge);
    judgeAverages(placed, got, params, averages.meanSquares, averages.sparsityScale, judge);
  },
};

/** The case with what belongs to latents where the step put it before prefixes were sliced. */
function inPlace(given: StepCase, { order }: StepResult, { latentOrder }: Reference): StepCase {
  if (order === null) return given;
  const { state } = given;
  const moved = (params: SaeParams): SaeParams => latentOrder.reorderLatents(params, order);
  return {
    ...given,
    state: {
      ...state,
      params: moved(state.params),
      m: moved(state.m),
      v: moved(state.v),
      sinceFired: state.sinceFired.map((_, j) => state.sinceFired[order[j]]),
    },
  };
}

/** Frequencies, and latents sorted by them: each where the latent before it is more frequent, or as frequent and first. */
function judgeOrder({ state, config }: StepCase, got: StepResult, judge: Judge): void {
  const sorts = config.dialect.latentOrder.permute === 'by-frequency';
  const after = got.state.averages!.frequencies;
  const before = state.averages?.frequencies ?? null;
  const { order } = got;
  judge.same('latents are sorted after selection', order !== null, sorts);
  if (order === null) {
    judge.same('frequencies kept', after, before ?? undefined);
    return;
  }
  // The result's latents are in order already.
  const placed = before?.map((_, j) => before[order[j]]) ?? null;
  judge.allNear('frequencies', after!, frequencies(placed, got.latents, config.dialect));
  judge.same('every latent has a place', new Set(order).size, config.d_sae);
  for (let j = 1; j < order.length; j++) {
    const isNext =
      after![j - 1] > after![j] || (after![j - 1] === after![j] && order[j - 1] < order[j]);
    judge.same(`place ${j}`, isNext, true);
  }
}

/** Which refusals are due, each operator's own oracle says. */
function stepOrUnbounded(step: () => StepResult): StepResult {
  try {
    return step();
  } catch (error) {
    if (error instanceof RangeError) throw new Unbounded(error.message);
    throw error;
  }
}

/** The parameters that the forward pass uses. */
function startingParams(
  { state, config: { dialect } }: StepCase,
  input: Matrix,
  reference: Reference,
): SaeParams {
  const { params } = state;
  const { threshold } = params;
  const clamps = dialect.jumpRelu.keepsThresholds === 'at-least-zero';
  const median = state.step === 0 && dialect.initialise.b_dec === 'geometric-median';
  return {
    ...params,
    ...(threshold !== undefined && clamps
      ? { threshold: threshold.map((value) => (value > 0 ? value : 0)) }
      : {}),
    ...(median ? { b_dec: reference.geometricMedian.geometricMedian(input) } : {}),
  };
}

function lossCase({ config, drawn }: StepCase, got: StepResult, params: SaeParams): LossCase {
  const { dialect } = config;
  const prefixes = drawn ?? config.prefixes;
  const own = dialect.loss.defaultWeight === 'one' ? 1 : 1 / prefixes.length;
  return {
    x: got.input,
    params,
    selection: config.selection,
    k: config.k,
    prefixes,
    weights: drawn === null ? config.levelWeights : prefixes.map(() => own),
    dead: got.dead,
    alpha: config.auxkAlpha,
    coefficient: got.penaltyCoefficient,
    targetL0: config.targetL0,
    dialect,
    picks: [],
  };
}

function judgeLoss(given: LossCase, got: StepResult, judge: Judge): void {
  const rescales = given.dialect.select.score === 'acts-times-decoder-norm';
  judge.same('a zero row', rescales && hasZeroRow(realMatrix(given.params.W_dec)), false);
  const forced = forcedBy(given, got);
  const params = realParams(given.params);
  const exact = exactForward(given, params, forced);
  judgeChoices(given, exact, forced, judge);
  judge.allNear('pre', got.pre, exact.pre);
  judge.allNear('acts', got.acts, positiveParts(exact.pre));
  judge.allNear('latents', got.latents, exact.latents);
  got.reconstructions.forEach((level, g) =>
    judge.allNear(`x̂_${g + 1}`, level, exact.levels[g + 1]),
  );
  judge.allNear('L', got.levelLosses, exact.losses);
  const reconstruction = sum(exact.coefficients.map((c, g) => mul(c, exact.losses[g])));
  judge.near('reconstruction loss', got.reconstructionLoss, reconstruction);
  exact.auxk.forEach((term, i) => judge.near(`auxk_${i}`, got.auxk[i].loss, term.loss));
  judge.near('penalty', got.penalty, exact.penalty.loss);
  judge.near('loss', got.loss, exact.loss);
  const closed = closedForm(given, params, exact, forced);
  judge.allNear('gradient W_enc', got.gradients.W_enc, closed.W_enc);
  judge.allNear('gradient b_enc', got.gradients.b_enc, closed.b_enc);
  judge.allNear('gradient W_dec', got.gradients.W_dec, closed.W_dec);
  judge.allNear('gradient b_dec', got.gradients.b_dec, closed.b_dec);
  const { threshold } = got.gradients;
  judge.same('gradient of thresholds', threshold === undefined, closed.threshold === undefined);
  if (threshold !== undefined) judge.allNear('gradient θ', threshold, closed.threshold!);
}

/** What is counted: since each latent fired, which are dead, latents per row. */
function judgeCounts({ state, config }: StepCase, got: StepResult, judge: Judge): void {
  const { deadLatents, jumpRelu } = config.dialect;
  const { latents, pre } = got;
  const passed = deadLatents.unit === 'tokens' ? latents.rows : 1;
  const next = [...state.sinceFired].map((count, j) => {
    const fired = range(latents.rows).some((b) => latents.data[b * latents.cols + j] > 0);
    return fired ? 0 : count + passed;
  });
  next.forEach((count, j) => judge.same(`since fired[${j}]`, got.state.sinceFired[j], count));
  const counts = deadLatents.mask === 'this-step' ? next : [...state.sinceFired];
  counts.forEach((count, j) => {
    const above =
      deadLatents.test === 'above' ? count > config.deadAfter : count >= config.deadAfter;
    judge.same(`dead[${j}]`, got.dead[j], above ? 1 : 0);
  });
  const thresholds = got.gradients.threshold === undefined ? null : keptThresholds(state, config);
  const counted = thresholds === null || jumpRelu.counts === 'latents' ? latents : pre;
  const above = counted.data.filter((z, i) => z > (thresholds?.[i % pre.cols] ?? 0)).length;
  judge.near('l0', got.l0, div(real(above), real(pre.rows)));
  judge.same('step', got.state.step, state.step + 1);
}

function keptThresholds({ params }: TrainState, { dialect }: TrainConfig): Float64Array {
  const clamps = dialect.jumpRelu.keepsThresholds === 'at-least-zero';
  return params.threshold!.map((value) => (clamps && !(value > 0) ? 0 : value));
}

/** Projection, clipping, Adam, unit rows, order. */
function judgeUpdate(
  { state, config }: StepCase,
  got: StepResult,
  params: SaeParams,
  judge: Judge,
): void {
  const { decoderNorm, adam, clip: clipping } = config.dialect;
  const names = namesOf(params);
  const of = (from: SaeParams): Real[][] => names.map((name) => reals(valuesOf(from, name)));
  const W_dec = realMatrix(params.W_dec);
  const decoder = names.indexOf('W_dec');
  const project = (gradient: readonly Real[]): readonly Real[] =>
    projectGradient({ ...W_dec, data: gradient }, W_dec, decoderNorm.projectEpsilon).data;
  const allNear = (where: string, from: SaeParams, exact: readonly (readonly Real[])[]): void =>
    names.forEach((name, i) => judge.allNear(`${where} ${name}`, valuesOf(from, name), exact[i]));

  const projected: (readonly Real[])[] = of(got.gradients);
  if (decoderNorm.project === 'before-clip') projected[decoder] = project(projected[decoder]);
  allNear('projected', got.projected, projected);
  judge.near('gradient norm', got.gradientNorm, gradientNorm(of(got.projected)));
  const clipped: (readonly Real[])[] = clip(of(got.projected), clipping.maxNorm);
  if (decoderNorm.project === 'after-clip') clipped[decoder] = project(clipped[decoder]);
  allNear('clipped', got.clippedGradients, clipped);

  const rate = learningRate(state.step, config, config.dialect);
  judge.near('learning rate', got.learningRate, rate);
  const before: (readonly Real[])[] = of(params);
  if (decoderNorm.normalise === 'before-update') {
    before[decoder] = normaliseRows(W_dec, decoderNorm.normaliseEpsilon).data;
  }
  const [m, v, g] = [of(state.m), of(state.v), of(got.clippedGradients)];
  const moved = before.map((tensor, n) =>
    tensor.map((w, i) => {
      const entry = { m: m[n][i], v: v[n][i], w };
      return adamEntry(entry, g[n][i], state.step + 1, real(got.learningRate), adam);
    }),
  );
  const part = (field: 'm' | 'v' | 'w'): Real[][] =>
    moved.map((tensor) => tensor.map((entry) => entry[field]));
  allNear('m', got.state.m, part('m'));
  allNear('v', got.state.v, part('v'));
  allNear('updated', got.updated, part('w'));
  judgeFinal(config, got, judge);
}

/** From what Adam left to the next step's parameters. */
function judgeFinal({ dialect }: TrainConfig, got: StepResult, judge: Judge): void {
  const updated = realParams(got.updated);
  const { normalise, normaliseEpsilon } = dialect.decoderNorm;
  const W_dec =
    normalise === 'after-update' ? normaliseRows(updated.W_dec, normaliseEpsilon) : updated.W_dec;
  const averages = got.state.averages!.meanSquares;
  const order = range(W_dec.rows);
  if (dialect.latentOrder.permute === 'by-mean-square') {
    order.sort((i, j) => averages[j] - averages[i] || i - j);
  }
  const { params } = got.state;
  judge.allNear('next W_enc', params.W_enc, columnsInOrder(updated.W_enc, order));
  judge.allNear(
    'next b_enc',
    params.b_enc,
    order.map((j) => updated.b_enc[j]),
  );
  judge.allNear('next W_dec', params.W_dec, rowsInOrder(W_dec, order));
  judge.allNear('next b_dec', params.b_dec, updated.b_dec);
  if (params.threshold !== undefined) {
    // Thresholds belong to latents, and move with them.
    judge.allNear(
      'next θ',
      params.threshold,
      order.map((j) => updated.threshold![j]),
    );
  }
}

function rowsInOrder(a: RealMatrix, order: readonly number[]): RealMatrix {
  return { ...a, data: order.flatMap((j) => a.data.slice(j * a.cols, (j + 1) * a.cols)) };
}

function columnsInOrder(a: RealMatrix, order: readonly number[]): RealMatrix {
  return { ...a, data: range(a.rows).flatMap((i) => order.map((j) => a.data[i * a.cols + j])) };
}

/** The threshold, the mean squares that order latents, the penalty's coefficient. */
function judgeAverages(
  { state, config }: StepCase,
  got: StepResult,
  params: SaeParams,
  meanSquares: Float64Array,
  sparsityScale: number,
  judge: Judge,
): void {
  const { dialect, selection } = config;
  const estimates = selection === 'batch' || selection === 'row';
  const updates = estimates && state.step > config.thresholdStartStep;
  if (updates) {
    const selected = { pre: realMatrix(got.pre), latents: got.latents };
    judge.near(
      'threshold',
      got.state.threshold,
      nextThreshold(state.threshold, selected, params, dialect),
    );
  } else judge.same('threshold kept', got.state.threshold, state.threshold);
  if (updates && got.refinement !== null) {
    const { first: latents } = got.refinement;
    // A selected act is its pre-activation, and no other counts.
    judge.near(
      'first threshold',
      got.state.firstThreshold ?? NaN,
      nextThreshold(state.firstThreshold!, { pre: realMatrix(latents), latents }, params, dialect),
    );
  } else judge.same('first threshold kept', got.state.firstThreshold, state.firstThreshold);

  const { averages } = got.state;
  const norms = rowNorms(realMatrix(params.W_dec));
  const rows = real(got.latents.rows);
  const permutes = dialect.latentOrder.permute === 'by-mean-square';
  const squares = reals(meanSquares).map((old, j) => {
    if (!permutes) return old;
    const terms = columnOf(realMatrix(got.latents), j).map((a) => square(mul(a, norms[j])));
    return average(old, div(sum(terms), rows), dialect.latentOrder.decay);
  });
  judge.allNear('mean squares', averages!.meanSquares, squares);

  const { kind, coefficient, controllerStep } = dialect.penalty;
  const W = real(config.sparsityWarmupSteps);
  const warmed = (scale: Real, done: number): Real =>
    mul(scale, isZero(W) ? one : min(div(real(done), W), one));
  let scale = real(sparsityScale);
  let factor = zero;
  if (kind !== 'none' && coefficient === 'controlled') {
    if (state.step > config.sparsityWarmupSteps) {
      const change = real(controllerStep);
      scale = mul(scale, got.l0 < config.targetL0 ? sub(one, change) : add(one, change));
    }
    factor = warmed(scale, state.step + 1);
  } else if (kind !== 'none') {
    const start = real(config.sparsityCoefficient);
    factor = coefficient === 'constant' ? start : warmed(start, state.step);
  }
  judge.near('sparsity scale', averages!.sparsityScale, scale);
  judge.near('penalty coefficient', got.penaltyCoefficient, factor);
}

function nextThreshold(
  old: number,
  { pre, latents }: { readonly pre: RealMatrix; readonly latents: Matrix },
  params: SaeParams,
  dialect: Dialect,
): Real {
  const { first, decay, whenEmpty } = dialect.threshold;
  const scores = selectionScores(positiveParts(pre), realMatrix(params.W_dec), dialect);
  const selected = scores.data.filter((_, i) => latents.data[i] > 0);
  const smallest = selected.length === 0 ? null : selected.reduce(min);
  if (first === 'assign' && old < 0 && smallest !== null) return smallest;
  if (smallest === null && whenEmpty === 'keep') return real(old);
  return average(real(old), smallest ?? zero, decay);
}

function namesOf(params: SaeParams): readonly (keyof SaeParams)[] {
  const names = ['W_enc', 'b_enc', 'W_dec', 'b_dec'] as const;
  return params.threshold === undefined ? names : [...names, 'threshold'];
}

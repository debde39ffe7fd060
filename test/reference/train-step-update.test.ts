import { describe, expect, test } from 'vitest';
import {
  bussmann,
  dictionaryLearning,
  nabeshima,
  saelens,
  saelensJumpRelu,
  saelensRelu,
  withDecision,
  type Dialect,
} from '../../reference/dialects.ts';
import { adamUpdate, clipGradients, gradientNorm } from '../../reference/adam.ts';
import { normaliseRows, projectGradient } from '../../reference/decoder-norm.ts';
import {
  latentOrder,
  reorderColumns,
  reorderLatents,
  updateFrequencies,
  updateMeanSquares,
} from '../../reference/latent-order.ts';
import {
  startingAverages,
  trainStep,
  type StepResult,
  type TrainConfig,
} from '../../reference/train-step.ts';
import { d_sae, rows, worldOf, type World } from './worlds.ts';

const step = ({ state, x, config }: World, change: Partial<TrainConfig> = {}): StepResult =>
  trainStep(state, x, { ...config, ...change });

describe('the sparsity penalty', () => {
  test('has a coefficient of 0, and the scale stays, where there is none', () => {
    const { penalty, penaltyCoefficient, state } = step(worldOf(saelens, 12));
    expect([penalty, penaltyCoefficient, state.averages!.sparsityScale]).toEqual([0, 0, 0.4]);
  });

  test('is warmed up by the run’s steps, the scale staying', () => {
    const { penalty, penaltyCoefficient, state } = step(worldOf(saelensRelu, 12));
    // Step 5 of 8.
    expect(penaltyCoefficient).toBe(0.3 * (5 / 8));
    expect(penalty).toBeGreaterThan(0);
    expect(state.averages!.sparsityScale).toBe(0.4);
  });

  test('is controlled by the latents above 0 of this step', () => {
    const world = worldOf(nabeshima, 12);
    const { l0, latents } = step(world);
    expect(l0).toBe(latents.data.filter((latent) => latent > 0).length / rows);
    const at = (targetL0: number): StepResult => step(world, { targetL0, sparsityWarmupSteps: 4 });
    expect(at(l0).state.averages!.sparsityScale).toBeCloseTo(0.4 * 1.0003, 15);
    expect(at(l0 + 0.1).state.averages!.sparsityScale).toBeCloseTo(0.4 * 0.9997, 15);
    expect(at(l0).penaltyCoefficient).toBe(at(l0).state.averages!.sparsityScale);
    // Step 5 of 8, the sixth.
    expect(step(world).penaltyCoefficient).toBe(0.4 * (6 / 8));
    expect(() => step(world, { sparsityWarmupSteps: 0 })).toThrow(
      new RangeError('sparsityWarmupSteps: expected at least 1 to divide by, got 0'),
    );
  });

  test('of L0 counts latents, or pre-activations above their threshold', () => {
    const world = worldOf(
      withDecision(saelensJumpRelu, 'jumpRelu.keepsThresholds', 'as-trained'),
      13,
    );
    const threshold = new Float64Array(d_sae).fill(-0.5);
    const given = {
      ...world,
      state: { ...world.state, params: { ...world.state.params, threshold } },
    };
    const { l0, pre, penalty } = step(given);
    expect(l0).toBe(pre.data.filter((z) => z > -0.5).length / rows);
    expect(penalty).toBe(l0);
    // A latent that the gate sets to 0 is above a negative threshold.
    const ofLatents = withDecision(given.dialect, 'jumpRelu.counts', 'latents');
    expect(step(given, { dialect: ofLatents }).l0).toBe(d_sae);
  });
});

describe('the update', () => {
  const with_ = (
    project: Dialect['decoderNorm']['project'],
    normalise: Dialect['decoderNorm']['normalise'],
  ): World =>
    worldOf(
      {
        ...dictionaryLearning,
        decoderNorm: { project, projectEpsilon: 0.125, normalise, normaliseEpsilon: 0.25 },
        clip: { maxNorm: 0.5 },
      },
      14,
    );

  test('takes the parallel part from W_dec’s gradient before it is clipped, after, or never', () => {
    const { W_dec } = with_('never', 'never').state.params;
    const never = step(with_('never', 'never'));
    expect(never.projected).toBe(never.gradients);
    expect(never.clippedGradients).toEqual(clipGradients(never.gradients, 0.5));
    expect(gradientNorm(never.gradients)).toBeGreaterThan(0.5);

    const before = step(with_('before-clip', 'never'));
    expect(before.gradients).toEqual(never.gradients);
    expect(before.projected).toEqual({
      ...never.gradients,
      W_dec: projectGradient(never.gradients.W_dec, W_dec, 0.125),
    });
    expect(before.clippedGradients).toEqual(clipGradients(before.projected, 0.5));
    expect(before.gradientNorm).toBe(gradientNorm(before.projected));

    const after = step(with_('after-clip', 'never'));
    expect(after.projected).toBe(after.gradients);
    expect(after.gradientNorm).toBe(gradientNorm(never.gradients));
    expect(after.clippedGradients).toEqual({
      ...never.clippedGradients,
      W_dec: projectGradient(never.clippedGradients.W_dec, W_dec, 0.125),
    });
  });

  test('rescales decoder rows after Adam, before it, or never', () => {
    const world = with_('never', 'never');
    const { params, m, v } = world.state;
    const never = step(world);
    const adam = (from: typeof params): ReturnType<typeof adamUpdate> =>
      adamUpdate(from, never.clippedGradients, m, v, 5, 0.01, world.dialect);
    expect(never.updated).toEqual(adam(params).params);
    expect(never.state.params).toBe(never.updated);
    expect(never.state).toMatchObject({ m: adam(params).m, v: adam(params).v });

    const after = step(with_('never', 'after-update'));
    expect(after.updated).toEqual(never.updated);
    expect(after.state.params).toEqual({
      ...never.updated,
      W_dec: normaliseRows(never.updated.W_dec, 0.25),
    });

    const before = step(with_('never', 'before-update'));
    const unit = { ...params, W_dec: normaliseRows(params.W_dec, 0.25) };
    expect(before.updated).toEqual(adam(unit).params);
    expect(before.state.params).toBe(before.updated);
    // Gradients are those of the rows as they were.
    expect(before.gradients).toEqual(never.gradients);
  });

  test('has the rate of its step: with rate 0 weights stay, and moments move', () => {
    const world = with_('never', 'never');
    const first = { ...world, state: { ...world.state, step: 0 } };
    const dialect = withDecision(world.dialect, 'initialise.b_dec', 'zero');
    const { learningRate, state } = step(first, { dialect, warmupSteps: 20 });
    expect(learningRate).toBe(0);
    expect(state.params).toEqual(world.state.params);
    expect(state.m).not.toEqual(world.state.m);
    expect(step(world, { warmupSteps: 20 }).learningRate).toBe(0.01 * (5 / 20));
  });

  test('re-orders latents by their new average, as Adam left them, moments staying', () => {
    const world = worldOf(nabeshima, 15);
    const { params, m, v } = world.state;
    const result = step(world);
    const meanSquares = updateMeanSquares(
      world.state.averages!.meanSquares,
      result.latents,
      params.W_dec,
      nabeshima,
    );
    expect(result.state.averages!.meanSquares).toEqual(meanSquares);
    expect(result.state.params).toEqual(reorderLatents(result.updated, latentOrder(meanSquares)));
    expect(result.state.params).not.toEqual(result.updated);
    const adam = adamUpdate(params, result.clippedGradients, m, v, 5, 0.01, nabeshima);
    expect(result.state).toMatchObject({ m: adam.m, v: adam.v });
  });

  test('re-orders them as drawn, where an order is', () => {
    const { state, x, config } = worldOf(nabeshima, 15);
    const order = Uint32Array.of(5, 0, 1, 2, 4, 3);
    const given = trainStep(state, x, config, { order });
    expect(given.state.params).toEqual(reorderLatents(given.updated, order));
    expect(given.state.averages).toEqual(trainStep(state, x, config).state.averages);
  });

  test('by frequency moves all that belongs to a latent, before prefixes are sliced', () => {
    const dialect = withDecision(dictionaryLearning, 'latentOrder.permute', 'by-frequency');
    const world = worldOf(withDecision(dialect, 'latentOrder.decay', 0.9), 15);
    const { state } = world;
    const result = step(world);
    const unsorted = step(world, { dialect: dictionaryLearning });
    const frequencies = updateFrequencies(
      state.averages!.frequencies,
      unsorted.latents,
      world.dialect,
    );
    const order = latentOrder(frequencies);
    expect(unsorted.order).toBeNull();
    expect(result.order).toEqual(order);
    expect([...order]).not.toEqual([0, 1, 2, 3, 4, 5]);
    expect(result.latents).toEqual(reorderColumns(unsorted.latents, order));
    const here = (values: Float64Array): Float64Array => values.map((_, j) => values[order[j]]);
    expect(result.state.averages!.frequencies).toEqual(here(frequencies));
    // From latents that stand there already it is the step of a dialect that sorts none.
    const placed = {
      ...state,
      params: reorderLatents(state.params, order),
      m: reorderLatents(state.m, order),
      v: reorderLatents(state.v, order),
      sinceFired: here(state.sinceFired),
    };
    const there = step({ ...world, state: placed }, { dialect: dictionaryLearning });
    expect(result.levelLosses).toEqual(there.levelLosses);
    expect(result.state).toEqual({ ...there.state, averages: result.state.averages });
  });

  test('by frequency sorts by the first batch’s, where none was before', () => {
    const dialect = withDecision(dictionaryLearning, 'latentOrder.permute', 'by-frequency');
    const { state, x, config } = worldOf(dialect, 16);
    const result = trainStep({ ...state, averages: startingAverages(config) }, x, config);
    const fired = Float64Array.from({ length: config.d_sae }, (_, j) => {
      const rows = Array.from({ length: x.rows }, (_, b) => b * config.d_sae + j);
      return rows.filter((i) => result.latents.data[i] > 0).length / x.rows;
    });
    expect(result.state.averages!.frequencies).toEqual(fired);
    expect(fired).toEqual(fired.toSorted().toReversed());
  });

  test('leaves order and its average alone in other dialects', () => {
    const world = worldOf(bussmann, 15);
    const order = Uint32Array.of(5, 0, 1, 2, 4, 3);
    const result = trainStep(world.state, world.x, world.config, { order });
    expect(result.state.params).toBe(result.updated);
    expect(result.state.averages!.meanSquares).toBe(world.state.averages!.meanSquares);
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  dialects,
  dictionaryLearning,
  dictionaryLearningJumpRelu,
  nabeshima,
  saelens,
  saelensJumpRelu,
  withDecision,
} from '../../reference/dialects.ts';
import { geometricMedian } from '../../reference/geometric-median.ts';
import { rowNorms } from '../../reference/decoder-norm.ts';
import { fromRows, map, matrix, scale } from '../../reference/matrix.ts';
import { drawInitial, initialiseParams, namesOf, zeroParams } from '../../reference/params.ts';
import { batchTopK, selectionScores, topK } from '../../reference/select.ts';
import { updateThreshold, smallestSelected } from '../../reference/threshold.ts';
import { trainConfig } from '../../reference/train-config.ts';
import {
  initialState,
  startingAverages,
  trainStep,
  type StepResult,
  type TrainConfig,
} from '../../reference/train-step.ts';
import { createRng } from '../../synthetic/rng.ts';
import { d_in, d_sae, prefixes, rows, worldOf, worlds, type World } from './worlds.ts';

const step = ({ state, x, config }: World, change: Partial<TrainConfig> = {}): StepResult =>
  trainStep(state, x, { ...config, ...change });

describe('the first state', () => {
  const config = trainConfig({ d_in: 2, d_sae: 3, k: 1, steps: 5, warmupSteps: 0 });

  test('has drawn parameters, zero moments and counts, and the dialect’s threshold', () => {
    const state = initialState(config, createRng(1).uniform);
    const drawn = drawInitial(2, 3, createRng(1).uniform, dictionaryLearning);
    expect(state).toEqual({
      step: 0,
      params: initialiseParams(drawn, dictionaryLearning),
      m: zeroParams(2, 3),
      v: zeroParams(2, 3),
      threshold: -1,
      sinceFired: new Float64Array(3),
    });
    expect(Object.keys(state.params)).not.toContain('threshold');
  });

  test('has a threshold for each latent where they are trained, and moments for it', () => {
    for (const [dialect, start] of [
      [saelensJumpRelu, 0.01],
      [dictionaryLearningJumpRelu, 0.001],
    ] as const) {
      const { params, m, v } = initialState(
        { ...config, dialect, selection: 'jump' },
        createRng(1).uniform,
      );
      expect([...params.threshold!]).toEqual([start, start, start]);
      expect([...m.threshold!, ...v.threshold!]).toEqual([0, 0, 0, 0, 0, 0]);
    }
  });

  test('keeps no averages; they start at 0, and the controller’s scale at the coefficient', () => {
    expect(startingAverages({ ...config, sparsityCoefficient: 1.2 })).toEqual({
      meanNorm: 0,
      meanSquares: new Float64Array(3),
      sparsityScale: 1.2,
    });
    const world = worldOf(nabeshima, 4);
    const { averages, ...fresh } = world.state;
    const started = { ...fresh, averages: startingAverages(world.config) };
    expect(averages).not.toEqual(started.averages);
    expect(trainStep(fresh, world.x, world.config)).toEqual(
      trainStep(started, world.x, world.config),
    );
  });
});

describe('a step', () => {
  test('leaves what it was given as it was', () => {
    fc.assert(
      fc.property(worlds(), (world) => {
        const before = structuredClone([world.state, world.x]);
        step(world);
        expect([world.state, world.x]).toEqual(before);
      }),
      { numRuns: 30 },
    );
  });

  test('hands on a state that the next one takes, in every published dialect', () => {
    for (const dialect of Object.values(dialects)) {
      const { uniform, normal } = createRng(8);
      const config = trainConfig({
        dialect,
        d_in,
        d_sae,
        k: 2,
        steps: 6,
        prefixes,
        warmupSteps: 1,
        decayStart: 4,
        sparsityWarmupSteps: 2,
      });
      let state = initialState(config, uniform);
      for (let t = 0; t < config.steps; t++) {
        const x = matrix(rows, d_in, Float64Array.from({ length: rows * d_in }, normal));
        const result = trainStep(state, x, config);
        expect(result.state.step).toBe(t + 1);
        expect(Number.isFinite(result.loss), dialect.name).toBe(true);
        expect(namesOf(result.state.params)).toEqual(namesOf(state.params));
        state = result.state;
      }
    }
  });

  test('reports the sum of its losses', () => {
    fc.assert(
      fc.property(worlds(), (world) => {
        const { loss, reconstructionLoss, auxk, penalty, penaltyCoefficient } = step(world);
        const auxiliary = auxk.reduce((sum, term) => sum + term.loss, 0);
        const expected = reconstructionLoss + 0.75 * auxiliary + penaltyCoefficient * penalty;
        expect(loss).toBe(expected);
      }),
    );
  });
});

describe('the input', () => {
  test('is multiplied by the run’s scale', () => {
    for (const dialect of [dictionaryLearning, saelens, nabeshima]) {
      const world = worldOf(dialect, 3);
      expect(step(world, { inputScale: 0.5 })).toEqual(step({ ...world, x: scale(world.x, 0.5) }));
    }
  });

  test('is x itself where nothing scales or normalises it', () => {
    const world = worldOf(dictionaryLearning, 3);
    expect(step(world).input).toBe(world.x);
  });

  test('moves the running mean of its norms, which the next step starts from', () => {
    const world = worldOf(nabeshima, 3);
    const norm = rowNorms(world.x).reduce((sum, length) => sum + length, 0) / rows;
    const { state, input } = step(world);
    expect(state.averages!.meanNorm).toBeCloseTo(0.99 * 1.5 + 0.01 * norm, 14);
    expect(input.data[0]).toBeCloseTo((world.x.data[0] * 2) / state.averages!.meanNorm, 14);
    expect(step(worldOf(saelens, 3)).state.averages!.meanNorm).toBe(1.5);
  });
});

test('b_dec starts as the geometric median of the first batch, of that alone, where the dialect says so', () => {
  const world = worldOf(withDecision(dictionaryLearning, 'encode.usesEncoderBias', false), 5);
  const start = { ...world.state, step: 0 };
  const median = geometricMedian(world.x);
  const placed = { ...start, params: { ...start.params, b_dec: median } };
  const first = step({ ...world, state: start });
  expect(first.levelLosses).toEqual(step({ ...world, state: placed }).levelLosses);
  expect(first.state).toEqual(step({ ...world, state: placed }).state);
  expect(step(world).levelLosses).not.toEqual(first.levelLosses);

  const zero = withDecision(world.dialect, 'initialise.b_dec', 'zero');
  const kept = step({ ...world, state: start }, { dialect: zero });
  expect(kept.levelLosses).toEqual(step(world).levelLosses);
});

describe('latents are', () => {
  const drawn = worldOf(saelens, 6);
  const W_dec = map(drawn.state.params.W_dec, (w, i) => w * 4 ** (Math.floor(i / d_in) - 3));
  const params = { ...drawn.state.params, W_dec };
  /** Norms differ so much that they decide which scores are largest. */
  const world: World = { ...drawn, state: { ...drawn.state, params } };
  const of = (selection: TrainConfig['selection']): StepResult => step(world, { selection, k: 1 });

  test('the k · rows largest scores of the batch, or k in each row', () => {
    const { acts, latents } = of('batch');
    const scores = selectionScores(acts, W_dec, saelens);
    expect(latents).toEqual(batchTopK(acts, 1, scores));
    expect(latents).not.toEqual(batchTopK(acts, 1));
    expect(of('row').latents).toEqual(topK(acts, 1, scores));
    expect(of('row').latents).not.toEqual(latents);
  });

  test('all positive acts', () => {
    expect(of('all').latents).toEqual(of('all').acts);
  });

  test('pre-activations above their own threshold, which latents must have', () => {
    const jump = worldOf(dictionaryLearningJumpRelu, 6);
    const { latents, pre, acts } = step(jump);
    const { threshold } = jump.state.params;
    pre.data.forEach((z, i) => {
      expect(latents.data[i]).toBe(z > threshold![i % d_sae] ? z : 0);
    });
    expect(acts.data).toEqual(pre.data.map((z) => (z > 0 ? z : 0)));
    expect(() => of('jump')).toThrow(
      new RangeError('params: expected a threshold for each latent, got none'),
    );
  });

  test('cut at thresholds of at least 0 where the dialect keeps them so, and trained from there', () => {
    const jump = worldOf(withDecision(saelensJumpRelu, 'jumpRelu.bandwidth', 1), 6);
    const threshold = Float64Array.of(-0.4, 0.2, -0.1, 0.3, 0.1, 0);
    const cut = Float64Array.of(0, 0.2, 0, 0.3, 0.1, 0);
    const withThreshold = (values: Float64Array): World => ({
      ...jump,
      state: { ...jump.state, params: { ...jump.state.params, threshold: values } },
    });
    expect(step(withThreshold(threshold))).toEqual(step(withThreshold(cut)));
    const asTrained = withDecision(jump.dialect, 'jumpRelu.keepsThresholds', 'as-trained');
    expect(step(withThreshold(threshold), { dialect: asTrained }).latents).not.toEqual(
      step(withThreshold(cut)).latents,
    );
  });
});

describe('the threshold', () => {
  test('follows the smallest selected score from the step after its start on', () => {
    const world = worldOf(saelens, 7);
    const { latents, acts, state } = step(world, { thresholdStartStep: 4 });
    const scores = selectionScores(acts, world.state.params.W_dec, saelens);
    const smallest = smallestSelected(latents, scores);
    expect(state.threshold).toBe(updateThreshold(0.25, smallest, saelens));
    expect(state.threshold).not.toBe(0.25);
    // This is step 5.
    expect(step(world, { thresholdStartStep: 5 }).state.threshold).toBe(0.25);
    expect(step(world, { thresholdStartStep: -1 }).state.threshold).toBe(state.threshold);
  });

  test('is estimated by BatchTopK and TopK, and by nothing else', () => {
    const world = worldOf(saelens, 7);
    expect(step(world, { selection: 'row', k: 2 }).state.threshold).not.toBe(0.25);
    expect(step(world, { selection: 'all' }).state.threshold).toBe(0.25);
    expect(step(worldOf(saelensJumpRelu, 7)).state.threshold).toBe(0.25);
  });
});

describe('prefixes that are drawn', () => {
  test('take the place of the run’s, with the dialect’s default weights', () => {
    for (const [dialect, levelWeights] of [
      [nabeshima, [1, 1]],
      [dictionaryLearning, [0.5, 0.5]],
    ] as const) {
      const { state, x, config } = worldOf(dialect, 9);
      const drawn = trainStep(state, x, config, { prefixes: [1, 6] });
      const set = trainStep(state, x, { ...config, prefixes: [1, 6], levelWeights });
      expect(drawn).toEqual(set);
      expect(drawn.loss).not.toBe(trainStep(state, x, config).loss);
      expect(drawn.reconstructions).toHaveLength(2);
      // The run's own keep the run's weights.
      const own = trainStep(state, x, config, {});
      expect(own.reconstructionLoss).not.toBe(
        trainStep(state, x, config, { prefixes }).reconstructionLoss,
      );
    }
  });
});

describe('dead latents', () => {
  test('are those of this step’s counts, or of those before', () => {
    const world = worldOf(dictionaryLearning, 10);
    const { latents } = step(world);
    const fires = (j: number): boolean =>
      Array.from({ length: rows }, (_, b) => latents.data[b * d_sae + j]).some((a) => a > 0);
    const firing = Array.from({ length: d_sae }, (_, j) => j).filter(fires);
    expect(firing.length).toBeGreaterThan(0);
    expect(firing.length).toBeLessThan(d_sae);
    const sinceFired = new Float64Array(d_sae).fill(16);
    const given = { ...world, state: { ...world.state, sinceFired } };
    const flags = (of: (j: number) => boolean): Uint8Array =>
      Uint8Array.from({ length: d_sae }, (_, j) => Number(of(j)));
    // 16 and five rows more.
    expect(step(given).dead).toEqual(flags((j) => !fires(j)));
    const before = withDecision(world.dialect, 'deadLatents.mask', 'previous-steps');
    expect(step(given, { dialect: before }).dead).toEqual(flags(() => false));
    expect(step(given, { dialect: before, deadAfter: 16 }).dead).toEqual(flags(() => true));
    expect(step(given).state.sinceFired).toEqual(
      Float64Array.from({ length: d_sae }, (_, j) => (fires(j) ? 0 : 16 + rows)),
    );
  });

  test('are ranked by acts, or by pre-activations where the dialect says so', () => {
    const dialect = withDecision(saelens, 'auxk.k', 512);
    const world = worldOf(dialect, 11);
    const dead = {
      ...world,
      state: { ...world.state, sinceFired: new Float64Array(d_sae).fill(99) },
    };
    const [negative] = step(dead).auxk;
    expect(negative.latents.data).toEqual(step(dead).pre.data);
    const [positive] = step(dead, { dialect: withDecision(dialect, 'auxk.values', 'acts') }).auxk;
    expect(positive.latents.data).toEqual(step(dead).acts.data);
  });
});

test('a step refuses an empty batch, and rows of another width', () => {
  const world = worldOf(dictionaryLearning, 16);
  expect(() => step({ ...world, x: matrix(0, d_in) })).toThrow(
    new RangeError('x: expected at least one row, got 0'),
  );
  expect(() => step({ ...world, x: fromRows([[1]]) })).toThrow(
    new RangeError(`x: expected d_in = ${d_in} columns, got 1`),
  );
});

import { describe, expect, test } from 'vitest';
import { dictionaryLearning, saelens, withDecision } from '../../reference/dialects.ts';
import { infer } from '../../reference/infer.ts';
import { map, matrix, norm, row, transpose } from '../../reference/matrix.ts';
import { trainConfig } from '../../reference/train-config.ts';
import {
  initialState,
  trainStep,
  type TrainConfig,
  type TrainState,
} from '../../reference/train-step.ts';
import { evaluate } from '../../synthetic/evaluate.ts';
import { createRng } from '../../synthetic/rng.ts';
import { sparseRowsBuilder } from '../../synthetic/sparse-rows.ts';
import { trainedCode } from '../../synthetic/trained-code.ts';
import { createWorld, worldNamed } from '../../synthetic/worlds/presets.ts';
import { createSampler } from '../../synthetic/worlds/world.ts';
import { rows, worldOf } from '../reference/worlds.ts';

test.each([0, 0.3])(
  'latents are those of a training step, and those that inference lets through are counted: refinement %s',
  (refinement) => {
    const dialect = withDecision(saelens, 'encode.refinement', refinement);
    const world = worldOf(dialect, 21);
    const { x, config } = world;
    const state = { ...world.state, firstThreshold: 0.4 };
    const features = sparseRowsBuilder(1);
    for (let n = 0; n < rows; n++) features.endRow();
    const { judged, thresholdL0 } = trainedCode(
      state,
      { x, features: features.finish() },
      config,
      rows,
    );
    const { latents } = trainStep(state, x, config);
    const { start, index, value } = judged.latents;
    const got = matrix(rows, config.d_sae);
    for (let n = 0; n < rows; n++) {
      for (let e = start[n]; e < start[n + 1]; e++) got.data[n * got.cols + index[e]] = value[e];
    }
    expect(got).toEqual(latents);
    const inferred = infer(x, state.params, state.threshold, dialect, 0, 0.4);
    expect(thresholdL0).toBe(inferred.latents.data.filter((latent) => latent > 0).length / rows);
  },
);

describe('the code of an exact SAE', () => {
  const tree = createWorld(worldNamed('tree'), 1);
  const { directions } = tree;
  const samples = createSampler(tree, createRng(9)).next(640);
  const meanOn = samples.features.value.reduce((sum, v) => sum + v, 0) / 640;

  // Acts are half the features: latent f reads g_f / |g_f|² less 0.5, and writes 2 g_f.
  function exactSae(k: number, threshold: number): { state: TrainState; config: TrainConfig } {
    const config = trainConfig({ d_in: 20, d_sae: 20, k, steps: 2000 });
    const readers = map(directions, (g, i) => g / norm(row(directions, Math.floor(i / 20))) ** 2);
    const params = {
      W_enc: transpose(readers),
      b_enc: new Float64Array(20).fill(-0.5),
      W_dec: map(directions, (g) => 2 * g),
      b_dec: new Float64Array(20),
    };
    return { state: { ...initialState(config, createRng(0).uniform), threshold, params }, config };
  }

  test('is the truth, by batch selection and by threshold alike', () => {
    const { state, config } = exactSae(5, 0.25);
    const { judged, thresholdL0 } = trainedCode(state, samples, config, 64);
    const evaluation = evaluate(judged, tree);
    expect(evaluation.l0).toBe(meanOn);
    expect(thresholdL0).toBe(meanOn);
    expect(evaluation.mcc).toBeCloseTo(1, 12);
    expect(evaluation.explainedVariance).toBeCloseTo(1, 12);
    expect(evaluation.absorption).toMatchObject({ full: 0, recall: 1 });
  });

  test('is selected in each batch by itself, K = trunc(k · batch)', () => {
    const { state, config } = exactSae(0.5, 0.25);
    const selected = (batch: number): number =>
      trainedCode(state, samples, config, batch).judged.latents.index.length;
    expect(selected(64)).toBe(10 * 32);
    expect(selected(3)).toBeLessThan(214 * 1 + 1); // trunc(0.5 · 3) = 1 in each of 213 batches and in the last
    expect(selected(640)).toBe(320);
  });

  test('counts every positive act while the threshold is not set, and nothing above a high one', () => {
    const { state, config } = exactSae(5, dictionaryLearning.threshold.start);
    expect(trainedCode(state, samples, config, 64).thresholdL0).toBe(meanOn);
    expect(trainedCode({ ...state, threshold: 0.6 }, samples, config, 64).thresholdL0).toBe(0);
  });
});

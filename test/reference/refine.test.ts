import { describe, expect, test } from 'vitest';
import { dictionaryLearning, saelens, withDecision } from '../../reference/dialects.ts';
import { encode, preActivations, relu } from '../../reference/encode.ts';
import { gradients } from '../../reference/gradients.ts';
import { infer } from '../../reference/infer.ts';
import { fromRows, matrix } from '../../reference/matrix.ts';
import type { SaeParams } from '../../reference/params.ts';
import { refine, refinementGradient } from '../../reference/refine.ts';
import { aboveThreshold, batchTopK, selectionScores } from '../../reference/select.ts';
import { smallestSelected, updateThreshold } from '../../reference/threshold.ts';
import { trainConfig } from '../../reference/train-config.ts';
import { initialState, trainStep } from '../../reference/train-step.ts';
import { createRng } from '../../synthetic/rng.ts';
import { difference, worldOf } from './worlds.ts';

const dialect = withDecision(dictionaryLearning, 'encode.refinement', 0.5);
const rescaled = withDecision(saelens, 'encode.refinement', 0.3);
const params: SaeParams = {
  W_enc: fromRows([
    [1, 0],
    [0, 2],
  ]),
  b_enc: Float64Array.of(0.5, 0),
  W_dec: fromRows([
    [1, 1],
    [0, 1],
  ]),
  b_dec: Float64Array.of(1, 0),
};

describe('refined pre-activations', () => {
  const x = fromRows([[3, 1]]);
  const first = fromRows([[2.5, 0]]);

  test('have a share of what the first latents leave encoded and added, without b_enc', () => {
    // x - b_dec = [2, 1], less [2.5, 2.5].
    const got = refine(fromRows([[2.5, 2]]), first, x, params, dialect);
    expect(got.residual).toEqual(fromRows([[-0.5, -1.5]]));
    expect(got.pre).toEqual(fromRows([[2.25, 0.5]]));
    expect(got.first).toBe(first);
  });

  test('see x itself where the encoder does', () => {
    const whole = withDecision(dialect, 'encode.subtractsDecoderBias', false);
    const got = refine(fromRows([[2.5, 2]]), first, x, params, whole);
    expect(got.residual).toEqual(fromRows([[0.5, -1.5]]));
  });

  test('stay as they are where the first latents leave nothing', () => {
    const exact = { ...params, W_dec: fromRows([[1, 0.5], [0, 1]]), b_dec: new Float64Array(2) }; // prettier-ignore
    const got = refine(fromRows([[2, 5]]), fromRows([[2, 0]]), fromRows([[2, 1]]), exact, dialect);
    expect(got.pre).toEqual(fromRows([[2, 5]]));
  });

  test('pass gradient to the first ones, where selected through the residual too', () => {
    const refinement = { first, residual: fromRows([[-0.5, -1.5]]), pre: matrix(1, 2) };
    const got = refinementGradient(fromRows([[4, 1]]), refinement, params, dialect);
    // u = 0.5 · [4, 2].
    expect([...got.pre.data]).toEqual([4 - 3, 1]);
    expect([...got.W_dec.data].map((g) => g + 0)).toEqual([-5, -2.5, 0, 0]);
    expect([...got.W_enc.data]).toEqual([-1, -0.25, -3, -0.75]);
    expect([...got.b_dec]).toEqual([-2, -1]);
  });
});

describe('a training step', () => {
  test('selects twice, and estimates a threshold of each selection', () => {
    const world = worldOf(rescaled, 8);
    const { x, config } = world;
    const state = { ...world.state, firstThreshold: 0.75 };
    const result = trainStep(state, x, config);
    const { W_dec } = state.params;
    const pre = preActivations(x, state.params, rescaled);
    const scores = selectionScores(relu(pre), W_dec, rescaled);
    const first = batchTopK(relu(pre), config.k, scores);
    const refined = refine(pre, first, x, state.params, rescaled).pre;
    expect(result.refinement!.first).toEqual(first);
    expect(result.pre).toEqual(refined);
    const again = selectionScores(relu(refined), W_dec, rescaled);
    expect(result.latents).toEqual(batchTopK(relu(refined), config.k, again));
    expect(result.state.firstThreshold).toBe(
      updateThreshold(0.75, smallestSelected(first, scores), rescaled),
    );
    expect(result.state.threshold).toBe(
      updateThreshold(0.25, smallestSelected(result.latents, again), rescaled),
    );
  });

  test('has neither where the dialect refines nothing', () => {
    const world = worldOf(saelens, 8);
    const { refinement, state } = trainStep(world.state, world.x, world.config);
    expect(refinement).toBeNull();
    expect(Object.keys(state)).not.toContain('firstThreshold');
  });

  test('starts the first threshold as the dialect starts the other', () => {
    const options = { d_in: 4, d_sae: 6, k: 2, steps: 4, dialect: rescaled };
    const config = trainConfig(options);
    const x = worldOf(rescaled, 8).x;
    const { state } = trainStep(initialState(config, createRng(1).uniform), x, config);
    expect(state.firstThreshold).toBeGreaterThan(0);
    const late = trainConfig({ ...options, thresholdStartStep: 3 });
    const kept = trainStep(initialState(late, createRng(1).uniform), x, late).state;
    expect(kept.firstThreshold).toBe(0);
  });

  test('refuses JumpReLU, whose thresholds would need a second training', () => {
    const options = { d_in: 4, d_sae: 6, k: 2, steps: 4, dialect, warmupSteps: 0 };
    expect(() => trainConfig({ ...options, selection: 'jump' })).toThrow(
      new RangeError(
        'selection: expected another than jump where encode.refinement is 0.5, which needs a selection of its own',
      ),
    );
  });
});

test('gradients refuse a refinement under trained thresholds', () => {
  const one = matrix(1, 2);
  const refinement = { first: one, residual: one, pre: one };
  const forward = { x: one, pre: one, latents: one, errors: [one, one], auxk: [], refinement };
  const jump = { ...params, threshold: Float64Array.of(1, 1) };
  expect(() => gradients(forward, jump, [2], Float64Array.of(0, 1), dialect)).toThrow(
    new RangeError('params: expected no trained thresholds where pre-activations are refined'),
  );
});

describe('inference', () => {
  const { state, x } = worldOf(dialect, 9);

  test('gates both selections, each by its own threshold', () => {
    const { params } = state;
    const pre = preActivations(x, params, dialect);
    const first = aboveThreshold(relu(pre), 0.6);
    const refined = refine(pre, first, x, params, dialect).pre;
    const { latents } = infer(x, params, 0.2, dialect, 0, 0.6);
    expect(latents).toEqual(aboveThreshold(relu(refined), 0.2));
    expect(latents).not.toEqual(aboveThreshold(encode(x, params, dialect), 0.2));
    expect(latents).not.toEqual(infer(x, params, 0.2, dialect, 0, 0.2).latents);
  });

  test('in units of rescaled acts sees the norms in both', () => {
    const { params } = state;
    const pre = preActivations(x, params, rescaled);
    const cut = (from: typeof pre, threshold: number): typeof pre =>
      aboveThreshold(relu(from), threshold, selectionScores(relu(from), params.W_dec, rescaled));
    const refined = refine(pre, cut(pre, 0.6), x, params, rescaled).pre;
    const expected = selectionScores(cut(refined, 0.2), params.W_dec, rescaled);
    const { latents } = infer(x, params, 0.2, rescaled, 0, 0.6);
    expect(difference(latents.data, expected.data)).toBeLessThan(1e-14);
  });

  test('needs the first threshold', () => {
    expect(() => infer(x, state.params, 0.2, dialect)).toThrow(
      new RangeError('firstThreshold: expected that of the first selection, got none'),
    );
  });
});

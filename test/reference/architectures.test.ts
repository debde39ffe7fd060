/**
 * Recorded runs of other architectures that no dialect says in full. Those that one does are replayed in replay.test.ts:
 * JumpReLU and ReLU of both libraries, and TopK of each row.
 */
import { describe, expect, test } from 'vitest';
import { readdirSync } from 'node:fs';
import { sources } from './recorded/all.ts';
import { dictionaryLearningTopKSource, saelensJumpReluSource } from './recorded/architectures.ts';
import { branches, promised } from './recorded/branches.ts';
import { tolerances } from './recorded/operators/case.ts';
import { jumpLossQuantities } from './recorded/saelens-jump-losses.ts';
import { exact, open, relativeError, replay, stepsOf } from './recorded/source.ts';
import { updateSinceFired } from '../../reference/dead-latents.ts';
import { smallestSelected, updateThreshold } from '../../reference/threshold.ts';

/** What published trainers do that no decision says: run, and the divergence. */
const divergences: Readonly<Record<string, string>> = {
  'saelens jumprelu-ste': 'tanh penalty; pre-activation loss of dead latents',
  'saelens jumprelu-quadratic': 'quadratic penalty of each row, not of the mean',
};

const runs = Object.keys(divergences).flatMap((name) =>
  (['float64', 'float32'] as const).map((dtype) => ({ id: name.split(' ')[1], dtype })),
);

describe.each(runs)('saelens $id in $dtype', ({ id, dtype }) => {
  const recording = open(saelensJumpReluSource, id, dtype);

  test('every step agrees once its own losses are added to the reference’s gradients', () => {
    let most = 0;
    for (const step of stepsOf(recording)) {
      for (const [name, got, expected] of jumpLossQuantities(recording, step)) {
        const error = relativeError(got, expected);
        const tolerance = exact.has(name) ? 0 : tolerances[dtype];
        expect(error, `${name} at step ${step.t}`).toBeLessThanOrEqual(tolerance);
        most = Math.max(most, error);
      }
    }
    if (dtype === 'float32') expect(most).toBeGreaterThan(1e-9);
    const unused = recording.names.filter((name) => !recording.used.has(name));
    expect(unused).toEqual([]);
  });

  test('the branches that its manifest lists are taken in just those steps', () => {
    const config = saelensJumpReluSource.configOf(recording);
    const flags = promised('saelens', id, dtype);
    const taken: Record<string, number[]> = {};
    for (const flag of Object.keys(flags)) taken[flag] = [];
    for (const step of stepsOf(recording)) {
      const { t, s, before } = step;
      const state = saelensJumpReluSource.stateAt(recording, t, before);
      const result = replay(saelensJumpReluSource, recording, config, step);
      // Its losses change gradients: whether one is clipped is read from the norm that was recorded and compared above.
      const seen = { ...result, gradientNorm: recording.values('grad_norm')[s] };
      const own = { before: state, x: result.input, result: seen, config, draws: {} };
      for (const flag of Object.keys(flags)) {
        const of =
          flag === 'pre-act-loss' ? recording.values('pre_act_loss')[s] !== 0 : branches[flag](own);
        if (of) taken[flag].push(t);
      }
    }
    expect(taken).toEqual(flags);
  });
});

describe('TopK of dictionary_learning', () => {
  const source = dictionaryLearningTopKSource;
  const recording = open(source, 'top-k', 'float64');
  const config = source.configOf(recording);

  test('counts zeros that it selects as fired, and the dialect does not', () => {
    const differs = stepsOf(recording).filter((step) => {
      const { latents } = replay(source, recording, config, step);
      const counts = recording.values('tokens_since_fired', step.before);
      const own = updateSinceFired(counts, latents, config.dialect);
      return relativeError(own, recording.values('tokens_since_fired', step.after)) > 0;
    });
    expect(differs.length).toBeGreaterThan(0);
  });

  test('averages the rows’ smallest latents for its threshold, and the dialect takes the batch’s', () => {
    const differs = stepsOf(recording).filter((step) => {
      if (step.t <= config.thresholdStartStep) return false;
      const { latents } = replay(source, recording, config, step);
      const before = recording.values('threshold')[step.before];
      const own = updateThreshold(before, smallestSelected(latents), config.dialect);
      return relativeError([own], [recording.values('threshold')[step.after]]) > 1e-9;
    });
    expect(differs.length).toBeGreaterThan(0);
  });
});

test('every recording in conformance/vectors is replayed', () => {
  const replayed = [
    ...sources.flatMap(({ folder, runs: ids }) => ids.map((id) => `${folder} ${id}`)),
    ...Object.keys(divergences),
  ];
  const recorded = [...new Set(sources.map(({ folder }) => folder))].flatMap((folder) =>
    readdirSync(new URL(`../../conformance/vectors/${folder}/`, import.meta.url))
      .filter((name) => name.endsWith('.float64.safetensors') && !name.startsWith('operators'))
      .map((name) => `${folder} ${name.replace('.float64.safetensors', '')}`),
  );
  expect(replayed.sort()).toEqual(recorded.sort());
});

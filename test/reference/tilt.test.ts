import { describe, expect, test } from 'vitest';
import { withDecision, saelens } from '../../reference/dialects.ts';
import { suffixSums } from '../../reference/gradients.ts';
import { fromRows } from '../../reference/matrix.ts';
import { rowWeights } from '../../reference/tilt.ts';
import { trainStep } from '../../reference/train-step.ts';
import { worldOf } from './worlds.ts';

describe('rows weigh', () => {
  const error = fromRows([
    [1, 0],
    [1, 1],
    [0, 3],
  ]);

  test('alike without a tilt, and without an error', () => {
    expect([...rowWeights(error, 0)]).toEqual([1 / 3, 1 / 3, 1 / 3]);
    expect([...rowWeights(fromRows([[0], [0]]), 5)]).toEqual([0.5, 0.5]);
  });

  test('as e to the tilt times their squared error over its mean', () => {
    // Squares 1, 2 and 9 of mean 4.
    const shares = [0.25, 0.5, 2.25].map((share) => Math.exp(0.5 * share));
    const total = shares.reduce((sum, share) => sum + share, 0);
    rowWeights(error, 0.5).forEach((weight, b) =>
      expect(weight).toBeCloseTo(shares[b] / total, 15),
    );
  });

  test('the same whatever the unit', () => {
    const doubled = { ...error, data: error.data.map((value) => 2 * value) };
    expect(rowWeights(doubled, 0.5)).toEqual(rowWeights(error, 0.5));
  });
});

test('each level’s residual has the weights of that level', () => {
  const errors = [fromRows([[1], [2]]), fromRows([[3], [1]])];
  const [first, second] = errors.map((error) => rowWeights(error, 0.7));
  const sums = suffixSums(errors, Float64Array.of(0.5, 2), { innerLevels: 'attached', tilt: 0.7 });
  const last = [4 * second[0] * 3, 4 * second[1]];
  expect([...sums[1].data]).toEqual(last);
  expect([...sums[0].data]).toEqual([first[0] + last[0], first[1] * 2 + last[1]]);
});

test('a step with a tilt of 0 is the step without one, and a tilt is seen', () => {
  const { state, x, config } = worldOf(saelens, 4);
  const plain = trainStep(state, x, config);
  const tilted = (tilt: number): typeof plain =>
    trainStep(state, x, { ...config, dialect: withDecision(saelens, 'loss.tilt', tilt) });
  expect(tilted(0)).toEqual(plain);
  expect(tilted(0.5).reconstructionLoss).toBeGreaterThan(plain.reconstructionLoss);
});

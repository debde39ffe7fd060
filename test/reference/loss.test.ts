import { describe, expect, test } from 'vitest';
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import {
  defaultLevelWeights,
  levelCoefficients,
  levelErrors,
  levelLosses,
  reconstructionLoss,
} from '../../reference/loss.ts';
import { fromRows } from '../../reference/matrix.ts';

const dialectWith = (loss: Partial<Dialect['loss']>): Dialect => ({
  ...dictionaryLearning,
  loss: { ...dictionaryLearning.loss, ...loss },
});

describe('level coefficients', () => {
  const weights = [0.25, 0.5, 1];

  test('are weights averaged over levels, with 0 for b_dec alone', () => {
    expect([...levelCoefficients(weights, 4, dictionaryLearning)]).toEqual([
      0,
      0.25 * (1 / 3),
      0.5 * (1 / 3),
      1 / 3,
    ]);
  });

  test('with default weights are 1 / G²', () => {
    const [first] = defaultLevelWeights(5, dictionaryLearning);
    expect(first).toBe(1 / 5);
    expect(
      levelCoefficients(defaultLevelWeights(5, dictionaryLearning), 3, dictionaryLearning)[5],
    ).toBeCloseTo(1 / 25, 15);
  });

  test('follow each decision of a dialect', () => {
    const of = (loss: Partial<Dialect['loss']>): number[] => [
      ...levelCoefficients(weights, 4, dialectWith(loss)),
    ];
    expect(of({ overLevels: 'sum' })).toEqual([0, 0.25, 0.5, 1]);
    expect(of({ overLevels: 'sum', overDimensions: 'mean' })).toEqual([0, 0.0625, 0.125, 0.25]);
    expect(of({ overLevels: 'sum', emptyPrefix: true })).toEqual([1, 0.25, 0.5, 1]);
    expect(of({ emptyPrefix: true })).toEqual([0.25, 0.0625, 0.125, 0.25]);
    expect(of({ emptyPrefix: true, overDimensions: 'mean' })).toEqual([
      0.0625, 0.015625, 0.03125, 0.0625,
    ]);
    expect(defaultLevelWeights(3, dialectWith({ defaultWeight: 'one' }))).toEqual([1, 1, 1]);
  });

  test.each([-1, NaN, Infinity])('refuse a weight of %s, naming its level', (weight) => {
    expect(() => levelCoefficients([1, weight], 4, dictionaryLearning)).toThrow(
      new RangeError(`levelWeights: expected numbers >= 0, got ${weight} at level 2`),
    );
  });
});

describe('level losses', () => {
  const x = fromRows([
    [1, 2],
    [3, 4],
  ]);
  const b_dec = Float64Array.of(1, 1);
  const reconstructions = [
    fromRows([
      [1, 0],
      [3, 4],
    ]),
    x,
  ];

  test('are squared errors summed over d_in and averaged over rows, b_dec alone first', () => {
    const errors = levelErrors(x, b_dec, reconstructions);
    expect([...errors[0].data]).toEqual([0, -1, -2, -3]);
    expect([...errors[1].data]).toEqual([0, -2, 0, 0]);
    expect([...levelLosses(errors)]).toEqual([7, 2, 0]);
  });

  test('weigh rows by a softmax of their errors where the loss is tilted', () => {
    const errors = levelErrors(x, b_dec, reconstructions);
    // Rows' squared errors 1 and 13 of mean 7; 4 and 0 of mean 2; none.
    const of = (a: number, b: number, tilt: number): number => {
      const mean = (a + b) / 2;
      const shares = [Math.exp((tilt * a) / mean), Math.exp((tilt * b) / mean)];
      return (shares[0] * a + shares[1] * b) / (shares[0] + shares[1]);
    };
    for (const tilt of [0.002, 1, 40]) {
      const [first, second, none] = levelLosses(errors, tilt);
      expect(first).toBeCloseTo(of(1, 13, tilt), 12);
      expect(second).toBeCloseTo(of(4, 0, tilt), 12);
      expect(none).toBe(0);
    }
    // The largest error alone, without an overflow on the way.
    expect([...levelLosses(errors, 1e6)]).toEqual([13, 4, 0]);
  });

  test('add up with their coefficients', () => {
    expect(reconstructionLoss(Float64Array.of(7, 2, 1), Float64Array.of(0, 0.5, 3))).toBe(4);
  });
});

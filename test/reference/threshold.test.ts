import { describe, expect, test } from 'vitest';
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { fromRows, matrix } from '../../reference/matrix.ts';
import { smallestSelected, updateThreshold } from '../../reference/threshold.ts';

describe('the smallest selected latent', () => {
  const latents = fromRows([
    [0, 3, 0],
    [0.25, 0, 2],
  ]);

  test('is the smallest positive one of the batch, not of a row', () => {
    expect(smallestSelected(latents)).toBe(0.25);
  });

  test('is null where nothing is positive', () => {
    expect(smallestSelected(matrix(2, 3))).toBeNull();
  });

  test('is measured in scores where those were ranked', () => {
    const scores = fromRows([
      [0.1, 3, 0.1],
      [9, 0.1, 8],
    ]);
    expect(smallestSelected(latents, scores)).toBe(3);
  });
});

describe('the threshold', () => {
  const dialectWith = (choices: Partial<Dialect['threshold']>): Dialect => ({
    ...dictionaryLearning,
    threshold: { ...dictionaryLearning.threshold, ...choices },
  });

  test('is first assigned, then averaged', () => {
    expect(updateThreshold(-1, 0.25, dictionaryLearning)).toBe(0.25);
    expect(updateThreshold(0.25, 0.5, dictionaryLearning)).toBe(0.999 * 0.25 + (1 - 0.999) * 0.5);
    expect(updateThreshold(0, 2, dialectWith({ decay: 0.5 }))).toBe(1);
  });

  test('shrinks where nothing is positive, or is kept', () => {
    expect(updateThreshold(2, null, dictionaryLearning)).toBe(0.999 * 2);
    expect(updateThreshold(2, null, dialectWith({ whenEmpty: 'keep' }))).toBe(2);
  });

  test('is averaged from its start in dialects that do', () => {
    const average = dialectWith({ start: 0, first: 'average', decay: 0.99 });
    expect(updateThreshold(0, 1, average)).toBeCloseTo(0.01, 15);
    expect(updateThreshold(-1, 1, dialectWith({ first: 'average' }))).toBeCloseTo(-0.998, 15);
  });

  test('refuses a first update without a positive latent', () => {
    for (const whenEmpty of ['decay', 'keep'] as const) {
      expect(() => updateThreshold(-1, null, dialectWith({ whenEmpty }))).toThrow(
        new RangeError('threshold: expected a positive latent for its first update, got none'),
      );
    }
  });
});

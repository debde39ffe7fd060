import { describe, expect, test } from 'vitest';
import { deadMask, updateSinceFired } from '../../reference/dead-latents.ts';
import { dictionaryLearning, type Dialect } from '../../reference/dialects.ts';
import { fromRows, matrix } from '../../reference/matrix.ts';

const dialectWith = (choices: Partial<Dialect['deadLatents']>): Dialect => ({
  ...dictionaryLearning,
  deadLatents: { ...dictionaryLearning.deadLatents, ...choices },
});
const latents = fromRows([
  [0, 1, 0, 2],
  [0, 0, 0, 3],
  [0, 0, 0, 1],
]);

describe('tokens since fired', () => {
  test('are 0 for a latent positive in any row; the others age by the number of rows', () => {
    const before = Float64Array.of(5, 7, 0, 9);
    expect([...updateSinceFired(before, latents, dictionaryLearning)]).toEqual([8, 0, 3, 0]);
    expect([...before]).toEqual([5, 7, 0, 9]);
  });

  test('are steps in dialects that count steps', () => {
    const steps = dialectWith({ unit: 'steps' });
    expect([...updateSinceFired(Float64Array.of(5, 7, 0, 9), latents, steps)]).toEqual([
      6, 0, 1, 0,
    ]);
  });

  test('of a single row', () => {
    expect([
      ...updateSinceFired(new Float64Array(2), fromRows([[0, 4]]), dictionaryLearning),
    ]).toEqual([1, 0]);
    expect([...updateSinceFired(new Float64Array(2), matrix(1, 2), dictionaryLearning)]).toEqual([
      1, 1,
    ]);
  });
});

describe('a latent is dead', () => {
  const counts = Float64Array.of(9, 10, 11, 0);

  test('when its count is at least the limit', () => {
    expect([...deadMask(counts, 10, dictionaryLearning)]).toEqual([0, 1, 1, 0]);
  });

  test('only above the limit in dialects that say so', () => {
    expect([...deadMask(counts, 10, dialectWith({ test: 'above' }))]).toEqual([0, 0, 1, 0]);
  });
});

import { describe, expect, test } from 'vitest';
import type { Decision } from '../../reference/decisions.ts';
import {
  applies,
  decided,
  decisionList,
  dialectFrom,
  dialects,
  dictionaryLearning,
  dictionaryLearningJumpRelu,
  nabeshima,
  saelens,
  saelensJumpRelu,
  withDecision,
  type NamedDecision,
} from '../../reference/dialects.ts';

const named = (path: string): NamedDecision => decisionList.find((one) => one.path === path)!;

describe('a decision by its path', () => {
  test('is what the dialect decides there', () => {
    expect(decided(dictionaryLearning, 'loss.overLevels')).toBe('mean');
    expect(decided(saelens, 'encode.usesEncoderBias')).toBe(true);
    expect(decided(nabeshima, 'adam.beta1')).toBe(0.5);
  });

  test.each([
    'loss',
    'loss.',
    'loss.nothing',
    'nothing.overLevels',
    'name.length',
    'loss.toString',
    '',
  ])('that is not in the catalogue is refused: "%s"', (path) => {
    const refusal = new RangeError(`decision: expected a known one, got "${path}"`);
    expect(() => decided(dictionaryLearning, path)).toThrow(refusal);
    expect(() => withDecision(dictionaryLearning, path, 'sum')).toThrow(refusal);
  });

  test('changes alone', () => {
    const changed = withDecision(dictionaryLearning, 'loss.overLevels', 'sum');
    expect(changed).toEqual({
      ...dictionaryLearning,
      loss: { ...dictionaryLearning.loss, overLevels: 'sum' },
    });
    expect(dictionaryLearning.loss.overLevels).toBe('mean');
  });
});

describe('a decision applies', () => {
  test('where it depends on no other', () => {
    expect(applies(named('loss.overLevels'), nabeshima)).toBe(true);
  });

  test('where the one it depends on is as it needs', () => {
    expect(applies(named('auxk.k'), saelens)).toBe(true);
    expect(applies(named('auxk.k'), nabeshima)).toBe(false);
    expect(applies(named('jumpRelu.bandwidth'), saelensJumpRelu)).toBe(true);
    expect(applies(named('jumpRelu.bandwidth'), saelens)).toBe(false);
  });

  test('where one of several is as it needs', () => {
    const target = named('defaults.targetL0');
    expect(applies(target, nabeshima)).toBe(true); // controlled
    expect(applies(target, dictionaryLearningJumpRelu)).toBe(true); // a penalty with a target
    expect(applies(target, saelensJumpRelu)).toBe(false);
  });

  test('only where that one is in the catalogue', () => {
    const decision: Decision = {
      ...named('auxk.k'),
      onlyIf: [{ decision: 'auxk.values', is: ['acts'] }],
    };
    expect(applies(decision, dictionaryLearning)).toBe(true);
    expect(applies(decision, saelens)).toBe(false);
    const unknown = { ...decision, onlyIf: [{ decision: 'auxk.colour', is: ['red'] }] };
    expect(() => applies(unknown, saelens)).toThrow(
      new RangeError('decision: expected a known one, got "auxk.colour"'),
    );
  });

  test('only where that one applies itself', () => {
    expect(applies(named('penalty.controllerStep'), nabeshima)).toBe(true);
    const none = withDecision(nabeshima, 'penalty.kind', 'none');
    expect(decided(none, 'penalty.coefficient')).toBe('controlled');
    expect(applies(named('penalty.controllerStep'), none)).toBe(false);
  });
});

describe('a dialect of one’s own', () => {
  test('is the one it extends, with what it decides otherwise', () => {
    const mine = dialectFrom({
      name: 'mine',
      extends: 'saelens',
      auxk: { residual: 'attached', k: 3 },
      encode: { usesEncoderBias: false },
    });
    expect(mine).toEqual({
      ...saelens,
      name: 'mine',
      source: 'extends saelens',
      readFrom: {},
      auxk: { ...saelens.auxk, residual: 'attached', k: 3 },
      encode: { ...saelens.encode, usesEncoderBias: false },
    });
  });

  test('may say where it is from', () => {
    expect(dialectFrom({ name: 'a', extends: 'paper', source: 'my code' })).toEqual({
      ...dialects['paper'],
      name: 'a',
      source: 'my code',
      readFrom: {},
    });
  });

  const known = Object.keys(dialects).join(', ');
  const sections =
    'input, encode, select, inference, threshold, prefixes, loss, penalty, auxk, deadLatents, jumpRelu, decoderNorm, clip, adam, learningRate, latentOrder, initialise, defaults';
  const base = { name: 'mine', extends: 'saelens' };
  test.each<[unknown, string]>([
    [null, 'dialect: expected an object, got null'],
    ['saelens', 'dialect: expected an object, got "saelens"'],
    [[1], 'dialect: expected an object, got [1]'],
    [undefined, 'dialect: expected an object, got undefined'],
    [{ extends: 'saelens' }, 'dialect.name: expected a name, got undefined'],
    [{ ...base, name: '' }, 'dialect.name: expected a name, got ""'],
    [{ ...base, name: 3 }, 'dialect.name: expected a name, got 3'],
    [{ ...base, name: 'paper' }, "dialect.name: paper is a published dialect's; expected another"],
    [{ name: 'mine' }, `dialect.extends: expected one of ${known}, got undefined`],
    [{ ...base, extends: 3 }, `dialect.extends: expected one of ${known}, got 3`],
    [{ ...base, extends: 'mine' }, `dialect: expected one of ${known}, got "mine"`],
    [{ ...base, source: 3 }, 'dialect.source: expected a text, got 3'],
    [{ ...base, losses: {} }, `dialect.losses: expected one of ${sections}`],
    [{ ...base, readFrom: {} }, `dialect.readFrom: expected one of ${sections}`],
    [{ ...base, loss: null }, 'dialect.loss: expected an object of decisions, got null'],
    [{ ...base, loss: 'sum' }, 'dialect.loss: expected an object of decisions, got "sum"'],
    [{ ...base, loss: ['sum'] }, 'dialect.loss: expected an object of decisions, got ["sum"]'],
    [
      { ...base, loss: { over: 'sum' } },
      'dialect.loss.over: no such decision; expected one of emptyPrefix, overDimensions, overLevels, defaultWeight, innerLevels, tilt',
    ],
    [
      { ...base, loss: { overLevels: 'product' } },
      'dialect.loss.overLevels: expected "sum" or "mean", got "product"',
    ],
    [
      { ...base, encode: { usesEncoderBias: 'true' } },
      'dialect.encode.usesEncoderBias: expected true or false, got "true"',
    ],
    [
      { ...base, auxk: { k: -1 } },
      'dialect.auxk.k: expected "half-d_in" or a whole number >= 0, got -1',
    ],
    [
      { ...base, auxk: { k: 0.5 } },
      'dialect.auxk.k: expected "half-d_in" or a whole number >= 0, got 0.5',
    ],
    [
      { ...base, threshold: { start: NaN } },
      'dialect.threshold.start: expected a finite number, got null',
    ],
    [
      { ...base, threshold: { start: '0' } },
      'dialect.threshold.start: expected a finite number, got "0"',
    ],
    [{ ...base, input: { epsilon: -1 } }, 'dialect.input.epsilon: expected a number >= 0, got -1'],
    [{ ...base, clip: { maxNorm: 0 } }, 'dialect.clip.maxNorm: expected a number > 0, got 0'],
    [
      { ...base, adam: { beta1: 1 } },
      'dialect.adam.beta1: expected a number from 0 to below 1, got 1',
    ],
    [
      { ...base, adam: { beta1: -0.1 } },
      'dialect.adam.beta1: expected a number from 0 to below 1, got -0.1',
    ],
    [
      { ...base, defaults: { thresholdStartStep: -2 } },
      'dialect.defaults.thresholdStartStep: expected a whole number >= -1, got -2',
    ],
    [
      { ...base, defaults: { thresholdStartStep: 0.5 } },
      'dialect.defaults.thresholdStartStep: expected a whole number >= -1, got 0.5',
    ],
  ])('is refused: %j', (json, message) => {
    expect(() => dialectFrom(json)).toThrow(new RangeError(message));
  });

  test.each<[string, string, number]>([
    ['threshold', 'start', -3.5],
    ['input', 'epsilon', 0],
    ['clip', 'maxNorm', 1e-9],
    ['adam', 'beta1', 0],
    ['adam', 'beta2', 0.999],
    ['auxk', 'k', 0],
    ['defaults', 'thresholdStartStep', -1],
    ['defaults', 'deadAfter', 0.5],
  ])('may decide %s.%s to be %s', (section, member, value) => {
    const mine = dialectFrom({ ...base, [section]: { [member]: value } });
    expect(decided(mine, `${section}.${member}`)).toBe(value);
  });
});

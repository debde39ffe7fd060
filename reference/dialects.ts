/**
 * Dialects: the published trainers as records of choices.
 *
 * Implementations of the same paper differ in decisions that change numbers. Each decision is one field with one meaning
 * (decisions.ts); the operators read the field and nothing else, so a trainer is data and not a branch spread over files.
 * @module
 */
import { decisions, type Decision, type NumberRange, type Section } from './decisions.ts';
import type { Dialect } from './dialect.ts';
import { bussmann } from './dialects/bussmann.ts';
import {
  dictionaryLearning,
  dictionaryLearningJumpRelu,
  dictionaryLearningRelu,
} from './dialects/dictionary-learning.ts';
import { nabeshima } from './dialects/nabeshima.ts';
import { paper } from './dialects/paper.ts';
import { saelens, saelensJumpRelu, saelensRelu } from './dialects/saelens.ts';

export type { Dialect } from './dialect.ts';
export { bussmann } from './dialects/bussmann.ts';
export {
  dictionaryLearning,
  dictionaryLearningJumpRelu,
  dictionaryLearningRelu,
} from './dialects/dictionary-learning.ts';
export { nabeshima } from './dialects/nabeshima.ts';
export { paper } from './dialects/paper.ts';
export { saelens, saelensJumpRelu, saelensRelu } from './dialects/saelens.ts';

/** Every published dialect by name: the five that train Matryoshka SAEs, then other architectures' trainers. */
export const dialects: Readonly<Record<string, Dialect>> = Object.fromEntries(
  [
    dictionaryLearning,
    bussmann,
    saelens,
    nabeshima,
    paper,
    dictionaryLearningJumpRelu,
    dictionaryLearningRelu,
    saelensJumpRelu,
    saelensRelu,
  ].map((dialect) => [dialect.name, dialect]),
);

/** @throws {@link RangeError} listing the known names. */
export function dialectNamed(name: string): Dialect {
  const found = Object.hasOwn(dialects, name) ? dialects[name] : undefined;
  if (found === undefined) {
    throw new RangeError(
      `dialect: expected one of ${Object.keys(dialects).join(', ')}, got ${JSON.stringify(name)}`,
    );
  }
  return found;
}

/** What a dialect may decide a decision to be. */
export type Value = string | number | boolean;

/** A decision by its path, such as `loss.overLevels`. */
export interface NamedDecision extends Decision {
  readonly path: string;
}

/** Every decision with its path, in the order of a training step. */
export const decisionList: readonly NamedDecision[] = Object.entries(decisions).flatMap(
  ([section, members]) =>
    Object.entries(members as Readonly<Record<string, Decision>>).map(([name, decision]) => ({
      ...decision,
      path: `${section}.${name}`,
    })),
);

/** What a dialect decides at a path. @throws {@link RangeError} if there is no such decision. */
export function decided(dialect: Dialect, path: string): Value {
  const [section, name] = path.split('.');
  const values = sectionOf(dialect, section);
  if (values === undefined || !Object.hasOwn(values, name)) {
    throw new RangeError(`decision: expected a known one, got ${JSON.stringify(path)}`);
  }
  return values[name];
}

/** The dialect with one decision changed. */
export function withDecision(dialect: Dialect, path: string, value: Value): Dialect {
  decided(dialect, path);
  const [section, name] = path.split('.');
  return { ...dialect, [section]: { ...sectionOf(dialect, section), [name]: value } };
}

/** Whether a decision changes anything, given the dialect's others. */
export function applies(decision: Decision, dialect: Dialect): boolean {
  if (decision.onlyIf === undefined) return true;
  return decision.onlyIf.some(({ decision: path, is }) => {
    const parent = decisionList.find((other) => other.path === path);
    const holds = is.includes(decided(dialect, path) as string | boolean);
    return holds && parent !== undefined && applies(parent, dialect);
  });
}

/**
 * A user's own dialect: `{ "name", "extends", ...sections }`, where any decision left out is as in the dialect it extends.
 * @param json - parsed JSON.
 * @throws {@link RangeError} naming the field that is unknown, missing or not allowed, its value, and what is.
 * @example dialectFrom({ name: 'mine', extends: 'saelens', auxk: { residual: 'attached' } })
 */
export function dialectFrom(json: unknown): Dialect {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new RangeError(`dialect: expected an object, got ${JSON.stringify(json)}`);
  }
  const { name, extends: base, source, ...sections } = json as Readonly<Record<string, unknown>>;
  if (typeof name !== 'string' || name === '') {
    throw new RangeError(`dialect.name: expected a name, got ${JSON.stringify(name)}`);
  }
  if (Object.hasOwn(dialects, name)) {
    throw new RangeError(`dialect.name: ${name} is a published dialect's; expected another`);
  }
  if (typeof base !== 'string') {
    throw new RangeError(
      `dialect.extends: expected one of ${Object.keys(dialects).join(', ')}, got ${JSON.stringify(base)}`,
    );
  }
  const parent = dialectNamed(base);
  if (source !== undefined && typeof source !== 'string') {
    throw new RangeError(`dialect.source: expected a text, got ${JSON.stringify(source)}`);
  }
  let dialect: Dialect = { ...parent, name, source: source ?? `extends ${base}`, readFrom: {} };
  for (const [section, values] of Object.entries(sections)) {
    if (!Object.hasOwn(decisions, section)) {
      throw new RangeError(
        `dialect.${section}: expected one of ${Object.keys(decisions).join(', ')}`,
      );
    }
    if (typeof values !== 'object' || values === null || Array.isArray(values)) {
      throw new RangeError(
        `dialect.${section}: expected an object of decisions, got ${JSON.stringify(values)}`,
      );
    }
    for (const [member, value] of Object.entries(values as Readonly<Record<string, unknown>>)) {
      requireValue(`${section}.${member}`, value);
      dialect = withDecision(dialect, `${section}.${member}`, value as Value);
    }
  }
  return dialect;
}

/** @throws {@link RangeError} if the decision is unknown or may not be this value. */
function requireValue(path: string, value: unknown): void {
  const decision = decisionList.find((known) => known.path === path);
  if (decision === undefined) {
    const [section] = path.split('.');
    const known = Object.keys(decisions[section as Section]).join(', ');
    throw new RangeError(`dialect.${path}: no such decision; expected one of ${known}`);
  }
  if (decision.values.includes(value)) return;
  const { number } = decision;
  if (number !== undefined && typeof value === 'number' && isWithin(value, number)) return;
  const allowed = [
    ...decision.values.map((known) => JSON.stringify(known)),
    ...(number === undefined ? [] : [inWords[number]]),
  ];
  throw new RangeError(
    `dialect.${path}: expected ${allowed.join(' or ')}, got ${JSON.stringify(value)}`,
  );
}

const inWords: Readonly<Record<NumberRange, string>> = {
  any: 'a finite number',
  '>= 0': 'a number >= 0',
  '> 0': 'a number > 0',
  '0 to 1': 'a number from 0 to below 1',
  'whole >= 0': 'a whole number >= 0',
  'whole >= -1': 'a whole number >= -1',
};

function isWithin(value: number, range: NumberRange): boolean {
  if (!Number.isFinite(value)) return false;
  switch (range) {
    case 'any':
      return true;
    case '>= 0':
      return value >= 0;
    case '> 0':
      return value > 0;
    case '0 to 1':
      return value >= 0 && value < 1;
    case 'whole >= 0':
      return Number.isInteger(value) && value >= 0;
    case 'whole >= -1':
      return Number.isInteger(value) && value >= -1;
  }
}

function sectionOf(dialect: Dialect, section: string): Readonly<Record<string, Value>> | undefined {
  if (!Object.hasOwn(decisions, section)) return undefined;
  return dialect[section as Section];
}

/**
 * What `matryoshka run` knows of an operator: its tensors, its configuration, and the reference function behind it.
 * @module
 */
import { decided, decisionList, dialectFrom, type Dialect } from '../../reference/dialects.ts';
import { matrix, type Matrix } from '../../reference/matrix.ts';
import { UsageError } from '../../training/usage-error.ts';
import type { Tensor, Tensors } from '../kernel.ts';

/**
 * A tensor in words: its shape, then its meaning. `(…, d_in)` takes any leading dimensions, which are flattened to rows
 * and restored in outputs; ` or ` separates shapes; a size named twice must be the same twice.
 */
export type TensorWords = string;

export interface TensorInput {
  readonly words: TensorWords;
  /** When it may be left out; never, if this is. */
  readonly optional?: string;
}

export type SettingValue = number | string | boolean | null | readonly number[];

/** One key of the configuration. */
export interface Setting {
  readonly meaning: string;
  /** What its JSON must be, in words. */
  readonly expected: string;
  readonly accepts: (value: unknown) => boolean;
  /** Its default in words; none if it must be given. */
  readonly otherwise?: string;
  /** The default's value, if the operator itself does not know it. */
  readonly fallback?: (dialect: Dialect) => SettingValue;
  /** The decision of the dialect that it replaces. */
  readonly decision?: string;
}

export interface RunOperator {
  /** Kebab-case; where the conformance suite knows the operator, its name there. */
  readonly name: string;
  readonly summary: string;
  readonly inputs: Readonly<Record<string, TensorInput>>;
  readonly outputs: Readonly<Record<string, TensorWords>>;
  readonly config: Readonly<Record<string, Setting>>;
  /** The configuration with every default filled in, where `fallback` does not say them all. */
  readonly settings?: (given: Given) => Readonly<Record<string, SettingValue>>;
  /** @throws RangeError where the reference refuses. */
  readonly run: (given: Given) => Tensors;
}

/** A checked call. */
export interface Given {
  readonly dialect: Dialect;
  readonly config: Readonly<Record<string, SettingValue>>;
  readonly tensors: Tensors;
  /** Leading dimensions of the tensors that may have any. */
  readonly lead: readonly number[];
  /** Sizes by name, such as `d_sae`. */
  readonly sizes: Readonly<Record<string, number>>;
  /** Put in front of messages. */
  readonly where: string;
}

const isNumber = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value);
const isNumbers = (value: unknown): boolean => Array.isArray(value) && value.every(isNumber);

export const aNumber = (meaning: string): Setting => ({
  meaning,
  expected: 'a number',
  accepts: isNumber,
});

export const aWhole = (meaning: string, least = 0): Setting => ({
  meaning,
  expected: `a whole number >= ${least}`,
  accepts: (value) => Number.isSafeInteger(value) && (value as number) >= least,
});

export const numbers = (meaning: string): Setting => ({
  meaning,
  expected: 'a list of numbers',
  accepts: isNumbers,
});

export const aFlag = (meaning: string): Setting => ({
  meaning,
  expected: 'true or false',
  accepts: (value) => typeof value === 'boolean',
});

export const oneOf = (words: readonly string[], meaning: string): Setting => ({
  meaning,
  expected: words.map((word) => JSON.stringify(word)).join(' or '),
  accepts: (value) => typeof value === 'string' && words.includes(value),
});

/** The same setting, which may also be null. */
export const orNull = (setting: Setting): Setting => ({
  ...setting,
  expected: `${setting.expected} or null`,
  accepts: (value) => value === null || setting.accepts(value),
});

/** The same setting, which may be left out. */
export function optional(
  setting: Setting,
  otherwise: string,
  fallback?: Setting['fallback'],
): Setting {
  return { ...setting, otherwise, ...(fallback === undefined ? {} : { fallback }) };
}

/** A number that is a decision of the dialect, and may be given in its place. */
export const decisionNumber = (path: string): Setting => decision(path, 'a number', isNumber);

/** A word that is a decision of the dialect, and may be given in its place. */
export function decisionWord(path: string, words: readonly string[]): Setting {
  const { expected, accepts } = oneOf(words, '');
  return decision(path, expected, accepts);
}

function decision(path: string, expected: string, accepts: Setting['accepts']): Setting {
  const { meaning } = decisionList.find((known) => known.path === path)!;
  return {
    meaning: meaning.replace(/\.$/, ''),
    expected,
    accepts,
    otherwise: `the dialect’s ${path}`,
    fallback: (dialect) => decided(dialect, path),
    decision: path,
  };
}

/** The dialect with a decision replaced. @throws RangeError if it may not be that. */
export function replaced(dialect: Dialect, path: string, value: SettingValue): Dialect {
  const [section, member] = path.split('.') as ['adam', 'beta1'];
  const probe = dialectFrom({
    name: 'configuration',
    extends: 'dictionary_learning',
    [section]: { [member]: value },
  });
  return { ...dialect, [section]: { ...dialect[section], [member]: probe[section][member] } };
}

export const numberOf = ({ config }: Given, key: string): number => config[key] as number;
export const listOf = ({ config }: Given, key: string): readonly number[] =>
  config[key] as readonly number[];
export const has = ({ tensors }: Given, name: string): boolean => Object.hasOwn(tensors, name);

/** Leading dimensions flattened to rows. */
export function rowsOf(given: Given, name: string): Matrix {
  const { shape, data } = needed(given, name);
  const cols = shape[shape.length - 1];
  return matrix(data.length / cols, cols, data.slice());
}

export function vectorOf(given: Given, name: string): Float64Array {
  return needed(given, name).data.slice();
}

export function scalarOf(given: Given, name: string): number {
  return needed(given, name).data[0];
}

/** The matrices along the first dimension, the rest of it flattened to rows. */
export function matricesOf(given: Given, name: string): Matrix[] {
  const { shape, data } = needed(given, name);
  const cols = shape[shape.length - 1];
  const size = data.length / shape[0];
  return Array.from({ length: shape[0] }, (_, g) =>
    matrix(size / cols, cols, data.slice(g * size, (g + 1) * size)),
  );
}

/** The leading dimensions of the call, restored. */
export function restored(given: Given, a: Matrix): Tensor {
  return { shape: [...given.lead, a.cols], data: a.data };
}

/** Several matrices, leading dimensions restored in each. */
export function stacked(given: Given, all: readonly Matrix[]): Tensor {
  const data = new Float64Array(all.reduce((sum, each) => sum + each.data.length, 0));
  let at = 0;
  for (const each of all) {
    data.set(each.data, at);
    at += each.data.length;
  }
  return { shape: [all.length, ...given.lead, all[0].cols], data };
}

/** @throws {@link UsageError} saying why this call needs the tensor. */
export function requireTensor(given: Given, name: string, why: string): void {
  if (!has(given, name)) {
    throw new UsageError(`${given.where}: tensor "${name}": missing; ${why}`);
  }
}

function needed({ tensors, where }: Given, name: string): Tensor {
  if (Object.hasOwn(tensors, name)) return tensors[name];
  throw new UsageError(`${where}: tensor "${name}": missing`);
}

/**
 * Checks a call of an operator against what the operator takes, and makes it.
 * @module
 */
import { decided, type Dialect } from '../../reference/dialects.ts';
import { UsageError } from '../../training/usage-error.ts';
import type { Tensors } from '../kernel.ts';
import { didYouMean } from './near-names.ts';
import { replaced, type Given, type RunOperator, type SettingValue } from './operator.ts';

export interface Called {
  readonly outputs: Tensors;
  /** All of it, defaults filled in where they are the operator's own. */
  readonly configuration: Readonly<Record<string, SettingValue>>;
}

/** What an operator is called with, before it is checked. */
export interface RawCall {
  readonly dialect: Dialect;
  readonly tensors: Tensors;
  /** Values of the configuration as JSON texts, as a file's metadata holds them. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Put in front of messages. */
  readonly where: string;
}

/** Metadata that other software writes of itself: {"format": "pt"}. */
const NOT_CONFIGURATION = ['format'];

/**
 * The reference's answer to a call.
 * @throws {@link UsageError} naming the tensor or key, what was given and what is expected.
 */
export function callOperator(operator: RunOperator, call: RawCall): Called {
  const { given, configuration } = checkedCall(operator, call);
  const refused = <T>(check: () => T): T =>
    refusals(call.where, check, Object.keys(operator.config));
  const outputs = refused(() => operator.run(given));
  const all = refused(() => operator.settings?.(given));
  return { outputs, configuration: { ...configuration, ...all } };
}

/**
 * What `check` returns; a RangeError of the reference becomes a usage error that names the input, and the key of the
 * configuration as it is spelt there.
 */
export function refusals<T>(where: string, check: () => T, keys: readonly string[] = []): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const message = error.message.replace(/^([a-z]\w*):/, (whole, name: string) => {
      const key = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      return keys.includes(key) ? `configuration "${key}":` : whole;
    });
    throw new UsageError(`${where}: ${message}`);
  }
}

export function checkedCall(
  operator: RunOperator,
  call: RawCall,
): { given: Given; configuration: Readonly<Record<string, SettingValue>> } {
  const { where, tensors } = call;
  requireNames(operator, Object.keys(tensors), where);
  const config = settingsOf(operator, call);
  const { sizes, lead } = sizesOf(operator, tensors, where);
  let { dialect } = call;
  const configuration: Record<string, SettingValue> = {};
  for (const [key, { decision, fallback }] of Object.entries(operator.config)) {
    const value = Object.hasOwn(config, key) ? config[key] : fallback?.(call.dialect);
    if (value === undefined) continue;
    configuration[key] = value;
    if (decision === undefined || decided(dialect, decision) === value) continue;
    dialect = inRange(`${where}: configuration "${key}"`, decision, () =>
      replaced(dialect, decision, value),
    );
  }
  return { given: { dialect, config: configuration, tensors, sizes, lead, where }, configuration };
}

/** @throws {@link UsageError} for a tensor the operator does not take, or one that it needs. */
export function requireNames(operator: RunOperator, names: readonly string[], where: string): void {
  const known = Object.keys(operator.inputs);
  const listed = known.length === 0 ? 'no tensors' : known.join(', ');
  for (const name of names) {
    if (known.includes(name)) continue;
    throw new UsageError(
      `${where}: tensor "${name}": unknown${didYouMean(name, known) || ';'} ${operator.name} takes ${listed}`,
    );
  }
  for (const [name, { words, optional }] of Object.entries(operator.inputs)) {
    if (optional !== undefined || names.includes(name)) continue;
    throw new UsageError(`${where}: tensor "${name}": missing; ${operator.name} needs ${words}`);
  }
}

function settingsOf(
  operator: RunOperator,
  { metadata, where }: RawCall,
): Readonly<Record<string, SettingValue>> {
  const known = Object.keys(operator.config);
  const config: Record<string, SettingValue> = {};
  for (const [key, text] of Object.entries(metadata)) {
    if (NOT_CONFIGURATION.includes(key) && !known.includes(key)) continue;
    const place = `${where}: configuration "${key}"`;
    if (key === 'dialect') throw new UsageError(`${place}: give it as --dialect`);
    if (!known.includes(key)) {
      const listed = known.length === 0 ? 'takes none' : `takes ${known.join(', ')}`;
      throw new UsageError(
        `${place}: unknown${didYouMean(key, known) || ';'} ${operator.name} ${listed}`,
      );
    }
    const { accepts, expected } = operator.config[key];
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      value = text; // a bare word is taken as a text
    }
    if (!accepts(value)) {
      throw new UsageError(`${place}: expected ${expected} as JSON, got ${shortened(text)}`);
    }
    config[key] = value as SettingValue;
  }
  for (const [key, { otherwise, expected, meaning }] of Object.entries(operator.config)) {
    if (otherwise !== undefined || Object.hasOwn(config, key)) continue;
    throw new UsageError(
      `${where}: configuration "${key}": missing; give ${expected} in the file's metadata: ${meaning}`,
    );
  }
  return config;
}

/** The sizes that shapes in words stand for. @throws {@link UsageError} where two tensors disagree. */
function sizesOf(
  operator: RunOperator,
  tensors: Tensors,
  where: string,
): { sizes: Readonly<Record<string, number>>; lead: readonly number[] } {
  const sizes: Record<string, number> = {};
  const from: Record<string, string> = {};
  let lead: readonly number[] | undefined;
  for (const [name, { words }] of Object.entries(operator.inputs)) {
    if (!Object.hasOwn(tensors, name)) continue;
    const { shape } = tensors[name];
    const found = shapesIn(words)
      .map((pattern) => match(pattern, shape, sizes, lead))
      .find((each) => each !== null);
    if (found === undefined) {
      const symbols = new Set(shapesIn(words).flat());
      const known = [...symbols].flatMap((symbol) =>
        symbol === '…' && lead !== undefined
          ? [`… = ${lead.join(', ') || 'nothing'} by ${from['…']}`]
          : Object.hasOwn(sizes, symbol)
            ? [`${symbol} = ${sizes[symbol]} by ${from[symbol]}`]
            : [],
      );
      const why = known.length === 0 ? '' : ` with ${known.join(', ')}`;
      throw new UsageError(
        `${where}: tensor "${name}": expected shape ${shapeWords(words)}${why}, got (${shape.join(', ')})`,
      );
    }
    for (const [symbol, size] of Object.entries(found.sizes)) {
      if (!Object.hasOwn(sizes, symbol)) from[symbol] = name;
      sizes[symbol] = size;
    }
    if (lead === undefined && found.lead !== undefined) from['…'] = name;
    lead ??= found.lead;
  }
  return { sizes, lead: lead ?? [] };
}

/** `(…, d_in) or (d_in): meaning` → the symbols of each shape. */
export function shapesIn(words: string): string[][] {
  return shapeWords(words)
    .split(' or ')
    .map((shape) =>
      shape
        .slice(1, -1)
        .split(',')
        .map((symbol) => symbol.trim())
        .filter((symbol) => symbol !== ''),
    );
}

/** The shapes that a description starts with. */
export function shapeWords(words: string): string {
  return /^\([^)]*\)(?: or \([^)]*\))*/.exec(words)?.[0] ?? '()';
}

function match(
  pattern: readonly string[],
  shape: readonly number[],
  sizes: Readonly<Record<string, number>>,
  lead: readonly number[] | undefined,
): { sizes: Record<string, number>; lead?: readonly number[] } | null {
  // A scalar may come as a list of one.
  if (pattern.length === 0)
    return shape.length === 0 || shape.join() === '1' ? { sizes: {} } : null;
  const free = pattern.indexOf('…');
  const extra = shape.length - (pattern.length - (free < 0 ? 0 : 1));
  if (free < 0 ? extra !== 0 : extra < 0) return null;
  const found: Record<string, number> = {};
  let leading: readonly number[] | undefined;
  let at = 0;
  for (const symbol of pattern) {
    if (symbol === '…') {
      leading = shape.slice(at, at + extra);
      at += extra;
      if (lead !== undefined && leading.join() !== lead.join()) return null;
      continue;
    }
    const size = shape[at++];
    const known = Object.hasOwn(sizes, symbol) ? sizes[symbol] : found[symbol];
    if (known !== undefined && known !== size) return null;
    found[symbol] = size;
  }
  return leading === undefined ? { sizes: found } : { sizes: found, lead: leading };
}

/** `check` fails on a value out of a decision's range: the message names the key instead of the decision. */
function inRange<T>(place: string, path: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UsageError(`${place}: ${error.message.replace(`dialect.${path}: `, '')}`);
  }
}

function shortened(text: string): string {
  const quoted = JSON.stringify(text);
  return quoted.length > 80 ? `${quoted.slice(0, 77)}..."` : quoted;
}

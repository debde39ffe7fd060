/**
 * A dialect as a user names it: one that is published, or a file of one's own.
 * @module
 */
import { readFile } from 'node:fs/promises';
import { decisions, type Section } from '../reference/decisions.ts';
import {
  applies,
  decided,
  decisionList,
  dialectFrom,
  dialectNamed,
  dialects,
  type Dialect,
  type Value,
} from '../reference/dialects.ts';
import { fileError } from './file-error.ts';
import { usage, UsageError } from './usage-error.ts';

/** Help text of every `--dialect`. */
export const dialectHelp: string = `${Object.keys(dialects).join(', ')}, or your own as FILE.json`;

/** A dialect as JSON that {@link dialectFrom} reads back to the same decisions. */
export type DialectJson = Readonly<Record<string, unknown>> & {
  readonly name: string;
  readonly extends: string;
};

/**
 * @param given - a published dialect's name, or a path that ends in `.json`.
 * @param option - what it was given for, put in front of messages.
 * @throws {@link UsageError} naming the file and the field in it.
 */
export async function readDialect(given: string, option = '--dialect'): Promise<Dialect> {
  if (!given.endsWith('.json')) {
    if (!Object.hasOwn(dialects, given)) {
      throw new UsageError(
        `${option}: expected one of ${Object.keys(dialects).join(', ')}, or a file whose name ends in .json, got ${JSON.stringify(given)}`,
      );
    }
    return dialectNamed(given);
  }
  const where = `${option} ${given}`;
  let text: string;
  try {
    text = await readFile(given, 'utf8');
  } catch (error) {
    throw fileError(error, given, option);
  }
  let json: unknown;
  try {
    json = JSON.parse(text.replace(/^\ufeff/, ''));
  } catch (error) {
    const reason = (error as Error).message.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 120);
    throw new UsageError(`${where}: not JSON (${reason})`);
  }
  try {
    return dialectFrom(json);
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(`${where}: ${error.message}`);
    throw error;
  }
}

/** Whether it is one of the published dialects, unchanged. */
export function isPublished(dialect: Dialect): boolean {
  return Object.hasOwn(dialects, dialect.name) && dialects[dialect.name] === dialect;
}

/** Every decision of a dialect. One that is published gets a name of its own, since a file may not take a published one. */
export function dialectJson(dialect: Dialect): DialectJson {
  const own = Object.hasOwn(dialects, dialect.name);
  return {
    name: own ? `my_${dialect.name}` : dialect.name,
    extends: own ? dialect.name : nearest(dialect).name,
    source: own ? `extends ${dialect.name}` : dialect.source,
    ...Object.fromEntries(
      (Object.keys(decisions) as Section[]).map((section) => [section, { ...dialect[section] }]),
    ),
  };
}

/** What an output says of its dialect: a published one's name, or the whole of one's own. */
export function dialectRecord(dialect: Dialect): string | DialectJson {
  return isPublished(dialect) ? dialect.name : dialectJson(dialect);
}

/** The dialect of a record. @throws {@link UsageError} if there is none. */
export function dialectOfRecord(record: string | DialectJson): Dialect {
  return usage(() => (typeof record === 'string' ? dialectNamed(record) : dialectFrom(record)));
}

/**
 * What training a BatchTopK SAE from activations takes for granted, and saves. Other decisions are the train step's
 * alone.
 */
const TRAINED: Readonly<Record<string, readonly Value[]>> = {
  'input.normaliser': ['none'],
  'encode.subtractsDecoderBias': [true],
  'encode.refinement': [0],
  'inference.gate': ['threshold'],
  'prefixes.drawn': ['once'],
  'penalty.coefficient': ['constant', 'warmed-up'],
  'latentOrder.permute': ['never'],
  'defaults.selection': ['batch'],
};

/**
 * Refuses dialects of other architectures, and decisions whose state or inference a run would not keep.
 * @throws {@link UsageError} naming the decision, its value, and what is supported.
 */
export function requireBatchTopK(dialect: Dialect, command: string): void {
  const values: Readonly<Record<string, readonly Value[]>> = {
    ...TRAINED,
    'inference.values': [dialect.select.score],
  };
  for (const [path, supported] of Object.entries(values)) {
    const decision = decisionList.find((known) => known.path === path)!;
    const value = decided(dialect, path);
    if (supported.includes(value) || !applies(decision, dialect)) continue;
    throw new UsageError(
      `--dialect: ${dialect.name} decides ${path} = ${JSON.stringify(value)}, which ${command} does not support; it supports ${supported.join(', ')}`,
    );
  }
}

/** The published dialect with the fewest decisions that differ. */
function nearest(dialect: Dialect): Dialect {
  const distance = (other: Dialect): number =>
    decisionList.filter(({ path }) => decided(dialect, path) !== decided(other, path)).length;
  return Object.values(dialects).reduce((best, other) =>
    distance(other) < distance(best) ? other : best,
  );
}

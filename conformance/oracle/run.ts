/**
 * Runs the oracles: generated cases, each computed exactly and held against the float64 reference.
 * @module
 */
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { dialects, type Dialect } from '../../reference/dialects.ts';
import { Contradiction, judging, type Tally } from './judge.ts';
import type { Oracle } from './oracle.ts';
import { oracles } from './operators/all.ts';
import { Unbounded } from './real.ts';
import { reference, type Reference } from './reference.ts';

export interface OracleOptions {
  /** Judged cases of every operator. */
  readonly cases: number;
  readonly seed: number;
  /** Names of operators to run; all if left out. */
  readonly only?: readonly string[];
  /** What is judged; the tests hand in broken ones. */
  readonly reference?: Reference;
  /** Whether a failing case is made smaller before it is reported; true if left out. */
  readonly shrinks?: boolean;
  /** Called after each operator. */
  readonly onProgress?: (row: OracleRow) => void;
}

/** What one operator came to. */
export interface OracleRow {
  readonly operator: string;
  /** Cases that were judged. */
  readonly cases: number;
  /** Of those, cases with a choice that float64 may make either way: judged on the reference's choice. */
  readonly ambiguous: number;
  /** Cases drawn besides and not judged, as no bound exists: a divisor that may be 0 within its error. */
  readonly unbounded: number;
  /** Values compared in the judged cases. */
  readonly values: number;
  /** Of those, differences that 64 digits do not resolve to a small part of the bound, held to their noise besides. */
  readonly unresolved: number;
  /** Largest |reference - exact| / bound; 0 where every answer is a choice or a copy. */
  readonly worst: number;
  /** The value it was found at; empty if none differed. */
  readonly at: string;
  /** The same of each kind of value, by its name without indices. */
  readonly byValue: Readonly<Record<string, number>>;
  readonly failure?: OracleFailure;
}

export interface OracleFailure {
  readonly message: string;
  /** The smallest failing case, as text. */
  readonly given: string;
  readonly seed: number;
  /** fast-check's path to it. */
  readonly path: string;
}

/**
 * @returns one row for each operator, in order; an operator has failed if its row has a `failure`.
 * @throws {@link RangeError} if `only` names no operator.
 */
export async function runOracle(options: OracleOptions): Promise<OracleRow[]> {
  const rows: OracleRow[] = [];
  for (const oracle of chosen(options.only)) {
    const row = runOperator(oracle, options);
    options.onProgress?.(row);
    rows.push(row);
    // Everything is computed in this thread; let an interrupt in.
    await setImmediate();
  }
  return rows;
}

function chosen(only: readonly string[] | undefined): readonly Oracle[] {
  if (only === undefined) return oracles;
  const names = oracles.map(({ name }) => name);
  const unknown = only.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new RangeError(
      `oracle: expected some of ${names.join(', ')}, got ${JSON.stringify(unknown)}`,
    );
  }
  return oracles.filter(({ name }) => only.includes(name));
}

function runOperator(oracle: Oracle, options: OracleOptions): OracleRow {
  const record: Tally = {
    ambiguous: 0,
    values: 0,
    unresolved: 0,
    worst: 0,
    at: '',
    byValue: {},
  };
  const judge = judging(record);
  const subject = options.reference ?? reference;
  const property = fc.property(oracle.cases, (given) => {
    try {
      oracle.check(given, subject, judge());
    } catch (error) {
      if (error instanceof Unbounded) fc.pre(false);
      throw error;
    }
  });
  const details = fc.check(property, {
    numRuns: options.cases,
    seed: options.seed,
    endOnFailure: options.shrinks === false,
    // Values of any size meet a divisor that may be 0 more often than the library expects of a precondition.
    maxSkipsPerRun: 1000,
  });
  const row: OracleRow = {
    operator: oracle.name,
    cases: details.numRuns,
    unbounded: details.numSkips,
    ...record,
  };
  if (!details.failed) return row;
  const { errorInstance: error, counterexample } = details;
  const cause = counterexample === null ? 'nearly all cases were without a bound' : String(error);
  return {
    ...row,
    failure: {
      message: error instanceof Contradiction ? error.message : cause,
      given: describe(counterexample?.[0]),
      seed: details.seed,
      path: details.counterexamplePath ?? '',
    },
  };
}

/** A case as text; of a published dialect only the name. */
function describe(given: unknown): string {
  if (typeof given !== 'object' || given === null || !('dialect' in given))
    return fc.stringify(given);
  const { name } = given.dialect as Dialect;
  return fc.stringify(Object.hasOwn(dialects, name) ? { ...given, dialect: name } : given);
}

/**
 * What one oracle is: cases, the equations written once in exact arithmetic, and the reference's functions they hold.
 * @module
 */
import type fc from 'fast-check';
import type { Judge } from './judge.ts';
import type { Reference } from './reference.ts';

/** Method syntax, so that oracles of different cases fit one list. */
export interface Oracle<C = unknown> {
  readonly name: string;
  /** What it judges: `file.function` of the reference. */
  readonly holds: readonly string[];
  readonly cases: fc.Arbitrary<C>;
  /**
   * Computes the case exactly and compares what the reference answers.
   * @throws {@link Contradiction} for a wrong answer, {@link Unbounded} for a case without a bound.
   */
  check(given: C, reference: Reference, judge: Judge): void;
}

/**
 * Kernels broken on purpose. Each imitates a bug that was seen, or a decision somebody else made; the suite must
 * reject every one, or its laws prove nothing.
 * @module
 */
import type { Operator } from '../kernel.ts';

export interface Mutant {
  /** The operator it breaks, as in its spec. */
  readonly operator: string;
  /** What it does wrong. */
  readonly name: string;
  /** The bug report, source or decision it imitates. */
  readonly imitates: string;
  /** The laws, by name, that tell what is wrong with it. Agreement is one only where nothing but precision is lost. */
  readonly diagnosis: readonly string[];
  /** In a whole step: the operators one of whose stages the violation must name. */
  readonly stages?: readonly string[];
  readonly run: Operator;
}

/** Value by value: sees every wrong value and says nothing about why it is wrong. */
export const agreement = 'agrees with the reference';

export const nonFinite = 'refuses NaN and infinity or lets them show';

export const sameBits =
  'answers the same call with the same bits: again, after another call, whatever its outputs held';

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
  readonly run: Operator;
}

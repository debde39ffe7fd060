/**
 * What the total loss and its gradients are computed from.
 * @module
 */
import fc from 'fast-check';
import { withDecision, type Dialect } from '../../../reference/dialects.ts';
import type { Matrix } from '../../../reference/matrix.ts';
import type { SaeParams } from '../../../reference/params.ts';
import {
  dialect,
  flags,
  matrixOf,
  paramsOf,
  positiveValues,
  prefixesOf,
  sizes,
  values,
} from '../cases.ts';

export interface LossCase {
  readonly x: Matrix;
  readonly params: SaeParams;
  readonly selection: Dialect['defaults']['selection'];
  /** Whole where each row selects for itself. */
  readonly k: number;
  readonly prefixes: readonly number[];
  readonly weights: readonly number[];
  readonly dead: Uint8Array;
  readonly alpha: number;
  readonly coefficient: number;
  readonly targetL0: number;
  readonly dialect: Dialect;
  /** Where the gradients' oracle differences each parameter: a share of its entries. */
  readonly picks: readonly number[];
}

/** The dialect as a run with this selection may have it: JumpReLU refines nothing. */
export function forSelection(dialect: Dialect, selection: LossCase['selection']): Dialect {
  return selection === 'jump' ? withDecision(dialect, 'encode.refinement', 0) : dialect;
}

export const lossCases: fc.Arbitrary<LossCase> = fc.tuple(sizes, dialect).chain(([size, dialect]) =>
  fc
    .tuple(
      fc.constantFrom('batch', 'row', 'all', 'jump', dialect.defaults.selection),
      prefixesOf(size.d_sae),
    )
    .chain(([selection, prefixes]) =>
      fc.record({
        x: matrixOf(size.rows, size.d_in),
        params: fc
          .tuple(paramsOf(size), values(size.d_sae))
          .map(([params, threshold]) => (selection === 'jump' ? { ...params, threshold } : params)),
        selection: fc.constant(selection),
        k:
          selection === 'row'
            ? fc.integer({ min: 0, max: size.d_sae })
            : fc.nat(4 * size.d_sae).map((quarters) => quarters / 4),
        prefixes: fc.constant(prefixes),
        weights: values(prefixes.length).map((weights) => [...weights.map(Math.abs)]),
        dead: flags(size.d_sae),
        alpha: fc.oneof(
          fc.constantFrom(0, 1 / 32, 1),
          positiveValues(1).map(([value]) => value),
        ),
        coefficient: positiveValues(1).map(([value]) => value),
        targetL0: fc.constantFrom(1, 2, 1.2338),
        dialect: fc.constant(forSelection(dialect, selection)),
        picks: fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), {
          minLength: 4,
          maxLength: 4,
        }),
      }),
    ),
);

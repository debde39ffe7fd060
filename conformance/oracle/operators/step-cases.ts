/**
 * States, batches and settings that a training step is computed from.
 * @module
 */
import fc from 'fast-check';
import type { Matrix } from '../../../reference/matrix.ts';
import { eachParam, valuesOf } from '../../../reference/params.ts';
import type { TrainConfig, TrainState } from '../../../reference/train-step.ts';
import {
  dialect,
  matrixOf,
  number,
  paramsOf,
  positiveValues,
  prefixesOf,
  sizes,
  values,
} from '../cases.ts';
import { forSelection } from './loss-cases.ts';

export interface StepCase {
  readonly state: TrainState;
  readonly x: Matrix;
  readonly config: TrainConfig;
  /** Drawn for this batch, with the dialect's own weights. */
  readonly drawn: readonly number[] | null;
}

export function stepCases(): fc.Arbitrary<StepCase> {
  return fc.tuple(sizes, dialect).chain(([size, dialect]) => {
    const { rows, d_in, d_sae } = size;
    const each = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
      fc.array(arbitrary, { minLength: d_sae, maxLength: d_sae });
    const selections = fc.constantFrom('batch', 'row', 'all', 'jump', dialect.defaults.selection);
    return fc.tuple(selections, prefixesOf(d_sae)).chain(([selection, prefixes]) => {
      const params = fc
        .tuple(paramsOf(size), values(d_sae))
        .map(([params, threshold]) => (selection === 'jump' ? { ...params, threshold } : params));
      const squares = params.map((p) =>
        eachParam(p, (name) => valuesOf(p, name).map((value) => value * value)),
      );
      const positive = positiveValues(1).map(([value]) => value);
      const config: fc.Arbitrary<TrainConfig> = fc.record({
        dialect: fc.constant(forSelection(dialect, selection)),
        d_in: fc.constant(d_in),
        d_sae: fc.constant(d_sae),
        k:
          selection === 'row'
            ? fc.integer({ min: 0, max: d_sae })
            : fc.nat(4 * d_sae).map((quarters) => quarters / 4),
        selection: fc.constant(selection),
        prefixes: fc.constant(prefixes),
        levelWeights: values(prefixes.length).map((weights) => [...weights.map(Math.abs)]),
        learningRate: fc.constantFrom(3e-4, 3e-2),
        steps: fc.constant(30),
        warmupSteps: fc.nat(10),
        decayStart: fc.constantFrom(null, 15),
        cosineTo: fc.constantFrom(null, 1e-4),
        auxkAlpha: fc.constantFrom(0, 1 / 32, 1),
        deadAfter: fc.nat(8),
        thresholdStartStep: fc.integer({ min: -1, max: 3 }),
        inputScale: fc.constantFrom(1, 1, 0.3),
        sparsityCoefficient: positive,
        sparsityWarmupSteps: fc.nat(6),
        targetL0: fc.constantFrom(1, 2, 1.2338),
      });
      return fc.record({
        x: matrixOf(rows, d_in),
        config,
        drawn: fc.option(prefixesOf(d_sae)),
        state: fc.record({
          step: fc.nat(29),
          params,
          m: params,
          v: squares,
          threshold: fc.oneof(number, fc.constantFrom(-1, 0)),
          firstThreshold: fc.oneof(number, fc.constantFrom(-1, 0)),
          sinceFired: each(fc.nat(9)).map((counts) => Float64Array.from(counts)),
          averages: fc.record(
            {
              meanNorm: positive,
              meanSquares: positiveValues(d_sae),
              sparsityScale: positive,
              frequencies: positiveValues(d_sae),
            },
            { requiredKeys: ['meanNorm', 'meanSquares', 'sparsityScale'] },
          ),
        }),
      });
    });
  });
}

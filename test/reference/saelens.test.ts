/**
 * Single operators of SAELens against what its own code returned. Whole steps are in replay.test.ts, other trainers' in
 * architectures.test.ts.
 */
import { describe, expect, test } from 'vitest';
import { tolerances } from './recorded/operators/case.ts';
import {
  notCovered,
  saelensCases,
  saelensJumpReluCases,
  saelensReluCases,
} from './recorded/operators/saelens.ts';
import { exportedRun } from './recorded/operators/saelens-export.ts';
import { asPublished, testCases } from './recorded/operators/test-cases.ts';
import { saelensSource } from './recorded/saelens.ts';
import { open, relativeError } from './recorded/source.ts';

testCases(
  'saelens',
  (recording) => [
    ...saelensCases(recording),
    ...saelensJumpReluCases(recording).map((one) => ({ ...one, id: `JumpReLU: ${one.id}` })),
    ...saelensReluCases(recording).map((one) => ({ ...one, id: `ReLU: ${one.id}` })),
  ],
  {
    'step.zero-decoder-row': 'NaN wherever the last level is read',
    'learning_rates.restarts': 'warm restarts are no schedule of ours',
  },
);

describe.each(['float64', 'float32'] as const)('a trained run in %s', (dtype) => {
  test.each(saelensSource.runs)('%s is folded and exported as published', (id) => {
    const recording = open(saelensSource, id, dtype);
    const { compare } = exportedRun(recording, saelensSource.dialect);
    for (const [name, got, expected] of compare(asPublished)) {
      expect(relativeError(got, expected), name).toBeLessThanOrEqual(tolerances[dtype]);
    }
  });
});

test('of the schedules recorded, only warm restarts are not covered', () => {
  const { config } = open(saelensSource, 'operators', 'float64');
  const recorded = config['learning_rates'] as { id: string; scheduler_name: string }[];
  const left = recorded.filter(({ scheduler_name }) => notCovered.includes(scheduler_name));
  expect(left.map(({ id }) => id)).toEqual(['restarts']);
});

test('normalising rows breaks the published Matryoshka step, and is no decision of this dialect', () => {
  const { config } = open(saelensSource, 'operators', 'float64');
  const { layer_norm } = config['step'] as { layer_norm: { error: string } };
  expect(layer_norm.error).toBe('AttributeError');
  expect(saelensSource.dialect.input.normaliser).toBe('none');
});

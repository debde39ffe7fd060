/**
 * Single operators of matryoshka_sae against what its own code returned. Whole steps are in replay.test.ts.
 */
import { expect, test } from 'vitest';
import { bussmannCases } from './recorded/operators/bussmann.ts';
import { testCases } from './recorded/operators/test-cases.ts';
import { open } from './recorded/source.ts';

testCases('bussmann', bussmannCases, {
  'initialise.draw.0': 'the base class draws W_enc, which the class itself draws again',
  'initialise.draw.1': 'the base class draws W_dec',
  'initialise.draw.3': 'drawn for W_dec, and replaced by the transpose of W_enc',
});

test('a batch of sequences is refused by the published forward pass: rows here are always flat', () => {
  const { config } = open({ folder: 'bussmann' }, 'operators', 'float64');
  const { x_of_rank_3 } = config['step'] as { x_of_rank_3: { error: string } };
  expect(x_of_rank_3.error).toBe('RuntimeError');
});

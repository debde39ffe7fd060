/**
 * Single operators of dictionary_learning against what its own code returned. Whole steps are in replay.test.ts, other
 * trainers' in architectures.test.ts.
 */
import {
  dictionaryLearningCases,
  dictionaryLearningJumpReluCases,
  dictionaryLearningReluCases,
} from './recorded/operators/dictionary-learning.ts';
import { testCases } from './recorded/operators/test-cases.ts';

testCases(
  'dictionary-learning',
  (recording) => [
    ...dictionaryLearningCases(recording),
    ...named('JumpReLU', dictionaryLearningJumpReluCases(recording)),
    ...named('ReLU', dictionaryLearningReluCases(recording)),
  ],
  {
    'initialise.top-k.draw.1': 'drawn for W_enc, and replaced by the transpose of W_dec',
  },
);

function named<T extends { readonly id: string }>(architecture: string, cases: readonly T[]): T[] {
  return cases.map((one) => ({ ...one, id: `${architecture}: ${one.id}` }));
}

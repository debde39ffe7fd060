import { architectureSources } from './architectures.ts';
import { bussmannSource } from './bussmann.ts';
import { dictionaryLearningSource } from './dictionary-learning.ts';
import { nabeshimaSource } from './nabeshima.ts';
import { saelensSource } from './saelens.ts';
import type { Source } from './source.ts';

/** The four that train Matryoshka SAEs. */
export const matryoshkaSources: readonly Source[] = [
  dictionaryLearningSource,
  bussmannSource,
  saelensSource,
  nabeshimaSource,
];

/** Every trainer that was recorded. */
export const sources: readonly Source[] = [...matryoshkaSources, ...architectureSources];

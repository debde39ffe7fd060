/**
 * Every operator that `matryoshka run` runs, in the order of a training step. Names of operators, tensors and settings
 * are those of the conformance suite where it has them.
 * @module
 */
import type { RunOperator } from './operator.ts';
import { beforeTraining, forward } from './forward.ts';
import { backward } from './backward.ts';
import { losses } from './loss.ts';
import { afterTraining } from './trained.ts';
import { trainStepOperator } from './step-case.ts';

export const operators: readonly RunOperator[] = [
  ...beforeTraining,
  ...forward,
  ...losses,
  ...backward,
  trainStepOperator,
  ...afterTraining,
];

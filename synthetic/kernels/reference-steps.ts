/**
 * The float64 reference: every dialect and selection, on one thread, the same bits everywhere.
 * @module
 */
import { trainStep } from '../../reference/train-step.ts';
import { nothingToClose, type StepKernel } from './step-kernel.ts';

export const referenceSteps: StepKernel = {
  name: 'reference',
  open(_, start) {
    let state = start;
    return {
      step(x, config, draws) {
        const result = trainStep(state, x, config, draws);
        state = result.state;
        return { loss: result.loss, l0: result.l0 };
      },
      state: () => state,
      close: nothingToClose,
    };
  },
  close: nothingToClose,
};

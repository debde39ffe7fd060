/**
 * A kernel with one bug: gradients and losses see the last prefix alone, so that nesting does nothing. For
 * `matryoshka synthetic claims --kernel test/synthetic/kernels/wrong-prefix-gradient.ts`, which must fail.
 */
import { float32 } from '../../../conformance/error-model.ts';
import type { Call, Kernels } from '../../../conformance/kernel.ts';
import { openEngine } from '../../../gpu/threads/engine.ts';
import { stepTensors } from '../../../gpu/threads/step-operator.ts';

const engine = openEngine({ threads: 1 });

/** A right step, on own float32 kernels. */
export function rightStep(call: Call): ReturnType<typeof stepTensors> {
  const mark = engine.mark();
  try {
    return stepTensors(engine, call);
  } finally {
    engine.release(mark);
  }
}

export function wrongStep(call: Call): ReturnType<typeof stepTensors> {
  const prefixes = call.config['prefixes'] as readonly number[];
  const weights = call.config['level_weights'] as readonly number[];
  return rightStep({
    ...call,
    config: {
      ...call.config,
      prefixes: prefixes.slice(-1),
      level_weights: [weights.reduce((sum, weight) => sum + weight, 0)],
    },
  });
}

export const kernels: Kernels = {
  name: 'wrong prefix gradient',
  dtype: 'float32',
  profile: float32,
  operators: { 'train-step': wrongStep },
};

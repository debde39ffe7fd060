/**
 * Own float32 kernels in WebAssembly, on the calling thread alone: cells of an experiment run side by side, each on a
 * thread of its own.
 * @module
 */
import { requireSupportedByThreads } from '../../gpu/supported.ts';
import { download, valuesOf, type Sizes } from '../../gpu/threads/blocks.ts';
import { openEngine } from '../../gpu/threads/engine.ts';
import { stateFrom } from '../../gpu/threads/state.ts';
import { trainStep } from '../../gpu/threads/train-step.ts';
import { matrix } from '../../reference/matrix.ts';
import type { SaeParams } from '../../reference/params.ts';
import { nothingToClose, type StepKernel } from './step-kernel.ts';

export const threadsSteps: StepKernel = {
  name: 'threads',
  open(config, start) {
    requireSupportedByThreads(config);
    const engine = openEngine({ threads: 1 });
    const state = stateFrom(engine, config.d_in, config.d_sae, {
      ...start,
      params: valuesOf(start.params),
      m: valuesOf(start.m),
      v: valuesOf(start.v),
    });
    let x32 = new Float32Array(0);
    return {
      step(x, now) {
        if (x32.length !== x.data.length) x32 = new Float32Array(x.data.length);
        x32.set(x.data);
        const { loss, l0 } = trainStep(engine, state, x32, now);
        return { loss, l0 };
      },
      state: () => ({
        step: state.step,
        params: paramsFrom(state.sizes, download(engine, state.sizes, state.params)),
        m: paramsFrom(state.sizes, download(engine, state.sizes, state.m)),
        v: paramsFrom(state.sizes, download(engine, state.sizes, state.v)),
        threshold: state.threshold,
        sinceFired: Float64Array.from(state.sinceFired),
      }),
      close: () => engine.close(),
    };
  },
  close: nothingToClose,
};

function paramsFrom({ d_in, d_sae }: Sizes, values: ReturnType<typeof download>): SaeParams {
  return {
    W_enc: matrix(d_in, d_sae, Float64Array.from(values.W_enc)),
    b_enc: Float64Array.from(values.b_enc),
    W_dec: matrix(d_sae, d_in, Float64Array.from(values.W_dec)),
    b_dec: Float64Array.from(values.b_dec),
  };
}

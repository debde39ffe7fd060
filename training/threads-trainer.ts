/**
 * The engine of own kernels on worker threads as a trainer: `--backend threads`.
 * @module
 */
import { availableParallelism } from 'node:os';
import { describeEngine, openEngine } from '../gpu/threads/engine.ts';
import { tensorflowProducts } from '../gpu/threads/products.ts';
import { requireFits } from '../gpu/threads/memory.ts';
import { createTrainer } from '../gpu/threads/trainer.ts';
import { FIRST_MOMENT, SECOND_MOMENT, stateShapes, type Kernel } from './trainer.ts';

/**
 * @param threads - as many as the machine has processors, unless given.
 * @throws {@link BackendUnavailable} if TensorFlow is asked for and does not work.
 */
export async function threadsKernel(
  name: 'threads' | 'threads+tensorflow' = 'threads',
  threads: number = availableParallelism(),
): Promise<Kernel> {
  const products = name === 'threads' ? null : await tensorflowProducts(threads);
  const probe = openEngine({ threads: 1, products });
  return {
    name: probe.fused ? `${name}, fused` : name,
    dtype: 'F32',
    notes: [`backend ${name}: ${describeEngine(probe, threads)}`],
    requireFits: (config, rows) => requireFits(config, rows, threads, products !== null),
    start(config, state) {
      const trainer = createTrainer(openEngine({ threads, products }), config, state);
      return {
        step: async (x, rows) => trainer.step(x.subarray(0, rows * config.d_in)),
        state: () =>
          stateShapes(config, 'F32').map((shape) => ({
            ...shape,
            read: async () => {
              const { params, m, v, threshold, sinceFired } = trainer.state();
              if (shape.name === 'threshold') return Float32Array.of(threshold);
              if (shape.name === 'since_fired') return sinceFired;
              if (shape.name.startsWith(FIRST_MOMENT)) {
                return m[shape.name.slice(FIRST_MOMENT.length) as keyof typeof m];
              }
              if (shape.name.startsWith(SECOND_MOMENT)) {
                return v[shape.name.slice(SECOND_MOMENT.length) as keyof typeof v];
              }
              return params[shape.name as keyof typeof params];
            },
          })),
        infer: async (x, rows, operator) =>
          trainer.infer(x.subarray(0, rows * config.d_in), operator),
        dispose: () => void trainer.close(),
      };
    },
  };
}

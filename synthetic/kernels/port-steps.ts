/**
 * The TensorFlow.js port: for worlds of full scale, on a GPU.
 * @module
 */
import { openBackend, type BackendName } from '../../gpu/backend.ts';
import { createTrainer } from '../../gpu/trainer.ts';
import { nothingToClose, type StepKernel } from './step-kernel.ts';

/**
 * @throws {@link BackendUnavailable} if that backend does not work here, with the reason and the remedy.
 */
export async function openPort(backend: BackendName): Promise<StepKernel> {
  await openBackend(backend);
  return {
    name: backend,
    open(config, start) {
      const trainer = createTrainer(config, start);
      return {
        async step(x, now) {
          const { loss, l0 } = await trainer.step(x.data, now);
          return { loss, l0 };
        },
        state: () => trainer.download(),
        close: async () => trainer.dispose(),
      };
    },
    close: nothingToClose,
  };
}

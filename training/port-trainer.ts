/**
 * The TensorFlow.js port as a trainer: `--backend` tensorflow, webgpu, wasm, cpu or auto.
 * @module
 */
import { openBackend, type BackendName } from '../gpu/backend.ts';
import { decode } from '../gpu/decode.ts';
import { encode } from '../gpu/encode.ts';
import { uploadMatrix } from '../gpu/params.ts';
import { aboveThreshold, batchTopK, selectionScores } from '../gpu/select.ts';
import { createTrainer } from '../gpu/trainer.ts';
import type { TrainStateTensors } from '../gpu/train-state.ts';
import { paramNames } from '../reference/params.ts';
import type { TrainConfig, TrainState } from '../reference/train-step.ts';
import { FIRST_MOMENT, SECOND_MOMENT, stateShapes, type Kernel, type Trainer } from './trainer.ts';

/** @throws as `openBackend`. */
export async function portKernel(name: BackendName | 'auto'): Promise<Kernel> {
  const { rank, device, version, better } = await openBackend(name);
  return {
    name: rank,
    dtype: 'F32',
    notes: [
      `backend ${rank}: ${device}, ${version}`,
      ...better.map((one) => `not ${one.rank}: ${one.reason} (${one.remedy})`),
    ],
    start: portTrainer,
  };
}

function portTrainer(config: TrainConfig, start: TrainState): Trainer {
  const { d_in, d_sae, k, dialect } = config;
  const trainer = createTrainer(config, start);
  return {
    async step(x, rows) {
      const { loss, l0, deadCount, gradientNorm } = await trainer.step(x.subarray(0, rows * d_in));
      return { loss, l0, dead: deadCount, gradientNorm };
    },
    state: () => {
      const tensors = stateTensors(trainer.state());
      return stateShapes(config, 'F32').map((shape) => ({
        ...shape,
        read: () => tensors[shape.name].data() as Promise<Float32Array | Int32Array>,
      }));
    },
    async infer(x, rows, operator) {
      const { params, threshold } = trainer.state();
      const batch = uploadMatrix(x.subarray(0, rows * d_in), rows, d_in);
      const acts = encode(batch, params, dialect);
      const scores = selectionScores(acts, params.W_dec, dialect);
      const latents =
        operator === 'batch' ? batchTopK(acts, k, scores) : aboveThreshold(acts, threshold, scores);
      const reconstruction = decode(latents, params);
      const [values, decoded] = await Promise.all([
        latents.data<'float32'>(),
        reconstruction.data<'float32'>(),
      ]);
      for (const tensor of [batch, acts, scores, latents, reconstruction]) tensor.dispose();

      const fired = new Uint8Array(d_sae);
      let active = 0;
      for (let i = 0; i < values.length; i++) {
        if (values[i] > 0) {
          fired[i % d_sae] = 1;
          active++;
        }
      }
      let squaredError = 0;
      for (let i = 0; i < decoded.length; i++) squaredError += (x[i] - decoded[i]) ** 2;
      return { squaredError, active, fired };
    },
    dispose: () => trainer.dispose(),
  };
}

function stateTensors(state: TrainStateTensors): Record<string, { data(): Promise<unknown> }> {
  const tensors: Record<string, { data(): Promise<unknown> }> = {
    threshold: state.threshold,
    since_fired: state.sinceFired,
  };
  for (const name of paramNames) {
    tensors[name] = state.params[name];
    tensors[FIRST_MOMENT + name] = state.m[name];
    tensors[SECOND_MOMENT + name] = state.v[name];
  }
  return tensors;
}

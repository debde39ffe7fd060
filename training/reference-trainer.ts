/**
 * The float64 reference as a trainer: `--backend reference`. Slow; for small runs and for checking others.
 * @module
 */
import { decode } from '../reference/decode.ts';
import { encode } from '../reference/encode.ts';
import { matrix, type Matrix } from '../reference/matrix.ts';
import { paramNames } from '../reference/params.ts';
import { aboveThreshold, batchTopK, selectionScores } from '../reference/select.ts';
import { trainStep, type TrainConfig, type TrainState } from '../reference/train-step.ts';
import { FIRST_MOMENT, SECOND_MOMENT, stateShapes, type Kernel, type Trainer } from './trainer.ts';

export const referenceKernel: Kernel = {
  name: 'reference',
  dtype: 'F64',
  notes: ['reference kernel: float64, plain TypeScript, slow'],
  start: referenceTrainer,
};

/** A trainer on the float64 reference, from the state given. */
function referenceTrainer(config: TrainConfig, start: TrainState): Trainer {
  const { d_in, d_sae, k, dialect } = config;
  let state = start;
  const input = (x: Float32Array, rows: number): Matrix =>
    matrix(rows, d_in, new Float64Array(x.subarray(0, rows * d_in)));
  return {
    async step(x, rows) {
      const result = trainStep(state, input(x, rows), config);
      state = result.state;
      return {
        loss: result.loss,
        l0: countPositive(result.latents.data) / rows,
        dead: countPositive(result.dead),
        gradientNorm: result.gradientNorm,
      };
    },
    state: () => {
      const values = stateValues(state);
      return stateShapes(config, 'F64').map((shape) => ({
        ...shape,
        read: () => values[shape.name],
      }));
    },
    async infer(x, rows, operator) {
      const batch = input(x, rows);
      const { params, threshold } = state;
      const acts = encode(batch, params, dialect);
      const scores = selectionScores(acts, params.W_dec, dialect);
      const latents =
        operator === 'batch' ? batchTopK(acts, k, scores) : aboveThreshold(acts, threshold, scores);
      const fired = new Uint8Array(d_sae);
      latents.data.forEach((latent, i) => {
        if (latent > 0) fired[i % d_sae] = 1;
      });
      const reconstruction = decode(latents, params);
      const squaredError = reconstruction.data.reduce(
        (sum, value, i) => sum + (batch.data[i] - value) ** 2,
        0,
      );
      return { squaredError, active: countPositive(latents.data), fired };
    },
    dispose: () => undefined,
  };
}

function stateValues(state: TrainState): Record<string, Float64Array> {
  const values: Record<string, Float64Array> = {
    threshold: Float64Array.of(state.threshold),
    since_fired: state.sinceFired,
  };
  for (const [prefix, params] of [
    ['', state.params],
    [FIRST_MOMENT, state.m],
    [SECOND_MOMENT, state.v],
  ] as const) {
    for (const name of paramNames) {
      const param = params[name];
      values[prefix + name] = param instanceof Float64Array ? param : param.data;
    }
  }
  return values;
}

function countPositive(values: Float64Array | Uint8Array): number {
  let count = 0;
  for (const value of values) if (value > 0) count++;
  return count;
}

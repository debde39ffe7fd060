/**
 * The state a run starts from: drawn from a seed, or read from a checkpoint. The same for every kernel.
 * @module
 */
import { matrix } from '../reference/matrix.ts';
import type { SaeParams } from '../reference/params.ts';
import { initialState, type TrainConfig, type TrainState } from '../reference/train-step.ts';
import { createRng } from '../synthetic/rng.ts';
import type { TensorData } from './formats/safetensors.ts';
import { FIRST_MOMENT, SECOND_MOMENT, type StateReader } from './trainer.ts';

/** The state before the first step: the draws depend on the seed alone. */
export function seededState(config: TrainConfig, seed: number): TrainState {
  const rng = createRng(seed).split('initialise');
  return initialState(config, () => rng.uniform());
}

/** A saved state, at step `step`. @param read - values of any dtype: each is a float64 value exactly. */
export async function readState(
  { d_in, d_sae }: TrainConfig,
  step: number,
  read: StateReader,
): Promise<TrainState> {
  const values = async (name: string): Promise<Float64Array> => {
    const stored = (await read(name)) as Exclude<TensorData, BigInt64Array>;
    return stored instanceof Float64Array ? stored : new Float64Array(stored);
  };
  const params = async (prefix: string): Promise<SaeParams> => ({
    W_enc: matrix(d_in, d_sae, await values(`${prefix}W_enc`)),
    b_enc: await values(`${prefix}b_enc`),
    W_dec: matrix(d_sae, d_in, await values(`${prefix}W_dec`)),
    b_dec: await values(`${prefix}b_dec`),
  });
  return {
    step,
    params: await params(''),
    m: await params(FIRST_MOMENT),
    v: await params(SECOND_MOMENT),
    threshold: (await values('threshold'))[0],
    sinceFired: await values('since_fired'),
  };
}

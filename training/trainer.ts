/**
 * The only thing the training loop knows of a kernel: one step, its state by name, and inference for evaluation.
 * @module
 */
import { paramNames } from '../reference/params.ts';
import type { TrainConfig, TrainState } from '../reference/train-step.ts';
import type { LazyTensor } from './formats/safetensors-file.ts';
import type { TensorData, TensorShape } from './formats/safetensors.ts';

/** What a step reports: numbers only, whatever machine they were computed on. */
export interface StepReport {
  /** Reconstruction + alpha · auxk. */
  readonly loss: number;
  /** Mean number of latents kept per row. */
  readonly l0: number;
  /** Latents taken for dead in this step. */
  readonly dead: number;
  /** Before clipping. Not finite if any gradient is not. */
  readonly gradientNorm: number;
}

/** Which latents inference keeps: acts above the trained threshold (row by row), or the batch's k · rows largest. */
export type InferenceOperator = 'threshold' | 'batch';

/** What one batch adds to an evaluation. */
export interface InferenceReport {
  /** Σ ‖x - x̂‖² over the rows, x̂ from the full prefix. */
  readonly squaredError: number;
  /** Latents above 0, over all rows. */
  readonly active: number;
  /** (d_sae): not 0 where the latent is above 0 in some row. */
  readonly fired: ArrayLike<number>;
}

/** What computes. */
export interface Kernel {
  /** Part of a run's identity: the same name means the same bits on the same machine. */
  readonly name: string;
  /** What it computes in, and what its state is saved as. */
  readonly dtype: 'F32' | 'F64';
  /** For people: the device, and why no better one was taken. */
  readonly notes: readonly string[];
  /** @throws {@link UsageError} on a run that this kernel has no memory for, before anything large is made. */
  requireFits?(config: TrainConfig, batchRows: number): void;
  /** @throws {@link UsageError} on a decision of the dialect that this kernel does not support. */
  start(config: TrainConfig, state: TrainState): Trainer;
}

/** A kernel with one run's state. */
export interface Trainer {
  /**
   * Advances the state by one batch.
   * @param x - (rows, d_in), not kept.
   * @throws {@link RangeError} on values the operators refuse, such as a first threshold update without any latent.
   */
  step(x: Float32Array, rows: number): Promise<StepReport>;
  /**
   * All that the next step depends on but its number, as {@link stateShapes} lists it; values are fetched when read.
   * A trainer that starts from them takes the same next step, bit for bit.
   */
  state(): LazyTensor[];
  /** @param x - (rows, d_in), not kept. Leaves the state alone. */
  infer(x: Float32Array, rows: number, operator: InferenceOperator): Promise<InferenceReport>;
  dispose(): void;
}

/** A saved state's values, by the names of {@link stateShapes}. */
export type StateReader = (name: string) => Promise<TensorData>;

/** Adam's moments carry their parameter's name behind these. */
export const FIRST_MOMENT = 'adam_m.';
export const SECOND_MOMENT = 'adam_v.';

/**
 * The tensors of a state: the four parameters, both moments of each, `threshold` (a scalar) and `since_fired` (d_sae).
 * @param dtype - what the kernel computes in. Float32 kernels keep counts as I32: exact beyond 16.7 million tokens.
 */
export function stateShapes(
  { d_in, d_sae }: { readonly d_in: number; readonly d_sae: number },
  dtype: 'F32' | 'F64',
): TensorShape[] {
  const shapes = { W_enc: [d_in, d_sae], b_enc: [d_sae], W_dec: [d_sae, d_in], b_dec: [d_in] };
  return [
    ...['', FIRST_MOMENT, SECOND_MOMENT].flatMap((prefix) =>
      paramNames.map((name) => ({ name: prefix + name, dtype, shape: shapes[name] })),
    ),
    { name: 'threshold', dtype, shape: [] },
    { name: 'since_fired', dtype: dtype === 'F32' ? 'I32' : dtype, shape: [d_sae] },
  ];
}

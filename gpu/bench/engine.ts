/**
 * What computes on our side of a benchmark, behind one small interface; a new engine is
 * opened in {@link benchEngine}.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import type { TrainConfig, TrainState } from '../../reference/train-step.ts';
import { openKernel } from '../../training/open-kernel.ts';
import { threadsKernel } from '../../training/threads-trainer.ts';
import { backendNames } from '../backend.ts';
import { choose, computeNames } from '../choose.ts';
import { uploadMatrix } from '../params.ts';
import { product } from '../product.ts';

/** The names that {@link openKernel} takes. */
export type BenchBackend = Parameters<typeof openKernel>[0];

export const benchBackends: readonly BenchBackend[] = ['auto', ...computeNames, 'reference'];

/** A trainer and its data. */
export interface Session {
  /** One training step on the next batch, with the report that training reads back. */
  step(): void | Promise<void>;
  /** Of the last step. */
  loss(): number;
  /** Latents that the last step took for dead. */
  dead(): number;
  /** Seconds that each of n products x · W_enc took; empty where this engine has none of its own. */
  product(n: number): Promise<number[]>;
  close(): void;
}

/** What a session is opened on. */
export interface SessionData {
  readonly config: TrainConfig;
  readonly start: TrainState;
  /** (batches · rows, d_in), row-major; read again from its start once it is used up. */
  readonly activations: Float32Array;
  /** Rows of a batch. */
  readonly rows: number;
}

export interface Engine {
  /** What computes: for people. */
  readonly name: string;
  readonly notes: readonly string[];
  /** That it computes on; undefined where it has no choice. */
  readonly threads: number | undefined;
  open(data: SessionData): Session | Promise<Session>;
}

/** @param threads - at most. @throws as {@link openKernel}. */
export async function benchEngine(backend: BenchBackend, threads: number): Promise<Engine> {
  const name = backend === 'reference' ? backend : (await choose(backend)).name;
  const own = name === 'threads' || name === 'threads+tensorflow';
  const kernel = own ? await threadsKernel(name, threads) : await openKernel(name);
  const onTensors = (backendNames as readonly string[]).includes(name);
  return {
    name: kernel.name,
    notes: kernel.notes,
    threads: own ? threads : undefined,
    open: ({ config, start, activations, rows }) => {
      const trainer = kernel.start(config, start);
      const next = batchesOf(activations, rows * config.d_in);
      let loss = NaN;
      let dead = 0;
      return {
        async step() {
          ({ loss, dead } = await trainer.step(next(), rows));
        },
        loss: () => loss,
        dead: () => dead,
        product: async (n) => (onTensors ? tensorProducts(n, activations, rows, config) : []),
        close: () => trainer.dispose(),
      };
    },
  };
}

/** One batch after the other, for ever. */
function batchesOf(activations: Float32Array, size: number): () => Float32Array {
  let at = 0;
  return () => {
    if (at + size > activations.length) at = 0;
    return activations.subarray(at, (at += size));
  };
}

/** On the tfjs backend in use; one value is read back, so that a device has finished. */
async function tensorProducts(
  n: number,
  activations: Float32Array,
  rows: number,
  { d_in, d_sae }: TrainConfig,
): Promise<number[]> {
  const x = uploadMatrix(activations.subarray(0, rows * d_in), rows, d_in);
  // Any values will do: a dense product takes as long with one as with another.
  const values = Float32Array.from(
    { length: d_in * d_sae },
    (_, i) => activations[i % activations.length],
  );
  const weights = uploadMatrix(values, d_in, d_sae);
  const seconds: number[] = [];
  for (let i = 0; i < n; i++) {
    const start = performance.now();
    const result = product(x, weights);
    const one = tf.slice(result, [0, 0], [1, 1]);
    await one.data();
    seconds.push((performance.now() - start) / 1000);
    tf.dispose([result, one]);
  }
  tf.dispose([x, weights]);
  return seconds;
}

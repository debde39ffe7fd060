/**
 * What a run needs of the engine's memory: four times the parameters, and terms of the batch.
 * @module
 */
import { auxkCount } from '../../reference/auxk.ts';
import type { TrainConfig } from '../../reference/train-step.ts';
import { UsageError } from '../../training/usage-error.ts';
import { panelLatents, sizesOf } from './blocks.ts';
import { densest } from './dense.ts';

/** WebAssembly's addresses have 32 bits. */
const most = 2 ** 32;

export interface MemoryNeeded {
  /** Parameters, both moments and gradients. */
  readonly state: number;
  /** Most that a step needs beside them. */
  readonly batch: number;
}

/** In bytes. @param rows - of a batch. @param library - whether a library multiplies. */
export function memoryNeeded(
  config: TrainConfig,
  rows: number,
  threads: number,
  library = false,
): MemoryNeeded {
  const { d_in, d_sae, k, prefixes, dialect } = config;
  const { stride, panels } = sizesOf(d_in, d_sae);
  const params = panels * panelLatents * (d_in + 2) + d_sae * stride + stride;
  const K = Math.ceil(k * rows);
  const dead = auxkCount(new Uint8Array(d_sae).fill(1), d_in, dialect);
  const wide = rows * stride;
  const chosen = (entries: number): number => 4 * threads * entries + 7 * entries;
  const batch = rows * d_in + 3 * wide + prefixes.length * wide + chosen(3 * K + 4096) + 2 * d_sae;
  // With dead latents: their encoder columns once more, what is chosen among them, and what it misses.
  const auxk = panels * panelLatents * d_in + chosen(rows * dead) + wide;
  // W_enc as the library reads it, all pre-activations and those of dead latents; AuxK's matrices over a part of these.
  const part = Math.min(d_sae, densest * dead);
  const matrices = library
    ? d_sae * stride + 2 * rows * d_sae + part * (2 * rows + 3 * stride) + d_sae
    : 0;
  const floats = batch + auxk + matrices + threads * panelLatents * stride;
  return { state: 4 * 4 * params, batch: 4 * floats };
}

/** @throws {@link UsageError} saying how much it would be. */
export function requireFits(
  config: TrainConfig,
  rows: number,
  threads: number,
  library = false,
): void {
  const { state, batch } = memoryNeeded(config, rows, threads, library);
  if (state + batch <= most) return;
  const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  throw new UsageError(
    `backend threads: expected at most 4 GiB, which WebAssembly can address, but d_in ${config.d_in} × d_sae ${config.d_sae} needs ${gib(state)} of parameters, moments and gradients and ${gib(batch)} for batches of ${rows} rows; train on a GPU (--backend tensorflow or webgpu), or with a smaller d_sae`,
  );
}

/**
 * Latents on disk → reconstructed activations on disk, file by file; files that are there already are kept.
 * @module
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ComputeName } from '../../gpu/choose.ts';
import { ACTIVATIONS } from '../activation-shards.ts';
import { removeLeftovers, requireWritableFolder } from '../atomic-file.ts';
import { openSafetensors, writeSafetensors } from '../formats/safetensors-file.ts';
import { UsageError } from '../usage-error.ts';
import type { Watching } from './encode.ts';
import { partsOf, readLatents, readLatentsRecord } from './latents-file.ts';
import type { Latents } from './latents.ts';
import { readModel } from './model.ts';
import { openSession } from './session.ts';

export interface DecodeSettings {
  /** Folder of the SAE. */
  readonly sae: string;
  /** Folder that `encode` wrote. */
  readonly latents: string;
  readonly out: string;
  /** Only latents below it: one of the nested SAEs; d_sae if left out. */
  readonly prefix?: number;
  readonly backend: ComputeName | 'auto' | 'reference';
  readonly batch: number;
}

/** What was written. */
export interface Decoded {
  readonly status: 'done' | 'interrupted';
  readonly rows: number;
  readonly files: number;
  /** Files that were there already. */
  readonly kept: number;
  readonly prefix: number;
}

/**
 * Each file of latents becomes one of `activations` F32 [rows, d_in], of the same name.
 * @throws {@link UsageError} naming the file or setting that is wrong.
 */
export async function decodeShards(
  settings: DecodeSettings,
  { onNote, onRows, signal }: Watching = {},
): Promise<Decoded> {
  const model = await readModel(settings.sae);
  const { d_in, d_sae, hash } = model;
  const record = await readLatentsRecord(settings.latents);
  if (record.sae !== hash) {
    throw new UsageError(
      `LATENTS ${settings.latents}: were made by another SAE than the one in ${settings.sae}`,
    );
  }
  const { prefix = d_sae, out, batch } = settings;
  if (!(prefix >= 1 && prefix <= d_sae)) {
    throw new UsageError(`--prefix: expected 1 to d_sae = ${d_sae}, got ${prefix}`);
  }
  const parts = partsOf(record);
  const missing = parts.find(({ name }) => !existsSync(join(settings.latents, name)));
  if (missing !== undefined) {
    throw new UsageError(
      `LATENTS ${settings.latents}: ${missing.name} is missing: let matryoshka encode finish first`,
    );
  }
  const session = await openSession(model, settings.backend);
  try {
    for (const note of session.notes) onNote?.(note);
    await requireWritableFolder(out, '--out');
    const all = parts.reduce((sum, part) => sum + part.rows, 0);
    const metadata = { sae: hash, prefix: String(prefix) };
    let [rows, files, kept] = [0, 0, 0];
    for (const part of parts) {
      const path = join(out, part.name);
      await removeLeftovers(path);
      if (await isWritten(path, metadata)) kept++;
      else {
        const latents = await readLatents(join(settings.latents, part.name), d_sae);
        const values = new Float32Array(latents.rows * d_in);
        for (let row = 0; row < latents.rows; row += batch) {
          if (signal?.aborted) return { status: 'interrupted', rows, files, kept, prefix };
          const some = rowsOf(latents, row, Math.min(batch, latents.rows - row));
          values.set(await session.decode(some, prefix), row * d_in);
          onRows?.(rows + row + some.rows, all);
        }
        const shape = [latents.rows, d_in];
        const tensor = { name: ACTIVATIONS, dtype: 'F32' as const, shape, read: () => values };
        await writeSafetensors(path, [tensor], metadata);
      }
      files++;
      rows += part.rows;
      onRows?.(rows, all);
    }
    return { status: 'done', rows, files, kept, prefix };
  } finally {
    await session.close();
  }
}

/** Whether the file is there. @throws {@link UsageError} if it is one of another SAE or prefix. */
async function isWritten(
  path: string,
  wanted: { readonly sae: string; readonly prefix: string },
): Promise<boolean> {
  if (!existsSync(path)) return false;
  const file = await openSafetensors(path);
  await file.close();
  for (const [field, value] of Object.entries(wanted)) {
    const was = file.metadata[field];
    if (was === value) continue;
    throw new UsageError(
      `--out: ${path} is of another run: ${field} was ${was ?? 'not said'}, now ${value}; choose another folder`,
    );
  }
  return true;
}

function rowsOf({ start, latent, value }: Latents, first: number, rows: number): Latents {
  const [from, to] = [start[first], start[first + rows]];
  return {
    rows,
    start: start.slice(first, first + rows + 1).map((at) => at - from),
    latent: latent.subarray(from, to),
    value: value.subarray(from, to),
  };
}

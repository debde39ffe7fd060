/**
 * Activations on disk → latents on disk, a batch in memory at a time; files that are there already are kept.
 * @module
 */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { ComputeName } from '../../gpu/choose.ts';
import { openShards, readActivations } from '../activation-shards.ts';
import { removeLeftovers, requireWritableFolder } from '../atomic-file.ts';
import { UsageError } from '../usage-error.ts';
import { claimFolder, latentsRecord, partsOf, readLatents, writeLatents } from './latents-file.ts';
import { joined, type Latents } from './latents.ts';
import { readModel, type InferenceModel } from './model.ts';
import { openSession, type Gate, type Session } from './session.ts';

export interface EncodeSettings {
  /** Folder of the SAE. */
  readonly sae: string;
  readonly activations: readonly string[];
  /** The tensor in them; `activations`, or the only matrix, if left out. */
  readonly tensor?: string;
  readonly out: string;
  readonly gate: 'threshold' | 'batch';
  /** In place of the trained one. */
  readonly threshold?: number;
  /** Where batches choose: in place of the trained one. */
  readonly k?: number;
  readonly backend: ComputeName | 'auto' | 'reference';
  readonly batch: number;
  readonly rowsPerFile: number;
}

export interface Watching {
  readonly onNote?: (line: string) => void;
  readonly onRows?: (done: number, all: number) => void;
  /** Stops between batches: files that are whole stay. */
  readonly signal?: AbortSignal;
}

/** What was written. */
export interface Encoded {
  readonly status: 'done' | 'interrupted';
  readonly rows: number;
  readonly files: number;
  /** Files that were there already. */
  readonly kept: number;
  /** Mean latents of a row. */
  readonly l0: number;
  /** Latents that are on in no row. */
  readonly neverOn: number;
  /** Rows without a latent. */
  readonly emptyRows: number;
}

/** @throws {@link UsageError} naming the file or setting that is wrong. */
export async function encodeShards(
  settings: EncodeSettings,
  { onNote, onRows, signal }: Watching = {},
): Promise<Encoded> {
  const { out, batch } = settings;
  const model = await readModel(settings.sae);
  const gate = gateOf(model, settings);
  const shards = await openShards(settings.activations, 'ACTIVATIONS', settings.tensor);
  let session: Session | undefined;
  try {
    if (shards.d_in !== model.d_in) {
      throw new UsageError(
        `ACTIVATIONS ${shards.shards[0].file.path}: d_in is ${shards.d_in}, but the SAE in ${settings.sae} has d_in ${model.d_in}`,
      );
    }
    session = await openSession(model, settings.backend);
    for (const note of session.notes) onNote?.(note);
    await requireWritableFolder(out, '--out');
    const record = latentsRecord({
      sae: model.hash,
      d_in: model.d_in,
      d_sae: model.d_sae,
      gate: gate.by,
      threshold: gate.by === 'batch' ? null : shownThreshold(gate.threshold),
      k: gate.by === 'batch' ? gate.k : null,
      batch,
      backend: session.notes[0],
      // Whole batches: where they choose, a file's end must not cut one.
      rowsPerFile: Math.ceil(settings.rowsPerFile / batch) * batch,
      sources: shards.shards.map(({ rows, facts }) => ({
        file: basename(facts.path),
        tensor: facts.tensor,
        rows,
        hash: facts.hash,
      })),
    });
    await claimFolder(out, record);
    const total = tally(model.d_sae);
    const buffer = new Float32Array(batch * model.d_in);
    for (const part of partsOf(record)) {
      const path = join(out, part.name);
      await removeLeftovers(path);
      if (existsSync(path)) {
        total.add(await readLatents(path, model.d_sae), true);
        onRows?.(total.rows(), shards.rows);
        continue;
      }
      const shard = shards.shards[part.source];
      const found: Latents[] = [];
      for (let row = part.first; row < part.first + part.rows; row += batch) {
        if (signal?.aborted) return { status: 'interrupted', ...total.result() };
        const rows = Math.min(batch, part.first + part.rows - row);
        const x = buffer.subarray(0, rows * model.d_in);
        await readActivations(shard, row, rows, x);
        found.push(await session.encode(x, rows, gate));
        onRows?.(total.rows() + row - part.first + rows, shards.rows);
      }
      const latents = joined(found);
      const source = basename(shard.facts.path);
      await writeLatents(path, latents, { d_sae: model.d_sae, source, first: part.first });
      total.add(latents, false);
    }
    return { status: 'done', ...total.result() };
  } finally {
    await session?.close();
    await shards.close();
  }
}

function gateOf(model: InferenceModel, settings: EncodeSettings): Gate {
  const { gate, threshold = model.threshold, k = model.k } = settings;
  if (gate === 'threshold') {
    if (settings.k !== undefined) throw new UsageError('--k: only --gate batch reads it');
    return { by: 'threshold', threshold };
  }
  if (settings.threshold !== undefined) {
    throw new UsageError('--threshold: --gate batch does not read it');
  }
  if (k === null) {
    throw new UsageError(`--k: the SAE in ${settings.sae} does not say its k: give it`);
  }
  if (!(k >= 0 && k <= model.d_sae)) {
    throw new UsageError(`--k: expected 0 <= k <= d_sae = ${model.d_sae}, got ${k}`);
  }
  return { by: 'batch', k };
}

const shownThreshold = (threshold: InferenceModel['threshold']): number | 'of each latent' =>
  typeof threshold === 'number' ? threshold : 'of each latent';

function tally(d_sae: number): {
  add(latents: Latents, kept: boolean): void;
  rows(): number;
  result(): Omit<Encoded, 'status'>;
} {
  const on = new Uint8Array(d_sae);
  let [rows, entries, files, kept, emptyRows] = [0, 0, 0, 0, 0];
  return {
    add(latents, wasThere) {
      files++;
      kept += Number(wasThere);
      rows += latents.rows;
      entries += latents.latent.length;
      for (const latent of latents.latent) on[latent] = 1;
      for (let n = 0; n < latents.rows; n++) {
        if (latents.start[n] === latents.start[n + 1]) emptyRows++;
      }
    },
    rows: () => rows,
    result: () => ({
      rows,
      files,
      kept,
      l0: rows === 0 ? 0 : entries / rows,
      neverOn: on.reduce((sum, flag) => sum + 1 - flag, 0),
      emptyRows,
    }),
  };
}

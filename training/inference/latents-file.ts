/**
 * Latents on disk: safetensors files of some thousand rows in compressed sparse rows, and `latents.json`, which says what made
 * them. A file: `indptr` I64 [rows + 1], `indices` I32 [entries], `values` F32 [entries], as SciPy's `csr_matrix((values,
 * indices, indptr), shape=(rows, d_sae))` takes them.
 * @module
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeTextAtomically } from '../atomic-file.ts';
import { fileError } from '../file-error.ts';
import { openSafetensors, readTensor, writeSafetensors } from '../formats/safetensors-file.ts';
import { tensorNamed } from '../formats/safetensors-header.ts';
import { UsageError } from '../usage-error.ts';
import type { Latents } from './latents.ts';

export const LATENTS_RECORD = 'latents.json';
const format = 'matryoshka-latents 1';

/** What latents were made from. The same record and backend mean the same bits. */
export interface LatentsRecord {
  readonly format: typeof format;
  /** Of the SAE's weights; see fingerprint.ts. */
  readonly sae: string;
  readonly d_in: number;
  readonly d_sae: number;
  readonly gate: 'threshold' | 'batch';
  /** The cut, or each latent's own; null where batches choose. */
  readonly threshold: number | 'of each latent' | null;
  /** Mean latents of a row; null where a threshold chooses. */
  readonly k: number | null;
  /** Rows computed at once; a batch is chosen from as a whole where batches choose. */
  readonly batch: number;
  readonly backend: string;
  readonly rowsPerFile: number;
  readonly sources: readonly {
    readonly file: string;
    readonly tensor: string;
    readonly rows: number;
    readonly hash: string;
  }[];
}

const count = z.int().nonnegative();
const schema: z.ZodType<LatentsRecord> = z.object({
  format: z.literal(format),
  sae: z.string(),
  d_in: count,
  d_sae: count,
  gate: z.enum(['threshold', 'batch']),
  threshold: z.union([z.number(), z.literal('of each latent')]).nullable(),
  k: z.number().nullable(),
  batch: count,
  backend: z.string(),
  rowsPerFile: count,
  sources: z.array(
    z.object({ file: z.string(), tensor: z.string(), rows: count, hash: z.string() }),
  ),
});

export const latentsRecord = (made: Omit<LatentsRecord, 'format'>): LatentsRecord => ({
  format,
  ...made,
});

/** @throws {@link UsageError} if the folder holds none, or one that is broken. */
export async function readLatentsRecord(folder: string): Promise<LatentsRecord> {
  const path = join(folder, LATENTS_RECORD);
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) throw new UsageError(`${path}: not JSON`);
    throw fileError(error, path);
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new UsageError(`${path}: ${issue.path.join('.') || 'content'}: ${issue.message}`);
}

/**
 * Claims a folder for a run: writes its record, or finds the same one there.
 * @throws {@link UsageError} naming the first field in which the folder's run was another.
 */
export async function claimFolder(folder: string, record: LatentsRecord): Promise<void> {
  const path = join(folder, LATENTS_RECORD);
  if (existsSync(path)) {
    const before: Readonly<Record<string, unknown>> = { ...(await readLatentsRecord(folder)) };
    for (const [field, value] of Object.entries(record)) {
      const [was, now] = [before[field], value].map((one) => JSON.stringify(one));
      if (was === now) continue;
      throw new UsageError(
        `--out ${folder}: holds latents of another run: ${field} was ${short(was)}, now ${short(now)}; choose another folder`,
      );
    }
    return;
  }
  await writeTextAtomically(path, `${JSON.stringify(record, null, 2)}\n`);
}

const short = (text: string | undefined): string =>
  text === undefined ? 'nothing' : text.length > 100 ? `${text.slice(0, 100)}…` : text;

/** One file of a run: some rows of one source. */
export interface Part {
  readonly name: string;
  /** Which source. */
  readonly source: number;
  readonly first: number;
  readonly rows: number;
}

/** All files of a run, in order. */
export function partsOf({ sources, rowsPerFile }: LatentsRecord): Part[] {
  return sources.flatMap(({ rows }, source) =>
    Array.from({ length: Math.ceil(rows / rowsPerFile) }, (_, part) => ({
      name: `${digits(source)}-${digits(part)}.safetensors`,
      source,
      first: part * rowsPerFile,
      rows: Math.min(rowsPerFile, rows - part * rowsPerFile),
    })),
  );
}

const digits = (value: number): string => String(value).padStart(5, '0');

/** @throws {@link UsageError} for a full disk and the like. */
export async function writeLatents(
  path: string,
  { start, latent, value, rows }: Latents,
  {
    d_sae,
    source,
    first,
  }: { readonly d_sae: number; readonly source: string; readonly first: number },
): Promise<void> {
  const entries = latent.length;
  await writeSafetensors(
    path,
    [
      {
        name: 'indptr',
        dtype: 'I64',
        shape: [rows + 1],
        read: () => BigInt64Array.from(start, (at) => BigInt(at)),
      },
      { name: 'indices', dtype: 'I32', shape: [entries], read: () => latent },
      { name: 'values', dtype: 'F32', shape: [entries], read: () => value },
    ],
    { format, d_sae: String(d_sae), source, first_row: String(first) },
  );
}

/** @throws {@link UsageError} naming the file and what is wrong with it. */
export async function readLatents(path: string, d_sae: number): Promise<Latents> {
  const file = await openSafetensors(path);
  try {
    const read = async (name: string, dtype: string): Promise<ArrayLike<number | bigint>> => {
      const tensor = tensorNamed(file, name, path);
      if (tensor.dtype !== dtype || tensor.shape.length !== 1) {
        throw new UsageError(
          `${path}: tensor "${name}" is ${tensor.dtype} of shape [${tensor.shape.join(', ')}], expected ${dtype} of one dimension`,
        );
      }
      return readTensor(file, tensor);
    };
    const start = Int32Array.from(await read('indptr', 'I64'), Number);
    const latent = (await read('indices', 'I32')) as Int32Array;
    const value = (await read('values', 'F32')) as Float32Array;
    const rows = start.length - 1;
    const wrong = disagreement(start, latent, value, d_sae);
    if (wrong !== null) throw new UsageError(`${path}: ${wrong}`);
    return { rows, start, latent, value };
  } finally {
    await file.close();
  }
}

function disagreement(
  start: Int32Array,
  latent: Int32Array,
  value: Float32Array,
  d_sae: number,
): string | null {
  const entries = start.at(-1);
  if (start.length === 0 || start[0] !== 0) return 'indptr: expected to begin with 0';
  if (entries !== latent.length || latent.length !== value.length) {
    return `indptr ends at ${entries}, with ${latent.length} indices and ${value.length} values; expected three equal numbers`;
  }
  for (let row = 0; row + 1 < start.length; row++) {
    if (start[row + 1] < start[row]) return `indptr: falls after row ${row}`;
    for (let e = start[row]; e < start[row + 1]; e++) {
      if (!(latent[e] >= 0 && latent[e] < d_sae)) {
        return `indices: expected latents below d_sae = ${d_sae}, got ${latent[e]} in row ${row}`;
      }
      if (e > start[row] && latent[e] <= latent[e - 1]) {
        return `indices: expected ascending latents, got ${latent[e]} after ${latent[e - 1]} in row ${row}`;
      }
      if (!Number.isFinite(value[e])) return `values: got ${value[e]} in row ${row}`;
    }
  }
  return null;
}

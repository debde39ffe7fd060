/**
 * Calls on disk: a safetensors file with an operator's tensors, and its configuration as JSON in the file's metadata.
 * @module
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { requireWritableFolder } from '../../training/atomic-file.ts';
import { fileError } from '../../training/file-error.ts';
import {
  openSafetensors,
  readRows,
  writeSafetensors,
  type SafetensorsFile,
} from '../../training/formats/safetensors-file.ts';
import type { Dtype, TensorInfo } from '../../training/formats/safetensors-header.ts';
import { isFloat, toFloat32 } from '../../training/formats/safetensors.ts';
import { UsageError } from '../../training/usage-error.ts';
import type { Tensor, Tensors } from '../kernel.ts';

export interface CaseFile {
  /** What messages call it. */
  readonly where: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: Tensors;
  /** SHA-256 of the whole file, in hexadecimal. */
  readonly sha256: string;
}

/**
 * @param requireNames - refuses names before any value is read.
 * @throws {@link UsageError} naming the file, the tensor, and the first value that is not finite or no float64.
 */
export async function readCase(
  path: string,
  requireNames: (names: readonly string[], where: string) => void = () => undefined,
): Promise<CaseFile> {
  const where = `--in ${path}`;
  await requireRegular(path, '--in');
  const file = await openSafetensors(path, '--in');
  try {
    requireNames([...file.tensors.keys()], where);
    const tensors: Record<string, Tensor> = {};
    for (const [name, info] of file.tensors) tensors[name] = await valuesOf(file, info, where);
    return { where, metadata: file.metadata, tensors, sha256: await sha256(path) };
  } finally {
    await file.close();
  }
}

/**
 * Proves, before anything is computed, that a result can be written, and not over the input.
 * @throws {@link UsageError} naming what is in the way.
 */
export async function requireResultPath(out: string, input: string): Promise<void> {
  const [there, source] = await Promise.all([factsOf(out), factsOf(input)]);
  if (there !== null) {
    if (there.isDirectory()) throw new UsageError(`--out ${out}: is a folder: name a file`);
    if (!there.isFile()) throw new UsageError(`--out ${out}: is no regular file: name another`);
    if (there.ino === source?.ino && there.dev === source.dev) {
      throw new UsageError(`--out ${out}: is the input itself: name another file`);
    }
  }
  await requireWritableFolder(dirname(out), '--out');
}

/** Writes tensors as F64, and what they came of as metadata. */
export async function writeResult(
  path: string,
  tensors: Tensors,
  metadata: Readonly<Record<string, string>>,
): Promise<void> {
  const written = Object.entries(tensors).map(([name, { shape, data }]) => ({
    name,
    shape,
    dtype: 'F64' as const,
    read: () => data,
  }));
  await writeSafetensors(path, written, metadata);
}

async function valuesOf(file: SafetensorsFile, info: TensorInfo, where: string): Promise<Tensor> {
  const { name, dtype, shape } = info;
  const tensor = `${where}: tensor ${JSON.stringify(name)}`;
  if (shape.includes(0)) {
    throw new UsageError(`${tensor}: expected at least one value, got shape (${shape.join(', ')})`);
  }
  const bytes = await readRows(file, info, 0, shape[0] ?? 1);
  const data = toFloat64(dtype, bytes, tensor);
  for (let i = 0; i < data.length; i++) {
    if (Number.isFinite(data[i])) continue;
    throw new UsageError(
      `${tensor}: expected finite values, got ${data[i]} at [${placeOf(i, shape).join(', ')}]`,
    );
  }
  return { shape, data };
}

const INTEGERS = {
  I32: Int32Array,
  U32: Uint32Array,
  I16: Int16Array,
  U16: Uint16Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const;

/** Values of a file as float64, exactly. @throws {@link UsageError} where there is no such value, or no such dtype. */
export function toFloat64(dtype: Dtype, bytes: Uint8Array, where: string): Float64Array {
  const { buffer } = new Uint8Array(bytes); // a copy, so that it is aligned
  if (dtype === 'F64') return new Float64Array(buffer);
  if (isFloat(dtype)) {
    const values = new Float32Array(bytes.length / (dtype === 'F32' ? 4 : 2));
    toFloat32(dtype, bytes, values);
    return Float64Array.from(values);
  }
  if (dtype === 'I64' || dtype === 'U64') {
    const whole = dtype === 'I64' ? new BigInt64Array(buffer) : new BigUint64Array(buffer);
    return Float64Array.from(whole, (value) => {
      if (BigInt(Number(value)) === value) return Number(value);
      throw new UsageError(`${where}: ${value} is no float64 value`);
    });
  }
  if (dtype === 'F8_E4M3' || dtype === 'F8_E5M2') {
    throw new UsageError(
      `${where}: dtype ${dtype}, expected one of F64 F32 F16 BF16 ${Object.keys(INTEGERS).join(' ')} I64 U64`,
    );
  }
  return Float64Array.from(new INTEGERS[dtype](buffer));
}

/** Indices of the value at a flat index. */
function placeOf(at: number, shape: readonly number[]): number[] {
  const place: number[] = [];
  let rest = at;
  for (const size of [...shape].reverse()) {
    place.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return place;
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Uint8Array);
  return hash.digest('hex');
}

/** A pipe would be waited for, or read only once. */
async function requireRegular(path: string, field: string): Promise<void> {
  let facts;
  try {
    facts = await stat(path);
  } catch (error) {
    throw fileError(error, path, field);
  }
  if (facts.isFile() || facts.isDirectory()) return; // of a folder openSafetensors speaks
  throw new UsageError(`${field} ${path}: is no regular file: name one`);
}

async function factsOf(path: string): Promise<Awaited<ReturnType<typeof stat>> | null> {
  return stat(path).catch(() => null);
}

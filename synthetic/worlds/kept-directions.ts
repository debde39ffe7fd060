/**
 * Directions that take minutes to make, kept on disk between commands and beside threads.
 * @module
 */
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { matrix, type Matrix } from '../../reference/matrix.ts';
import { cacheFolder } from '../../training/cache-folder.ts';
import type { SynthParams } from './params.ts';

/** Multiplications from which they are kept: half a minute of them. */
const WORTH = 1e11;

/** To be raised whenever other directions come of the same parameters. */
const MAKING = 1;

const HASH_BYTES = 32;

/**
 * @param make - makes them, (features, d_in), where none are kept.
 * @param folder - where files are; `directions` in the cache folder if left out.
 * @param worth - multiplications from which they are kept.
 */
export function keptDirections(
  { features, d_in, orthogonalisation }: SynthParams,
  seed: number,
  make: () => Matrix,
  folder: string = join(cacheFolder(), 'directions'),
  worth: number = WORTH,
): Matrix {
  if (1.5 * features * d_in * d_in * orthogonalisation.steps < worth) return make();
  const key = JSON.stringify([MAKING, features, d_in, orthogonalisation, seed]);
  const path = join(folder, `${createHash('sha256').update(key).digest('hex').slice(0, 32)}.f64`);
  const kept = read(path, features * d_in);
  if (kept !== null) return matrix(features, d_in, kept);
  const made = make();
  write(path, made.data);
  return made;
}

/** Null where there is no such file, or another program left half of one. */
function read(path: string, length: number): Float64Array | null {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch {
    return null;
  }
  const values = bytes.subarray(HASH_BYTES);
  if (values.length !== 8 * length) return null;
  if (!hashOf(values).equals(bytes.subarray(0, HASH_BYTES))) return null;
  const data = new Float64Array(length);
  new Uint8Array(data.buffer).set(values);
  return data;
}

/** Where nothing can be written they are made anew each time: that costs time, and changes nothing. */
function write(path: string, data: Float64Array): void {
  const values = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const half = `${path}.${randomUUID()}`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(half, Buffer.concat([hashOf(values), values]));
    renameSync(half, path);
  } catch {
    if (existsSync(half)) rmSync(half, { force: true });
  }
}

function hashOf(values: Uint8Array): Buffer {
  return createHash('sha256').update(values).digest();
}

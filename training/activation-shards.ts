/**
 * Activations in safetensors shards, opened and checked. Rows are read by ranges: nothing here holds a shard in memory.
 * @module
 */

import { UsageError } from './usage-error.ts';
import { fingerprint } from './formats/fingerprint.ts';
import type { TensorInfo } from './formats/safetensors-header.ts';
import { openSafetensors, readRows, type SafetensorsFile } from './formats/safetensors-file.ts';
import { isFloat, toFloat32 } from './formats/safetensors.ts';

/** The tensor's name unless the user gives another. */
export const ACTIVATIONS = 'activations';

/** What a checkpoint and a finished SAE say of a shard. */
export interface ShardFacts {
  readonly path: string;
  readonly tensor: string;
  readonly dtype: string;
  readonly rows: number;
  readonly hash: string;
}

/** One open shard. */
export interface Shard {
  readonly file: SafetensorsFile;
  readonly tensor: TensorInfo;
  readonly rows: number;
  readonly facts: ShardFacts;
}

/** All shards of one kind, end to end: row r of the whole is row r − firstRow of the shard that holds it. */
export interface ActivationShards {
  readonly shards: readonly Shard[];
  readonly d_in: number;
  readonly rows: number;
  close(): Promise<void>;
}

/**
 * @param paths - at least one file.
 * @param field - the option they were given for, such as `--activations`.
 * @param tensorName - the tensor to take from each; if left out, `activations`, or else the only 2-D float tensor.
 * @throws {@link UsageError} naming the file: not safetensors, no such tensor, not a float matrix, no rows, or another
 * width than the first.
 */
export async function openShards(
  paths: readonly string[],
  field: string,
  tensorName?: string,
): Promise<ActivationShards> {
  if (paths.length === 0) throw new UsageError(`${field}: expected at least one file, got none`);
  const shards: Shard[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(shards.map(({ file }) => file.close()));
  };
  try {
    for (const path of paths) shards.push(await openShard(path, field, tensorName));
    const d_in = shards[0].tensor.shape[1];
    for (const { file, tensor } of shards) {
      if (tensor.shape[1] !== d_in) {
        throw new UsageError(
          `${field} ${file.path}: d_in is ${tensor.shape[1]}, but ${shards[0].file.path} has d_in ${d_in}: give shards of one width`,
        );
      }
    }
    return {
      shards,
      d_in,
      rows: shards.reduce((sum, { rows }) => sum + rows, 0),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * Rows of one shard as float32, checked.
 * @param first - row within the shard.
 * @param out - (count, d_in).
 * @throws {@link UsageError} naming file, row and value if one is NaN or infinite.
 */
export async function readActivations(
  shard: Shard,
  first: number,
  count: number,
  out: Float32Array,
): Promise<void> {
  toFloat32(shard.tensor.dtype, await readRows(shard.file, shard.tensor, first, count), out);
  for (let i = 0; i < out.length; i++) {
    // x - x is 0 for every finite x and NaN for the rest: one operation instead of two tests.
    if (out[i] - out[i] !== 0) {
      const d_in = shard.tensor.shape[1];
      throw new UsageError(
        `${shard.file.path}: row ${first + Math.floor(i / d_in)} of tensor "${shard.tensor.name}" holds ${out[i]} at column ${i % d_in}: remove the row or collect it again`,
      );
    }
  }
}

/**
 * All rows in order, in batches of at most `batchRows`; the buffer is reused, so use a batch before asking for the next.
 */
export async function* rowsInOrder(
  activations: ActivationShards,
  batchRows: number,
): AsyncGenerator<{ x: Float32Array; rows: number }> {
  const buffer = new Float32Array(batchRows * activations.d_in);
  for (const shard of activations.shards) {
    for (let first = 0; first < shard.rows; first += batchRows) {
      const rows = Math.min(batchRows, shard.rows - first);
      const x = buffer.subarray(0, rows * activations.d_in);
      await readActivations(shard, first, rows, x);
      yield { x, rows };
    }
  }
}

async function openShard(path: string, field: string, tensorName?: string): Promise<Shard> {
  const file = await openSafetensors(path, field);
  try {
    const tensor = chooseTensor(file, field, tensorName);
    const [rows, d_in] = tensor.shape;
    if (rows === 0 || d_in === 0) {
      throw new UsageError(
        `${field} ${path}: tensor "${tensor.name}" has shape [${rows}, ${d_in}]: it holds no activations`,
      );
    }
    const facts = {
      path,
      tensor: tensor.name,
      dtype: tensor.dtype,
      rows,
      hash: await fingerprint(path),
    };
    return { file, tensor, rows, facts };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function chooseTensor(file: SafetensorsFile, field: string, name?: string): TensorInfo {
  const where = `${field} ${file.path}`;
  const matrices = [...file.tensors.values()].filter(isFloatMatrix);
  const wanted = name ?? ACTIVATIONS;
  const found = file.tensors.get(wanted);
  if (found !== undefined) {
    if (isFloatMatrix(found)) return found;
    throw new UsageError(
      `${where}: tensor "${wanted}" is ${found.dtype} of shape [${found.shape.join(', ')}], expected a float matrix [rows, d_in]`,
    );
  }
  if (name === undefined && matrices.length === 1) return matrices[0];
  const listed = matrices.map((tensor) => tensor.name).join(', ') || 'none';
  throw new UsageError(
    `${where}: has no tensor "${wanted}"; float matrices in it: ${listed}: choose one with --tensor`,
  );
}

function isFloatMatrix(tensor: TensorInfo): boolean {
  return tensor.shape.length === 2 && isFloat(tensor.dtype);
}

/**
 * Safetensors files: read by byte ranges, so that a shard larger than memory can be streamed, and written tensor by
 * tensor, so that a training state is never held twice.
 * @module
 */

import { open, type FileHandle } from 'node:fs/promises';
import { writeAtomically } from '../atomic-file.ts';
import { fileError } from '../file-error.ts';
import { UsageError } from '../usage-error.ts';
import { headerLength, parseHeader } from './safetensors-header.ts';
import type { SafetensorsHeader, TensorInfo } from './safetensors-header.ts';
import { bytesOf, layOut, valuesOf, type TensorData, type TensorShape } from './safetensors.ts';

/** A tensor to write, its values fetched only when it is their turn. */
export interface LazyTensor extends TensorShape {
  /** Row-major values, `Π shape` of them, in the array type of the dtype. */
  read(): TensorData | Promise<TensorData>;
}

/** An open file: its header checked, its data unread. */
export interface SafetensorsFile extends SafetensorsHeader {
  readonly path: string;
  readonly fileBytes: number;
  /** Where the data begin: 8 + length of the JSON. */
  readonly dataStart: number;
  readonly handle: FileHandle;
  close(): Promise<void>;
}

/** Largest piece handed to the operating system at once: Node refuses 2 GiB and more. */
const PIECE_BYTES = 64 * 1024 * 1024;

/**
 * Opens a file and checks its whole header.
 * @param field - the option the path was given for, put in front of messages.
 * @throws {@link UsageError} if it is missing, unreadable, a folder, truncated, or not safetensors.
 */
export async function openSafetensors(path: string, field?: string): Promise<SafetensorsFile> {
  const where = field === undefined ? path : `${field} ${path}`;
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'r');
    const facts = await handle.stat();
    if (facts.isDirectory()) throw new UsageError(`${where}: is a folder: name a file`);
    const first = await readRange(handle, 0, Math.min(8, facts.size), where);
    const length = headerLength(first, facts.size, where);
    const json = await readRange(handle, 8, 8 + length, where);
    const header = parseHeader(json, facts.size - 8 - length, where);
    const opened = handle;
    return {
      ...header,
      path,
      fileBytes: facts.size,
      dataStart: 8 + length,
      handle: opened,
      close: () => opened.close(),
    };
  } catch (error) {
    await handle?.close();
    throw fileError(error, path, field);
  }
}

/**
 * Rows `first` to `first + count` of a tensor (of a scalar or vector: its values), as the file's bytes.
 * @param into - where to put them; a new buffer if left out.
 * @throws {@link UsageError} if the file has become shorter; {@link RangeError} if the rows do not exist.
 */
export async function readRows(
  file: SafetensorsFile,
  tensor: TensorInfo,
  first: number,
  count: number,
  into?: Uint8Array,
): Promise<Uint8Array> {
  const rows = tensor.shape[0] ?? 1;
  if (!(first >= 0 && count >= 0 && first + count <= rows)) {
    throw new RangeError(
      `readRows: expected rows inside 0..${rows}, got ${first}..${first + count}`,
    );
  }
  const rowBytes = rows === 0 ? 0 : (tensor.end - tensor.begin) / rows;
  const start = file.dataStart + tensor.begin + first * rowBytes;
  return readRange(file.handle, start, start + count * rowBytes, file.path, into);
}

/** All values of a tensor; 16-bit floats as their bits. */
export async function readTensor(file: SafetensorsFile, tensor: TensorInfo): Promise<TensorData> {
  const start = file.dataStart + tensor.begin;
  const bytes = await readRange(file.handle, start, file.dataStart + tensor.end, file.path);
  return valuesOf(tensor, bytes, file.path);
}

/**
 * Writes a file so that `path` is, at every instant, absent, the old file or the whole new one.
 * @throws {@link UsageError} for a full disk and the like; {@link RangeError} for a repeated name, or values that do
 * not fit the shape.
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly LazyTensor[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { prefix, inOrder, dataBytes } = layOut(tensors, metadata);
  await writeAtomically(path, prefix.length + dataBytes, async (handle) => {
    await writeAll(handle, prefix);
    for (const tensor of inOrder) await writeAll(handle, bytesOf(tensor, await tensor.read()));
  });
}

async function readRange(
  handle: FileHandle,
  begin: number,
  end: number,
  where: string,
  into: Uint8Array = new Uint8Array(end - begin),
): Promise<Uint8Array> {
  const target = into.subarray(0, end - begin);
  let done = 0;
  while (done < target.length) {
    const piece = Math.min(PIECE_BYTES, target.length - done);
    const { bytesRead } = await handle.read(target, done, piece, begin + done);
    if (bytesRead === 0) {
      throw new UsageError(`${where}: became shorter while it was read: copy it again`);
    }
    done += bytesRead;
  }
  return target;
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const piece = Math.min(PIECE_BYTES, bytes.length - done);
    done += (await handle.write(bytes, done, piece)).bytesWritten;
  }
}

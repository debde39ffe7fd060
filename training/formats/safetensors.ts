/**
 * The safetensors format in memory: tensors to one buffer and back. Files of it are in safetensors-file.ts. Written here
 * because no maintained npm package writes the format. Assumes a little-endian machine, as every platform of Node in
 * use is.
 * @module
 */

import { UsageError } from '../usage-error.ts';
import { decodeBF16, decodeF16 } from './half-precision.ts';
import { DTYPE_BYTES, headerLength, parseHeader, type Dtype } from './safetensors-header.ts';
import type { TensorInfo } from './safetensors-header.ts';

/** The array that holds values of each dtype written here; 16-bit floats are held as their bits. */
const ARRAYS: {
  readonly F64: Float64ArrayConstructor;
  readonly I64: BigInt64ArrayConstructor;
  readonly F32: Float32ArrayConstructor;
  readonly I32: Int32ArrayConstructor;
  readonly F16: Uint16ArrayConstructor;
  readonly BF16: Uint16ArrayConstructor;
  readonly U8: Uint8ArrayConstructor;
} = {
  F64: Float64Array,
  I64: BigInt64Array,
  F32: Float32Array,
  I32: Int32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  U8: Uint8Array,
};

export type WrittenDtype = keyof typeof ARRAYS;

export type TensorData =
  Float64Array | BigInt64Array | Float32Array | Int32Array | Uint16Array | Uint8Array;

/** What is known of a tensor before its values are. */
export interface TensorShape {
  readonly name: string;
  readonly dtype: WrittenDtype;
  /** Row-major; [] is a scalar. */
  readonly shape: readonly number[];
}

/** A tensor in memory. */
export interface Tensor extends TensorShape {
  readonly data: TensorData;
}

/**
 * Float values of any float dtype as float32: exact for F16, BF16 and F32, rounded to nearest for F64.
 * @param bytes - as in the file.
 * @param out - float32, as many as there are values.
 * @throws {@link RangeError} if the dtype is not a float of 16 bits or more.
 */
export function toFloat32(dtype: Dtype, bytes: Uint8Array, out: Float32Array): void {
  if (!isFloat(dtype)) {
    throw new RangeError(`toFloat32: expected dtype F16, BF16, F32 or F64, got ${dtype}`);
  }
  const values = arrayOver(dtype, bytes);
  if (dtype === 'F16') decodeF16(values as Uint16Array, out);
  else if (dtype === 'BF16') decodeBF16(values as Uint16Array, out);
  else out.set(values as Float32Array | Float64Array);
}

/** Whether {@link toFloat32} takes this dtype. */
export function isFloat(dtype: Dtype): dtype is 'F16' | 'BF16' | 'F32' | 'F64' {
  return dtype === 'F16' || dtype === 'BF16' || dtype === 'F32' || dtype === 'F64';
}

/** Size in bytes of the whole file of these tensors. */
export function safetensorsBytes(
  tensors: readonly TensorShape[],
  metadata: Readonly<Record<string, string>> = {},
): number {
  const { prefix, dataBytes } = layOut(tensors, metadata);
  return prefix.length + dataBytes;
}

/** A whole file in one buffer. @throws {@link RangeError} for a repeated name, or values that do not fit the shape. */
export function encodeSafetensors(
  tensors: readonly Tensor[],
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const { prefix, inOrder, dataBytes } = layOut(tensors, metadata);
  const out = new Uint8Array(prefix.length + dataBytes);
  out.set(prefix);
  let at = prefix.length;
  for (const tensor of inOrder) {
    const bytes = bytesOf(tensor, tensor.data);
    out.set(bytes, at);
    at += bytes.length;
  }
  return out;
}

/**
 * @param bytes - a whole file; the arrays returned are copies where the buffer is not aligned, else views of it.
 * @param where - what the buffer is, put in front of every message.
 * @throws {@link UsageError} for anything that is not valid safetensors of the dtypes written here.
 */
export function decodeSafetensors(
  bytes: Uint8Array,
  where: string,
): { tensors: Map<string, Tensor>; metadata: Readonly<Record<string, string>> } {
  const length = headerLength(bytes.subarray(0, 8), bytes.length, where);
  const start = 8 + length;
  const header = parseHeader(bytes.subarray(8, start), bytes.length - start, where);
  const tensors = new Map<string, Tensor>();
  for (const [name, tensor] of header.tensors) {
    const data = valuesOf(tensor, bytes.subarray(start + tensor.begin, start + tensor.end), where);
    tensors.set(name, { name, dtype: tensor.dtype as WrittenDtype, shape: tensor.shape, data });
  }
  return { tensors, metadata: header.metadata };
}

/** The header's bytes, and the tensors in the order of their data: wide dtypes first keeps all of them aligned. */
export function layOut<T extends TensorShape>(
  tensors: readonly T[],
  metadata: Readonly<Record<string, string>>,
): { prefix: Uint8Array; inOrder: T[]; dataBytes: number } {
  const inOrder = [...tensors].sort((a, b) => DTYPE_BYTES[b.dtype] - DTYPE_BYTES[a.dtype]);
  const entries: [string, unknown][] = [];
  if (Object.keys(metadata).length > 0) entries.push(['__metadata__', metadata]);
  const names = new Set(['__metadata__']);
  let at = 0;
  for (const { name, dtype, shape } of inOrder) {
    if (names.has(name)) throw new RangeError(`safetensors: two tensors named "${name}"`);
    names.add(name);
    const end = at + valueCount(shape) * DTYPE_BYTES[dtype];
    entries.push([name, { dtype, shape, data_offsets: [at, end] }]);
    at = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const padded = Math.ceil(json.length / 8) * 8;
  const prefix = new Uint8Array(8 + padded).fill(0x20);
  new DataView(prefix.buffer).setBigUint64(0, BigInt(padded), true);
  prefix.set(json, 8);
  return { prefix, inOrder, dataBytes: at };
}

function valueCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** @throws {@link RangeError} if the values do not fit the tensor's dtype and shape. */
export function bytesOf({ name, dtype, shape }: TensorShape, data: TensorData): Uint8Array {
  const expected = valueCount(shape);
  if (!(data instanceof ARRAYS[dtype]) || data.length !== expected) {
    throw new RangeError(
      `safetensors: tensor "${name}": expected ${ARRAYS[dtype].name} of ${expected} values, got ${data.constructor.name} of ${data.length}`,
    );
  }
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** @throws {@link UsageError} if the dtype is not one of those written here. */
export function valuesOf(tensor: TensorInfo, bytes: Uint8Array, where: string): TensorData {
  if (!isWritten(tensor.dtype)) {
    throw new UsageError(
      `${where}: tensor "${tensor.name}": dtype ${tensor.dtype}, expected one of ${Object.keys(ARRAYS).join(' ')}`,
    );
  }
  return arrayOver(tensor.dtype, bytes);
}

function isWritten(dtype: Dtype): dtype is WrittenDtype {
  return Object.hasOwn(ARRAYS, dtype);
}

/** A view of the bytes, or of a copy where they are not aligned. */
function arrayOver(dtype: WrittenDtype, bytes: Uint8Array): TensorData {
  const width = DTYPE_BYTES[dtype];
  const aligned = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes);
  return new ARRAYS[dtype](
    aligned.buffer as ArrayBuffer,
    aligned.byteOffset,
    aligned.length / width,
  );
}

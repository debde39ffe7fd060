/**
 * The header of a safetensors file: 8 bytes of length (little-endian), JSON naming each tensor's dtype, shape and
 * byte range, then the raw little-endian data. Checks everything before a byte of data is believed: the ranges
 * must fill the data exactly, without gap or overlap, as https://github.com/huggingface/safetensors requires.
 * @module
 */

import { UsageError } from '../usage-error.ts';

/** Bytes of one value of each dtype. A file may hold any of them; safetensors.ts writes and decodes the usual ones. */
export const DTYPE_BYTES = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
} as const;

export type Dtype = keyof typeof DTYPE_BYTES;

/** Headers beyond this are refused, as the format's own library does: nothing honest needs 100 MB of names. */
export const MAX_HEADER_BYTES = 100_000_000;

export interface TensorInfo {
  readonly name: string;
  readonly dtype: Dtype;
  /** Row-major; [] is a scalar. */
  readonly shape: readonly number[];
  /** First byte and one past the last, counted from the start of the data. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The `__metadata__` entry: strings only. */
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * @param first - the first 8 bytes of the file (fewer if it is shorter).
 * @param fileBytes - size of the whole file.
 * @param where - the file's name, put in front of every message.
 * @returns the length of the JSON in bytes.
 * @throws {@link UsageError} if no header of that length can be there.
 */
export function headerLength(first: Uint8Array, fileBytes: number, where: string): number {
  if (fileBytes === 0) throw new UsageError(`${where}: empty file, expected safetensors`);
  if (first.length < 8 || fileBytes < 8) {
    throw new UsageError(`${where}: ${fileBytes} bytes, too short for safetensors (at least 10)`);
  }
  const length = new DataView(first.buffer, first.byteOffset, 8).getBigUint64(0, true);
  if (length < 2n || length > MAX_HEADER_BYTES) {
    throw new UsageError(
      `${where}: not safetensors: the first 8 bytes give a header of ${length} bytes, expected 2 to ${MAX_HEADER_BYTES}`,
    );
  }
  if (length > fileBytes - 8) {
    throw new UsageError(
      `${where}: truncated or not safetensors: the header should have ${length} bytes, the file has ${fileBytes - 8} after the first 8`,
    );
  }
  return Number(length);
}

/**
 * @param bytes - the JSON part, without the 8 bytes of length.
 * @param dataBytes - how many bytes follow it.
 * @param where - the file's name, put in front of every message.
 * @throws {@link UsageError} naming the tensor and the value, for anything the format does not allow.
 */
export function parseHeader(
  bytes: Uint8Array,
  dataBytes: number,
  where: string,
): SafetensorsHeader {
  const json = parseJson(bytes, where);
  const tensors = new Map<string, TensorInfo>();
  let metadata: Readonly<Record<string, string>> = {};
  for (const [name, entry] of Object.entries(json)) {
    if (name === '__metadata__') metadata = stringRecord(entry, where);
    else tensors.set(name, tensorInfo(name, entry, where));
  }
  requireExactCover([...tensors.values()], dataBytes, where);
  return { tensors, metadata };
}

/**
 * The named tensor of an open file or decoded buffer.
 * @throws {@link UsageError} listing the names there are, if it is absent.
 */
export function tensorNamed(header: SafetensorsHeader, name: string, where: string): TensorInfo {
  const tensor = header.tensors.get(name);
  if (tensor !== undefined) return tensor;
  const names = [...header.tensors.keys()];
  const some = names.length > 8 ? `${names.slice(0, 8).join(', ')}, ...` : names.join(', ');
  throw new UsageError(`${where}: has no tensor "${name}"; it has: ${some || 'none'}`);
}

function parseJson(bytes: Uint8Array, where: string): Record<string, unknown> {
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    json = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    // Node quotes the text it could not read, line ends included; the message stays one line.
    throw new UsageError(
      `${where}: not safetensors: the header is not JSON (${reason.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 120)})`,
    );
  }
  if (!isRecord(json)) throw new UsageError(`${where}: the header is not a JSON object`);
  const twice = duplicateKey(text);
  if (twice !== undefined) {
    throw new UsageError(`${where}: the header names ${JSON.stringify(twice)} twice`);
  }
  return json;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** JSON.parse keeps the last of two equal keys without a word, so they are looked for in the text: valid JSON. */
function duplicateKey(json: string): string | undefined {
  const open: Set<string>[] = [];
  for (let i = 0; i < json.length; i++) {
    const char = json[i];
    if (char === '{') open.push(new Set());
    else if (char === '}') open.pop();
    else if (char === '"') {
      const start = i;
      for (i++; json[i] !== '"'; i++) if (json[i] === '\\') i++;
      let after = i + 1;
      while (/\s/.test(json[after] ?? '')) after++;
      if (json[after] !== ':') continue;
      const key = JSON.parse(json.slice(start, i + 1)) as string;
      const keys = open[open.length - 1];
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
}

function stringRecord(entry: unknown, where: string): Readonly<Record<string, string>> {
  if (!isRecord(entry)) throw new UsageError(`${where}: __metadata__ is not a JSON object`);
  for (const [key, value] of Object.entries(entry)) {
    if (typeof value !== 'string') {
      throw new UsageError(`${where}: __metadata__ ${JSON.stringify(key)} is not a string`);
    }
  }
  return entry as Record<string, string>;
}

function tensorInfo(name: string, entry: unknown, where: string): TensorInfo {
  const tensor = `${where}: tensor ${JSON.stringify(name)}`;
  if (!isRecord(entry)) throw new UsageError(`${tensor}: the entry is not a JSON object`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== 'string' || !Object.hasOwn(DTYPE_BYTES, dtype)) {
    throw new UsageError(
      `${tensor}: dtype ${JSON.stringify(dtype)}, expected one of ${Object.keys(DTYPE_BYTES).join(' ')}`,
    );
  }
  if (!isWholeNumbers(shape)) {
    throw new UsageError(`${tensor}: shape ${short(shape)}, expected a list of whole numbers >= 0`);
  }
  if (!isWholeNumbers(offsets) || offsets.length !== 2) {
    throw new UsageError(`${tensor}: data_offsets ${short(offsets)}, expected [begin, end]`);
  }
  const [begin, end] = offsets;
  const expected = shape.reduce((product, size) => product * size, 1) * DTYPE_BYTES[dtype as Dtype];
  if (end - begin !== expected) {
    throw new UsageError(
      `${tensor}: data_offsets [${begin}, ${end}] hold ${end - begin} bytes, ${dtype} of shape [${short(shape).slice(1, -1)}] needs ${expected}`,
    );
  }
  return { name, dtype: dtype as Dtype, shape, begin, end };
}

function isWholeNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? 'missing';
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** Every byte of the data belongs to exactly one tensor. */
function requireExactCover(tensors: TensorInfo[], dataBytes: number, where: string): void {
  const inOrder = tensors.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let at = 0;
  for (const tensor of inOrder) {
    const name = JSON.stringify(tensor.name);
    if (tensor.begin < at) {
      throw new UsageError(
        `${where}: tensor ${name} begins at byte ${tensor.begin}, inside the tensor before it (ends at ${at})`,
      );
    }
    if (tensor.begin > at) {
      throw new UsageError(
        `${where}: bytes ${at} to ${tensor.begin} before tensor ${name} belong to no tensor`,
      );
    }
    at = tensor.end;
    if (at > dataBytes) {
      throw new UsageError(
        `${where}: truncated: tensor ${name} ends at byte ${at} of the data, the file has ${dataBytes}; copy it again`,
      );
    }
  }
  if (at !== dataBytes) {
    throw new UsageError(`${where}: ${dataBytes - at} bytes after the last tensor belong to none`);
  }
}

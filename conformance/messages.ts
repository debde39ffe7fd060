/**
 * Messages between the suite and a kernel in another process: frames on a pipe, each a safetensors file in memory.
 *
 * A frame is 8 bytes that no text contains, the message's length as 8 bytes (little-endian), and the message. Whatever else
 * arrives on the pipe (a stray print above all) is passed over up to the next frame, and reported. The page for those who
 * write the other side is docs/certify.md.
 * @module
 */
import {
  decodeSafetensors,
  encodeSafetensors,
  isFloat,
  type Tensor as StoredTensor,
} from '../training/formats/safetensors.ts';
import { decodeBF16, decodeF16 } from '../training/formats/half-precision.ts';
import type { Tensor, Tensors } from './kernel.ts';
import { encodeFloats, type FloatFormat } from './number-formats.ts';

/** The start of every frame: a byte that is no UTF-8, a name with the protocol's version, and a line end. */
export const frameStart: Uint8Array = Uint8Array.of(0x93, 0x53, 0x41, 0x45, 0x6b, 0x31, 0x0d, 0x0a);

export const protocolVersion = 1;

/** Longest message taken from a kernel unless the call's own outputs are longer. */
export const longestMessage: number = 64 * 2 ** 20;

/** A message: what it is about, as texts, and tensors by name. */
export interface Message {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: Tensors;
}

/** What a kernel sent that is no message, or not one that may be taken. */
export class ProtocolError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ProtocolError';
  }
}

/** A message as a frame, its tensors in the format given. */
export function encodeFrame({ metadata, tensors }: Message, format: FloatFormat): Uint8Array {
  const stored = Object.entries(tensors).map(([name, { shape, data }]): StoredTensor => {
    const { dtype, values } = encodeFloats(data, format);
    return { name, dtype, shape, data: values };
  });
  const message = encodeSafetensors(stored, metadata);
  const frame = new Uint8Array(headBytes + message.length);
  frame.set(frameStart);
  viewOf(frame).setBigUint64(frameStart.length, BigInt(message.length), true);
  frame.set(message, headBytes);
  return frame;
}

/** The dtype each tensor was sent in: an answer in another one than asked for is a finding. */
export type SentDtypes = Readonly<Record<string, string>>;

/** @throws {@link ProtocolError} if the bytes are no safetensors file of floats. */
export function decodeMessage(bytes: Uint8Array): Message & { readonly dtypes: SentDtypes } {
  let decoded: ReturnType<typeof decodeSafetensors>;
  try {
    decoded = decodeSafetensors(bytes, 'answer');
  } catch (error) {
    throw new ProtocolError(error instanceof Error ? error.message : String(error));
  }
  const tensors: [string, Tensor][] = [];
  const dtypes: [string, string][] = [];
  for (const [name, stored] of decoded.tensors) {
    tensors.push([name, { shape: stored.shape, data: numbersOf(stored) }]);
    dtypes.push([name, stored.dtype]);
  }
  return {
    metadata: decoded.metadata,
    tensors: Object.fromEntries(tensors),
    dtypes: Object.fromEntries(dtypes),
  };
}

function numbersOf({ name, dtype, data }: StoredTensor): Float64Array {
  if (!isFloat(dtype)) {
    if (dtype === 'I64') return Float64Array.from(data as BigInt64Array, Number);
    if (dtype === 'I32' || dtype === 'U8') return Float64Array.from(data as Int32Array);
    throw new ProtocolError(`answer: tensor "${name}" has dtype ${String(dtype)}`);
  }
  if (dtype === 'F32' || dtype === 'F64') return Float64Array.from(data as Float64Array);
  const floats = new Float32Array(data.length);
  (dtype === 'F16' ? decodeF16 : decodeBF16)(data as Uint16Array, floats);
  return Float64Array.from(floats);
}

/** What came out of a pipe, in order. */
export type Received =
  | { readonly kind: 'message'; readonly bytes: Uint8Array }
  /** Bytes that belong to no frame: at most the first few hundred are kept, as text. */
  | { readonly kind: 'stray'; readonly text: string; readonly bytes: number };

const keptStray = 400;
const headBytes = frameStart.length + 8;

/**
 * Takes a pipe's chunks and gives messages and strays. Holds no more than one message of at most `limit` bytes: a longer
 * one is refused before any of it is kept.
 */
export class FrameReader {
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;
  /** Bytes to wait for before looking again. */
  #needed = 1;
  #stray = '';
  #strayBytes = 0;
  readonly #limit: () => number;

  /** @param limit - the longest message that may come next. */
  constructor(limit: () => number) {
    this.#limit = limit;
  }

  /** @throws {@link ProtocolError} on a frame longer than the limit. */
  push(chunk: Uint8Array): Received[] {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < this.#needed) return [];
    let pending = joined(this.#chunks);
    const received: Received[] = [];
    for (;;) {
      const start = indexOfFrame(pending);
      this.#keepStray(pending.subarray(0, start));
      pending = pending.subarray(start);
      const end = this.#endOfFrame(pending);
      if (end > pending.length) {
        this.#keep(pending, end);
        return received;
      }
      received.push(...this.strays());
      received.push({ kind: 'message', bytes: pending.slice(headBytes, end) });
      pending = pending.subarray(end);
    }
  }

  /** Where the frame at the start of these bytes ends, or where it will be known. */
  #endOfFrame(bytes: Uint8Array): number {
    if (bytes.length < headBytes) return headBytes;
    const length = Number(viewOf(bytes).getBigUint64(frameStart.length, true));
    if (length > this.#limit()) {
      throw new ProtocolError(
        `answer: a message of ${length.toLocaleString('en')} bytes, expected at most ${this.#limit().toLocaleString('en')}`,
      );
    }
    return headBytes + length;
  }

  #keep(bytes: Uint8Array, needed: number): void {
    this.#chunks.length = 0;
    if (bytes.length > 0) this.#chunks.push(bytes);
    this.#bytes = bytes.length;
    this.#needed = bytes.length === 0 ? 1 : needed;
  }

  /** What arrived and belongs to no frame, if anything; asked for at the end of a pipe, too. */
  strays(): Received[] {
    if (this.#strayBytes === 0) return [];
    const stray: Received = { kind: 'stray', text: this.#stray, bytes: this.#strayBytes };
    this.#stray = '';
    this.#strayBytes = 0;
    return [stray];
  }

  #keepStray(bytes: Uint8Array): void {
    const room = Math.max(0, keptStray - this.#strayBytes);
    this.#stray += new TextDecoder().decode(bytes.subarray(0, room));
    this.#strayBytes += bytes.length;
  }
}

/** Where a frame starts, or might: the length less what could be the beginning of one, if none does. */
function indexOfFrame(bytes: Uint8Array): number {
  const [first] = frameStart;
  for (let at = bytes.indexOf(first); at !== -1; at = bytes.indexOf(first, at + 1)) {
    const end = Math.min(bytes.length, at + frameStart.length);
    let i = at;
    while (i < end && bytes[i] === frameStart[i - at]) i++;
    if (i === end) return at;
  }
  return bytes.length;
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  if (chunks.length === 1) return chunks[0];
  const out = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    out.set(chunk, at);
    at += chunk.length;
  }
  return out;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

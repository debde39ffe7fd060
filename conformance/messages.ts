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

/** Longest message taken from a kernel, beside what the call's own outputs need. */
export const longestMessage: number = 64 * 2 ** 20;

/** Stray bytes taken between two messages: a kernel that prints without end is stopped there. */
export const mostStray: number = 16 * 2 ** 20;

/** Longest name of a tensor in an answer, in UTF-16 units. */
export const longestName = 200;

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
    if (name.length > longestName || name !== printable(name)) {
      throw new ProtocolError(
        `answer: a tensor named ${quoted(name)}, expected at most ${longestName} printable characters`,
      );
    }
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
  if (isFloat(dtype)) {
    if (dtype === 'F32' || dtype === 'F64') return new Float64Array(data as Float64Array);
    const floats = new Float32Array(data.length);
    (dtype === 'F16' ? decodeF16 : decodeBF16)(data as Uint16Array, floats);
    return new Float64Array(floats);
  }
  if (dtype === 'I64') return Float64Array.from(data as BigInt64Array, Number);
  if (dtype === 'I32' || dtype === 'U8') return new Float64Array(data as Int32Array);
  throw new ProtocolError(`answer: tensor ${quoted(name)} has dtype ${String(dtype)}`);
}

/** Control characters as escapes, so that what a kernel sends cannot move the cursor, colour or hide text. */
export function printable(text: string): string {
  // Cc are controls, Cf invisible marks such as those that reverse the direction, Cs lone surrogates, Zl and Zp line ends.
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}

/** A text a kernel sent, in quotes, on one line and not too long. */
export function quoted(text: string, longest = 80): string {
  const start = printable(text.slice(0, longest));
  return `"${start}"${text.length > longest ? ` and ${text.length - longest} characters more` : ''}`;
}

/** What came out of a pipe, in order. */
export type Received =
  | { readonly kind: 'message'; readonly bytes: Uint8Array }
  /** Bytes that belong to no frame: the first few hundred are kept, as text. */
  | { readonly kind: 'stray'; readonly text: string; readonly bytes: number };

export type Stray = Extract<Received, { kind: 'stray' }>;

const keptStray = 400;
const headBytes = frameStart.length + 8;

/**
 * Takes a pipe's chunks and gives messages and strays, the same however the bytes were divided. Holds no more than one
 * message of at most `limit` bytes: a longer one is refused before any of it is kept.
 */
export class FrameReader {
  /** Its first `#bytes` bytes have come and are not dealt with. */
  #buffer = new Uint8Array(2 ** 16);
  #bytes = 0;
  /** Bytes to wait for before looking again. */
  #needed = 1;
  readonly #stray = new Uint8Array(keptStray);
  #strayBytes = 0;
  readonly #limit: () => number;

  /** @param limit - the longest message that may come next. */
  constructor(limit: () => number) {
    this.#limit = limit;
  }

  /**
   * @throws {@link ProtocolError} on a frame longer than the limit, or more than {@link mostStray} bytes outside of frames.
   * The reader is of no use afterwards.
   */
  push(chunk: Uint8Array): Received[] {
    this.#append(chunk);
    if (this.#bytes < this.#needed) return [];
    let pending = this.#buffer.subarray(0, this.#bytes);
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
      const stray = this.stray();
      if (stray !== null) received.push(stray);
      received.push({ kind: 'message', bytes: pending.slice(headBytes, end) });
      pending = pending.subarray(end);
    }
  }

  /** What arrived since the last message and belongs to none, if anything; told once. */
  stray(): Stray | null {
    if (this.#strayBytes === 0) return null;
    const kept = this.#stray.subarray(0, Math.min(keptStray, this.#strayBytes));
    const text = new TextDecoder().decode(kept);
    const bytes = this.#strayBytes;
    this.#strayBytes = 0;
    return { kind: 'stray', text, bytes };
  }

  /** How much of a message has come that is not all there, in words; null between messages. */
  unfinished(): string | null {
    if (this.#bytes === 0) return null;
    const whole = this.#bytes < headBytes ? '' : ` of ${this.#needed}`;
    return `${this.#bytes}${whole} bytes of a message`;
  }

  /** Where the frame at the start of these bytes ends, or where it will be known. */
  #endOfFrame(bytes: Uint8Array): number {
    if (bytes.length < headBytes) return headBytes;
    const length = viewOf(bytes).getBigUint64(frameStart.length, true);
    if (length > this.#limit()) {
      throw new ProtocolError(
        `answer: a message of ${length.toLocaleString('en')} bytes, expected at most ${this.#limit().toLocaleString('en')}`,
      );
    }
    return headBytes + Number(length);
  }

  #append(chunk: Uint8Array): void {
    const bytes = this.#bytes + chunk.length;
    if (bytes > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(bytes, 2 * this.#buffer.length));
      larger.set(this.#buffer.subarray(0, this.#bytes));
      this.#buffer = larger;
    }
    this.#buffer.set(chunk, this.#bytes);
    this.#bytes = bytes;
  }

  /** Moves what is left to the front. */
  #keep(pending: Uint8Array, end: number): void {
    this.#buffer.copyWithin(0, pending.byteOffset, pending.byteOffset + pending.length);
    this.#bytes = pending.length;
    // What might begin a frame is looked at again with every byte more.
    this.#needed = pending.length < headBytes ? pending.length + 1 : end;
  }

  #keepStray(bytes: Uint8Array): void {
    const room = Math.max(0, keptStray - this.#strayBytes);
    if (room > 0) this.#stray.set(bytes.subarray(0, room), this.#strayBytes);
    this.#strayBytes += bytes.length;
    if (this.#strayBytes > mostStray) {
      throw new ProtocolError(
        `answer: more than ${mostStray / 2 ** 20} MiB that belong to no message, beginning ${quoted(this.stray()!.text)}`,
      );
    }
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

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

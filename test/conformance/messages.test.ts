import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Tensors } from '../../conformance/kernel.ts';
import {
  decodeMessage,
  encodeFrame,
  FrameReader,
  frameStart,
  mostStray,
  printable,
  ProtocolError,
  quoted,
  type Message,
  type Received,
} from '../../conformance/messages.ts';
import { roundTo, type FloatFormat } from '../../conformance/number-formats.ts';
import { encodeSafetensors } from '../../training/formats/safetensors.ts';

const limit = 4096;
const headBytes = frameStart.length + 8;

const bytes = (maxLength: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength });

/** A frame around any bytes: the reader does not look into messages. */
function frame(message: Uint8Array): Uint8Array {
  const out = new Uint8Array(headBytes + message.length);
  out.set(frameStart);
  new DataView(out.buffer).setBigUint64(frameStart.length, BigInt(message.length), true);
  out.set(message, headBytes);
  return out;
}

function together(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** Bytes that belong to no frame: beginnings of one above all, and text of several bytes a character. */
const garbage: fc.Arbitrary<Uint8Array> = fc
  .array(
    fc.oneof(
      bytes(12).filter((part) => !part.includes(frameStart[0])),
      fc.nat({ max: frameStart.length - 1 }).map((length) => frameStart.slice(0, length)),
      fc.string({ unit: 'grapheme', maxLength: 8 }).map((text) => new TextEncoder().encode(text)),
    ),
    { maxLength: 6 },
  )
  .map(together)
  .filter((part) => indexOf(part, frameStart) === -1);

function indexOf(whole: Uint8Array, part: Uint8Array): number {
  return Buffer.from(whole).indexOf(Buffer.from(part));
}

interface Stream {
  readonly parts: readonly { readonly before: Uint8Array; readonly message: Uint8Array }[];
  readonly after: Uint8Array;
}

const streams: fc.Arbitrary<Stream> = fc.record({
  parts: fc.array(fc.record({ before: garbage, message: bytes(60) }), { maxLength: 5 }),
  after: garbage,
});

function bytesOf({ parts, after }: Stream): Uint8Array {
  return together([...parts.flatMap(({ before, message }) => [before, frame(message)]), after]);
}

/** What a reader makes of a stream cut at these places, and what it holds at the end. */
function read(stream: Uint8Array, cuts: readonly number[]): unknown {
  const reader = new FrameReader(() => limit);
  const received: Received[] = [];
  const places = [...cuts.map((cut) => cut % (stream.length + 1)), 0, stream.length];
  places.sort((a, b) => a - b);
  for (let i = 1; i < places.length; i++) {
    received.push(...reader.push(stream.slice(places[i - 1], places[i])));
  }
  return { received, stray: reader.stray(), unfinished: reader.unfinished() };
}

describe('a stream of frames', () => {
  test('gives every message and every stray byte, in order, whatever garbage is around them', () => {
    fc.assert(
      fc.property(streams, (stream) => {
        const reader = new FrameReader(() => limit);
        const received = reader.push(bytesOf(stream));
        const messages = received.flatMap((got) => (got.kind === 'message' ? [got.bytes] : []));
        expect(messages).toEqual(stream.parts.map(({ message }) => message));
        const strays = received.flatMap((got) => (got.kind === 'stray' ? [got] : []));
        expect(strays).toEqual(
          stream.parts
            .filter(({ before }) => before.length > 0)
            .map(({ before }) => ({
              kind: 'stray',
              text: new TextDecoder().decode(before),
              bytes: before.length,
            })),
        );
      }),
    );
  });

  test('gives the same however it is cut into chunks', () => {
    fc.assert(
      fc.property(streams, fc.array(fc.nat(), { maxLength: 20 }), (stream, cuts) => {
        const whole = bytesOf(stream);
        expect(read(whole, cuts)).toEqual(read(whole, []));
      }),
    );
  });

  test('gives the same byte by byte', () => {
    fc.assert(
      fc.property(streams, (stream) => {
        const whole = bytesOf(stream);
        expect(read(whole, [...whole.keys()])).toEqual(read(whole, []));
      }),
      { numRuns: 50 },
    );
  });

  test('cut off in a frame gives nothing of it, and says how much had come', () => {
    fc.assert(
      fc.property(bytes(60), fc.nat(), (message, at) => {
        const whole = frame(message);
        const length = 1 + (at % (whole.length - 1));
        const reader = new FrameReader(() => limit);
        expect(reader.push(whole.slice(0, length))).toEqual([]);
        expect(reader.stray()).toBeNull();
        const total = length < headBytes ? '' : ` of ${whole.length}`;
        expect(reader.unfinished()).toBe(`${length}${total} bytes of a message`);
      }),
    );
  });

  test('with a length above the limit, up to 2^64 - 1, is refused at its head', () => {
    const lengths = fc.bigInt({ min: BigInt(limit) + 1n, max: 2n ** 64n - 1n });
    fc.assert(
      fc.property(garbage, lengths, fc.nat(), (before, length, cut) => {
        const head = frame(new Uint8Array());
        new DataView(head.buffer).setBigUint64(frameStart.length, length, true);
        const reader = new FrameReader(() => limit);
        const stream = together([before, head]);
        const at = cut % stream.length;
        reader.push(stream.slice(0, at));
        expect(() => reader.push(stream.slice(at))).toThrow(
          new ProtocolError(
            `answer: a message of ${length.toLocaleString('en')} bytes, expected at most 4,096`,
          ),
        );
      }),
      { examples: [[new Uint8Array(), 2n ** 64n - 1n, 0]] },
    );
  });

  test('takes a message of exactly the limit', () => {
    const reader = new FrameReader(() => limit);
    const message = new Uint8Array(limit).fill(7);
    expect(reader.push(frame(message))).toEqual([{ kind: 'message', bytes: message }]);
  });

  test('keeps its messages when later chunks come', () => {
    const reader = new FrameReader(() => limit);
    const [first] = reader.push(frame(Uint8Array.of(1, 2, 3)));
    reader.push(frame(Uint8Array.of(9, 9, 9)));
    expect(first).toEqual({ kind: 'message', bytes: Uint8Array.of(1, 2, 3) });
  });

  test('of stray bytes alone ends above 16 MiB, and counts anew after each message', () => {
    const reader = new FrameReader(() => limit);
    const half = new Uint8Array(mostStray / 2).fill(0x2e);
    reader.push(half);
    reader.push(half);
    expect(reader.push(frame(new Uint8Array(2)))[0]).toMatchObject({ bytes: mostStray });
    reader.push(half);
    reader.push(half);
    expect(() => reader.push(Uint8Array.of(0x2e))).toThrow(
      /^answer: more than 16 MiB that belong to no message, beginning "\.{80}" and 320 characters more$/,
    );
  });
});

const formats = ['float64', 'float32', 'tf32', 'bfloat16', 'float16'] as const;
const stored = { float64: 'F64', float32: 'F32', tf32: 'F32', bfloat16: 'BF16', float16: 'F16' };

const names = fc
  .string({ unit: 'binary-ascii', minLength: 1, maxLength: 12 })
  .map((text) => `t${text}`);

function tensorsIn(format: FloatFormat): fc.Arbitrary<Tensors> {
  const value = fc
    .double()
    .map((number) => roundTo(number, format === 'tf32' ? 'float32' : format));
  const tensor = fc.array(fc.nat({ max: 3 }), { maxLength: 3 }).chain((shape) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const values = fc.array(value, { minLength: size, maxLength: size });
    return values.map((data) => ({ shape, data: Float64Array.from(data) }));
  });
  return fc.dictionary(
    names.filter((name) => name === printable(name)),
    tensor,
    { maxKeys: 4 },
  );
}

describe('a message', () => {
  test.each(formats)('comes back from a frame as it was, in %s', (format) => {
    const metadata = fc.dictionary(names, fc.string({ unit: 'grapheme' }), { maxKeys: 4 });
    fc.assert(
      fc.property(metadata, tensorsIn(format), (texts, tensors) => {
        const [received] = new FrameReader(() => 2 ** 20).push(
          encodeFrame({ metadata: texts, tensors }, format),
        );
        const message = decodeMessage((received as { bytes: Uint8Array }).bytes);
        expect({ ...message.metadata }).toEqual({ ...texts });
        const dtypes = Object.keys(tensors).map((name) => [name, stored[format]]);
        expect(message.dtypes).toEqual(Object.fromEntries(dtypes));
        expect(message.tensors).toEqual({ ...tensors });
      }),
    );
  });

  test('of any bytes is decoded or is a ProtocolError of one short line', () => {
    const valid = encodeSafetensors(
      [{ name: 'a', dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) }],
      { id: '1' },
    );
    const damaged = fc
      .array(fc.tuple(fc.nat({ max: valid.length - 1 }), fc.nat({ max: 255 })), { maxLength: 4 })
      .map((changes) => {
        const copy = valid.slice();
        for (const [at, byte] of changes) copy[at] = byte;
        return copy;
      });
    const cut = fc.nat({ max: valid.length - 1 }).map((length) => valid.slice(0, length));
    fc.assert(
      fc.property(fc.oneof(bytes(80), damaged, cut), (message) => {
        let decoded: Message;
        try {
          decoded = decodeMessage(message);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
          expect((error as Error).message).toMatch(/^answer: .{1,400}$/);
          return;
        }
        for (const { shape, data } of Object.values(decoded.tensors)) {
          expect(data.length).toBe(shape.reduce((a, b) => a * b, 1));
        }
      }),
      { numRuns: 2000 },
    );
  });

  test.each(['a\0', 'a\nb', '\x1b[2J', '\u202eabc', 'x'.repeat(201)])(
    'with a tensor named %j is refused',
    (name) => {
      const message = encodeSafetensors([
        { name, dtype: 'F32', shape: [], data: Float32Array.of(1) },
      ]);
      expect(() => decodeMessage(message)).toThrow(ProtocolError);
      expect(() => decodeMessage(message)).toThrow(/expected at most 200 printable characters$/);
    },
  );

  test('with a tensor named __proto__ has a tensor of that name and nothing else', () => {
    const message = encodeSafetensors([
      { name: '__proto__', dtype: 'F32', shape: [], data: Float32Array.of(1) },
    ]);
    expect(Object.keys(decodeMessage(message).tensors)).toEqual(['__proto__']);
  });

  test('of integers is read as numbers, and says so', () => {
    const message = encodeSafetensors([
      { name: 'long', dtype: 'I64', shape: [1], data: BigInt64Array.of(-5n) },
      { name: 'int', dtype: 'I32', shape: [1], data: Int32Array.of(-6) },
      { name: 'byte', dtype: 'U8', shape: [1], data: Uint8Array.of(255) },
    ]);
    const { tensors, dtypes } = decodeMessage(message);
    expect(dtypes).toEqual({ long: 'I64', int: 'I32', byte: 'U8' });
    expect(Object.values(tensors).map(({ data }) => data[0])).toEqual([-5, -6, 255]);
  });
});

describe('what a kernel sends, when shown', () => {
  test('has no control characters, invisible marks or line ends', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(printable(text)).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
        expect(printable(printable(text))).toBe(printable(text));
      }),
    );
    expect(printable('a\x1b[31mé✓😀')).toBe('a\\u{1b}[31mé✓😀');
  });

  test('is cut where it is long', () => {
    expect(quoted('x'.repeat(81))).toBe(`"${'x'.repeat(80)}" and 1 characters more`);
    expect(quoted('x'.repeat(80))).toBe(`"${'x'.repeat(80)}"`);
  });
});

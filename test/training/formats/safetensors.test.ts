import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UsageError } from '../../../training/usage-error.ts';
import {
  decodeSafetensors,
  encodeSafetensors,
  safetensorsBytes,
  toFloat32,
  type Tensor,
  type TensorData,
  type WrittenDtype,
} from '../../../training/formats/safetensors.ts';

const arrays: Record<WrittenDtype, (bytes: Uint8Array) => TensorData> = {
  F64: ({ buffer }) => new Float64Array(buffer),
  I64: ({ buffer }) => new BigInt64Array(buffer as ArrayBuffer),
  F32: ({ buffer }) => new Float32Array(buffer),
  I32: ({ buffer }) => new Int32Array(buffer),
  F16: ({ buffer }) => new Uint16Array(buffer),
  BF16: ({ buffer }) => new Uint16Array(buffer),
  U8: ({ buffer }) => new Uint8Array(buffer),
};
const width: Record<WrittenDtype, number> = {
  F64: 8,
  I64: 8,
  F32: 4,
  I32: 4,
  F16: 2,
  BF16: 2,
  U8: 1,
};

const tensor: fc.Arbitrary<Tensor> = fc
  .record({
    name: fc.string({ unit: 'binary', maxLength: 12 }),
    dtype: fc.constantFrom(...(Object.keys(arrays) as WrittenDtype[])),
    shape: fc.array(fc.nat({ max: 4 }), { maxLength: 3 }),
    seed: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  })
  .map(({ name, dtype, shape, seed }) => {
    const bytes = shape.reduce((a, b) => a * b, 1) * width[dtype];
    // Arbitrary bits, NaN payloads included: files are copied, not computed with.
    const data = arrays[dtype](Uint8Array.from({ length: bytes }, (_, i) => seed[i % 16] ^ i));
    return { name, dtype, shape, data };
  });
const tensors = fc.uniqueArray(tensor, { maxLength: 6, selector: ({ name }) => name });
const metadata = fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true });

const bytesOf = ({ data }: Tensor): number[] => [
  ...new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
];

/** A file from raw header text and data. */
function file(header: string, dataBytes: number): Uint8Array {
  const json = new TextEncoder().encode(header);
  const out = new Uint8Array(8 + json.length + dataBytes);
  new DataView(out.buffer).setBigUint64(0, BigInt(json.length), true);
  out.set(json, 8);
  return out;
}

describe('round trip', () => {
  test('decode returns the names, dtypes, shapes, bits and metadata that were encoded', () => {
    fc.assert(
      fc.property(tensors, metadata, (written, facts) => {
        const bytes = encodeSafetensors(written, facts);
        expect(bytes.length).toBe(safetensorsBytes(written, facts));
        const read = decodeSafetensors(bytes, 'buffer');
        expect(Object.entries(read.metadata).sort()).toEqual(Object.entries(facts).sort());
        expect(read.tensors.size).toBe(written.length);
        for (const one of written) {
          const got = read.tensors.get(one.name)!;
          expect([got.dtype, got.shape]).toEqual([one.dtype, one.shape]);
          expect(got.data.constructor).toBe(one.data.constructor);
          expect(bytesOf(got)).toEqual(bytesOf(one));
        }
      }),
    );
  });

  test('a buffer at an odd address decodes as the same buffer at an even one', () => {
    const data = Float64Array.of(1, -0, NaN);
    const bytes = encodeSafetensors([{ name: 'a', dtype: 'F64', shape: [3], data }]);
    const odd = new Uint8Array(bytes.length + 1).subarray(1);
    odd.set(bytes);
    expect(decodeSafetensors(odd, 'odd').tensors.get('a')!.data).toEqual(data);
    expect(decodeSafetensors(Buffer.from(odd), 'pooled').tensors.get('a')!.data).toEqual(data);
  });

  test('data begin at a multiple of 8 and each tensor at a multiple of its width', () => {
    fc.assert(
      fc.property(tensors, (written) => {
        const bytes = encodeSafetensors(written);
        const json = Number(new DataView(bytes.buffer).getBigUint64(0, true));
        expect(json % 8).toBe(0);
        const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + json))) as Record<
          string,
          { dtype: WrittenDtype; data_offsets: [number, number] }
        >;
        for (const { dtype, data_offsets } of Object.values(header)) {
          expect(data_offsets[0] % width[dtype]).toBe(0);
        }
      }),
    );
  });
});

describe('robustness', () => {
  test('random bytes are refused with a UsageError of one line, never another error', () => {
    let refused = 0;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(() => decodeSafetensors(bytes, 'noise')).toThrow(UsageError);
        refused++;
      }),
    );
    expect(refused).toBeGreaterThan(0);
  });

  test('random header texts are read or refused with a UsageError of one printable line', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.json(),
      fc
        .dictionary(
          fc.string(),
          fc.record({ dtype: fc.constantFrom('F32', 'X'), shape: fc.json() }),
        )
        .map((value) => JSON.stringify(value)),
    );
    fc.assert(
      fc.property(text, fc.nat({ max: 40 }), (header, dataBytes) => {
        try {
          decodeSafetensors(file(header, dataBytes), 'noise');
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError);
          expect((error as Error).message).toMatch(/^noise: .+$/);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('any one byte of a header changed gives a file that is read or a UsageError', () => {
    const good = encodeSafetensors(
      [
        { name: 'a', dtype: 'F32', shape: [2, 3], data: new Float32Array(6) },
        { name: 'b', dtype: 'U8', shape: [5], data: new Uint8Array(5) },
      ],
      { key: 'value' },
    );
    fc.assert(
      fc.property(fc.nat({ max: good.length - 30 }), fc.nat({ max: 255 }), (at, byte) => {
        const bad = good.slice();
        bad[at] = byte;
        try {
          decodeSafetensors(bad, 'flipped');
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('what the format forbids is refused by name', () => {
  const entry = (dtype: string, shape: number[], data_offsets: number[]): string =>
    JSON.stringify({ dtype, shape, data_offsets });
  const cases: [string, Uint8Array, RegExp][] = [
    ['no bytes', new Uint8Array(0), /^f: empty file/],
    ['three bytes', new Uint8Array(3), /^f: 3 bytes, too short/],
    ['text', new TextEncoder().encode('just some text, no tensors'), /^f: not safetensors/],
    ['a header longer than the file', file('{}', 0).fill(99, 0, 1), /truncated or not safetensors/],
    [
      'a header beyond 100 MB',
      (() => {
        const bytes = file('{}', 8);
        new DataView(bytes.buffer).setBigUint64(0, 100_000_001n, true);
        return bytes;
      })(),
      /header of 100000001 bytes, expected 2 to 100000000/,
    ],
    ['a header that is no JSON', file('{"a": ', 0), /the header is not JSON/],
    ['a header that is a list', file('[1]', 0), /not a JSON object/],
    ['bytes that are no UTF-8', file('{}', 0).fill(0xff, 8, 9), /the header is not JSON/],
    [
      'a name given twice',
      file(`{"a":${entry('U8', [0], [0, 0])},"a":${entry('U8', [0], [0, 0])}}`, 0),
      /names "a" twice/,
    ],
    [
      'a name given twice, once escaped',
      file(`{"a":${entry('U8', [0], [0, 0])},"\\u0061":${entry('U8', [0], [0, 0])}}`, 0),
      /names "a" twice/,
    ],
    [
      'an unknown dtype',
      file(`{"a":${entry('F4', [1], [0, 1])}}`, 1),
      /dtype "F4", expected one of/,
    ],
    ['a fractional size', file(`{"a":${entry('U8', [1.5], [0, 1])}}`, 1), /shape \[1.5\]/],
    ['a negative size', file(`{"a":${entry('U8', [-1], [0, 1])}}`, 1), /shape \[-1\]/],
    ['offsets missing', file('{"a":{"dtype":"U8","shape":[1]}}', 1), /data_offsets missing/],
    [
      'a shape that does not fit',
      file(`{"a":${entry('F32', [2], [0, 4])}}`, 4),
      /hold 4 bytes, F32 of shape \[2\] needs 8/,
    ],
    ['offsets backwards', file(`{"a":${entry('U8', [1], [1, 0])}}`, 1), /hold -1 bytes/],
    [
      'an end beyond the file',
      file(`{"a":${entry('U8', [9], [0, 9])}}`, 8),
      /truncated: tensor "a" ends at byte 9 of the data, the file has 8/,
    ],
    [
      'an overlap',
      file(`{"a":${entry('U8', [4], [0, 4])},"b":${entry('U8', [4], [2, 6])}}`, 6),
      /tensor "b" begins at byte 2, inside the tensor before it/,
    ],
    [
      'a gap',
      file(`{"a":${entry('U8', [2], [0, 2])},"b":${entry('U8', [2], [4, 6])}}`, 6),
      /bytes 2 to 4 before tensor "b" belong to no tensor/,
    ],
    [
      'bytes at the end',
      file(`{"a":${entry('U8', [2], [0, 2])}}`, 3),
      /1 bytes after the last tensor/,
    ],
    [
      'metadata that are not strings',
      file('{"__metadata__":{"a":1}}', 0),
      /__metadata__ "a" is not a string/,
    ],
    [
      'a dtype that cannot be held',
      file(`{"a":${entry('F8_E4M3', [1], [0, 1])}}`, 1),
      /tensor "a": dtype F8_E4M3, expected one of F64/,
    ],
  ];
  test.each(cases)('%s', (_, bytes, message) => {
    expect(() => decodeSafetensors(bytes, 'f')).toThrow(UsageError);
    expect(() => decodeSafetensors(bytes, 'f')).toThrow(message);
  });

  test('control: the same header without its fault is read', () => {
    const good = file(`{"a":${entry('U8', [2], [0, 2])},"b":${entry('U8', [2], [2, 4])}}  `, 4);
    expect([...decodeSafetensors(good, 'f').tensors.keys()]).toEqual(['a', 'b']);
  });
});

describe('writing refuses', () => {
  const one = { name: 'a', dtype: 'F32', shape: [2], data: new Float32Array(2) } as const;
  test('two tensors of one name', () => {
    expect(() => encodeSafetensors([one, one])).toThrow(/two tensors named "a"/);
  });
  test('values that do not fill the shape, or of another dtype', () => {
    expect(() => encodeSafetensors([{ ...one, shape: [3] }])).toThrow(/expected Float32Array of 3/);
    expect(() => encodeSafetensors([{ ...one, data: new Float64Array(2) }])).toThrow(
      /expected Float32Array of 2 values, got Float64Array of 2/,
    );
  });
});

test('F64 is rounded to the nearest float32, and integers are refused', () => {
  const out = new Float32Array(1);
  toFloat32('F64', new Uint8Array(Float64Array.of(0.1).buffer), out);
  expect(out[0]).toBe(Math.fround(0.1));
  expect(() => toFloat32('I32', new Uint8Array(4), out)).toThrow(/expected dtype F16/);
});

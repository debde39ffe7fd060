import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeFloats, roundTo } from '../../conformance/number-formats.ts';
import { decodeBF16, decodeF16 } from '../../training/formats/half-precision.ts';

const decode = { float16: decodeF16, bfloat16: decodeBF16 } as const;
type Half = keyof typeof decode;
const halves = ['float16', 'bfloat16'] as const;

/** All 65,536 values of a 16-bit format, by their bits. */
function valuesOf(format: Half): Float64Array {
  const out = new Float32Array(2 ** 16);
  decode[format](Uint16Array.from(out.keys()), out);
  return new Float64Array(out);
}

const values: Readonly<Record<Half, Float64Array>> = {
  float16: valuesOf('float16'),
  bfloat16: valuesOf('bfloat16'),
};
/** Bits of +infinity: those below are the finite values from 0 up, in order. */
const infinity: Readonly<Record<Half, number>> = { float16: 0x7c00, bfloat16: 0x7f80 };

function bitsOf(value: number, format: Half): number {
  return (encodeFloats(Float64Array.of(value), format).values as Uint16Array)[0];
}

/**
 * The nearest value by search among all there are, the even bits among two as near: an independent definition. What would
 * follow the largest value stands for infinity.
 */
function nearestBits(value: number, format: Half): number {
  if (Number.isNaN(value)) return -1;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  const all = values[format];
  const top = infinity[format];
  const beyond = 2 * all[top - 1] - all[top - 2];
  const at = (bits: number): number => (bits === top ? beyond : all[bits]);
  let low = 0;
  let high = top;
  if (size >= beyond) return sign | top;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (at(middle) <= size) low = middle;
    else high = middle;
  }
  // Differences of neighbours are exact: a value between them has their exponent or less.
  const below = size - at(low);
  const above = at(high) - size;
  return sign | (below < above || (below === above && low % 2 === 0) ? low : high);
}

/** A value just above another one in float64. */
function nextUp(value: number): number {
  const bits = new BigInt64Array(new Float64Array([value]).buffer);
  bits[0] += value >= 0 ? 1n : -1n;
  return new Float64Array(bits.buffer)[0];
}

describe.each(halves)('%s', (format) => {
  const all = values[format];
  const top = infinity[format];

  test('keeps each of its values, bit for bit, and every NaN a NaN', () => {
    const wrong: number[] = [];
    for (let bits = 0; bits < 2 ** 16; bits++) {
      const again = bitsOf(all[bits], format);
      const right = Number.isNaN(all[bits])
        ? Number.isNaN(all[again])
        : again === bits && Object.is(roundTo(all[bits], format), all[bits]);
      if (!right) wrong.push(bits);
    }
    expect(wrong).toEqual([]);
  });

  test('between any two neighbours rounds to the nearer, and half way to the even one', () => {
    const wrong: string[] = [];
    for (let bits = 0; bits < top; bits++) {
      const next = bits + 1 === top ? 2 * all[bits] - all[bits - 1] : all[bits + 1];
      const middle = all[bits] + (next - all[bits]) / 2; // exact
      const even = bits % 2 === 0 ? bits : bits + 1;
      for (const [value, expected] of [
        [middle, even],
        [nextUp(middle), bits + 1],
        [-nextUp(-middle), bits],
      ] as const) {
        const got = bitsOf(value, format);
        const negative = bitsOf(-value, format);
        if (got !== expected || negative !== (expected | 0x8000)) wrong.push(`${value} → ${got}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test('rounds any number as the search among all its values does', () => {
    const anyNumber = fc.oneof(
      fc.double({ noNaN: true }),
      fc.float({ noNaN: true }),
      fc.double({ noNaN: true, min: -70000, max: 70000 }),
      fc.double({ noNaN: true, min: -1e-4, max: 1e-4 }),
      fc.double({ noNaN: true, min: -1e-37, max: 1e-37 }),
    );
    fc.assert(
      fc.property(anyNumber, (value) => {
        expect(bitsOf(value, format)).toBe(nearestBits(value, format));
        expect(roundTo(value, format)).toBe(all[nearestBits(value, format)]);
      }),
      { numRuns: 5000, examples: [[5e-324], [-5e-324], [1e308], [-0], [Infinity], [-Infinity]] },
    );
  });

  test('keeps the sign of what it rounds to 0', () => {
    expect(roundTo(-1e-300, format)).toBe(-0);
    expect(roundTo(1e-300, format)).toBe(0);
  });
});

test('float16 has its subnormals: steps of 2^-24 below 2^-14', () => {
  expect(roundTo(2 ** -24, 'float16')).toBe(2 ** -24);
  expect(roundTo(2 ** -25, 'float16')).toBe(0); // half way between 0 and the first: 0 is even
  expect(roundTo(3 * 2 ** -26, 'float16')).toBe(2 ** -24);
  expect(roundTo(2 ** -14 - 2 ** -25, 'float16')).toBe(2 ** -14);
});

test.each([
  ['float16', 65504, 65520],
  ['bfloat16', (2 - 2 ** -7) * 2 ** 127, (2 - 2 ** -8) * 2 ** 127],
] as const)('%s is infinite from half a step beyond its largest value', (format, largest, half) => {
  expect(roundTo(largest, format)).toBe(largest);
  expect(roundTo(-nextUp(-half), format)).toBe(largest);
  expect(roundTo(half, format)).toBe(Infinity);
  expect(roundTo(-half, format)).toBe(-Infinity);
});

test('a NaN of any payload and sign is sent as a NaN', () => {
  const payloads = fc.bigInt({ min: 1n, max: 2n ** 52n - 1n });
  fc.assert(
    fc.property(payloads, fc.boolean(), fc.constantFrom(...halves), (payload, negative, format) => {
      const bits = BigUint64Array.of((negative ? 0xfffn : 0x7ffn) * 2n ** 52n + payload);
      const { values: sent } = encodeFloats(new Float64Array(bits.buffer), format);
      expect(all(sent as Uint16Array, format)).toEqual([NaN]);
    }),
  );
  function all(bits: Uint16Array, format: Half): number[] {
    return Array.from(bits, (value) => values[format][value]);
  }
});

test('tf32 keeps 11 digits of a float32, and travels as one', () => {
  fc.assert(
    fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
      // Independent: the lower 13 of a float32's 23 stored digits are rounded away on its bits, to even.
      const bits = new Uint32Array(Float32Array.of(value).buffer);
      const size = bits[0] & 0x7fffffff;
      const rounded = ((size + 0xfff + ((size >>> 13) & 1)) & ~0x1fff) >>> 0;
      bits[0] = (bits[0] & 0x80000000) | rounded;
      expect(roundTo(value, 'tf32')).toBe(new Float32Array(bits.buffer)[0]);
    }),
    { numRuns: 5000 },
  );
  const { dtype, values: sent } = encodeFloats(Float64Array.of(1 + 2 ** -20), 'tf32');
  expect([dtype, sent[0]]).toEqual(['F32', 1 + 2 ** -20]);
});

test('float64 and float32 round as the machine does', () => {
  fc.assert(
    fc.property(fc.double(), (value) => {
      expect(roundTo(value, 'float64')).toBe(value);
      expect(roundTo(value, 'float32')).toBe(Math.fround(value));
      expect(encodeFloats(Float64Array.of(value), 'float32').values[0]).toBe(Math.fround(value));
    }),
  );
});

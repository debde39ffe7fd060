import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeBF16, decodeF16 } from '../../../training/formats/half-precision.ts';

/** IEEE 754 binary16 by its definition, in exact double arithmetic. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = (bits & 0x3ff) / 1024;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -14 : sign * (1 + fraction) * 2 ** (exponent - 15);
}

/** bfloat16 by its definition. */
function brain(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 7) & 0xff;
  const fraction = (bits & 0x7f) / 128;
  if (exponent === 255) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0
    ? sign * fraction * 2 ** -126
    : sign * (1 + fraction) * 2 ** (exponent - 127);
}

const everyPattern = Uint16Array.from({ length: 0x10000 }, (_, i) => i);

describe.each([
  ['F16', decodeF16, half],
  ['BF16', decodeBF16, brain],
] as const)('%s', (_, decode, definition) => {
  test('every bit pattern decodes to the value its definition gives, signed zeros included', () => {
    const out = new Float32Array(0x10000).fill(12345);
    decode(everyPattern, out);
    const wrong = [...everyPattern].filter((bits) => !Object.is(out[bits], definition(bits)));
    expect(wrong).toEqual([]);
  });

  test('places are independent: a batch decodes as its values do alone', () => {
    fc.assert(
      fc.property(fc.uint16Array({ maxLength: 50 }), (bits) => {
        const out = new Float32Array(bits.length);
        decode(bits, out);
        expect([...out]).toEqual([...bits].map(definition));
      }),
    );
  });

  test('an output of another length is refused', () => {
    expect(() => decode(new Uint16Array(3), new Float32Array(4))).toThrow(
      /expected 3 places.*got 4/,
    );
  });
});

test('the payload of an F16 NaN is kept in the bits of the float32', () => {
  const out = new Float32Array(1);
  decodeF16(Uint16Array.of(0xfe01), out);
  expect(new Uint32Array(out.buffer)[0]).toBe(0xffc02000);
});

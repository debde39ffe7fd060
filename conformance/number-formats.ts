/**
 * Number formats kernels compute in: rounding to them (to nearest, ties to even), and their values as bytes.
 * @module
 */

/** A kernel's dtype. tf32 travels as float32: it is how a matrix unit reads its operands, not how values are stored. */
export type FloatFormat = 'float64' | 'float32' | 'tf32' | 'bfloat16' | 'float16';

/** Unit roundoff of values stored in a format. */
export const unitRoundoff: Readonly<Record<FloatFormat, number>> = {
  float64: 2 ** -53,
  float32: 2 ** -24,
  tf32: 2 ** -24,
  bfloat16: 2 ** -8,
  float16: 2 ** -11,
};

/** Precision and smallest normal exponent of formats narrower than float32. */
const narrow = {
  tf32: { digits: 11, least: -126, largest: (2 - 2 ** -10) * 2 ** 127 },
  bfloat16: { digits: 8, least: -126, largest: (2 - 2 ** -7) * 2 ** 127 },
  float16: { digits: 11, least: -14, largest: 65504 },
} as const;

/** The nearest value of the format, ties to the even one; beyond its largest, infinity. */
export function roundTo(value: number, format: FloatFormat): number {
  if (format === 'float64') return value;
  if (format === 'float32') return Math.fround(value);
  if (!Number.isFinite(value) || value === 0) return value;
  const { digits, least, largest } = narrow[format];
  const size = Math.abs(value);
  const exponent = Math.max(exponentOf(size), least);
  const unit = 2 ** (exponent - digits + 1);
  const scaled = size / unit; // exact: a power of two
  const below = Math.floor(scaled);
  const rest = scaled - below;
  const even = below % 2 === 0;
  const rounded = (rest < 0.5 || (rest === 0.5 && even) ? below : below + 1) * unit;
  // The sign of a value that rounds to 0 stays.
  return Math.sign(value) * (rounded > largest ? Infinity : rounded);
}

/** What values of each format are stored and sent as. */
export const storedAs = {
  float64: 'F64',
  float32: 'F32',
  tf32: 'F32',
  bfloat16: 'BF16',
  float16: 'F16',
} as const;

/** Values rounded to a format, and how they are stored in it. */
export function encodeFloats(
  values: Float64Array,
  format: FloatFormat,
): {
  readonly dtype: (typeof storedAs)[FloatFormat];
  readonly values: Float64Array | Float32Array | Uint16Array;
} {
  return { dtype: storedAs[format], values: stored(values, format) };
}

function stored(
  values: Float64Array,
  format: FloatFormat,
): Float64Array | Float32Array | Uint16Array {
  switch (format) {
    case 'float64':
      return values;
    case 'float32':
    case 'tf32':
      return new Float32Array(values);
    case 'bfloat16':
      return Uint16Array.from(values, bfloat16Bits);
    case 'float16':
      return Uint16Array.from(values, float16Bits);
  }
}

const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);

function bfloat16Bits(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0;
  single[0] = roundTo(value, 'bfloat16');
  return singleBits[0] >>> 16;
}

function float16Bits(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const rounded = roundTo(value, 'float16');
  const sign = rounded < 0 || Object.is(rounded, -0) ? 0x8000 : 0;
  const size = Math.abs(rounded);
  if (size === Infinity) return sign | 0x7c00;
  if (size < 2 ** -14) return sign | (size / 2 ** -24);
  const exponent = exponentOf(size);
  return sign | ((exponent + 15) << 10) | ((size / 2 ** exponent - 1) * 2 ** 10);
}

/** e with 2^e <= size < 2^(e + 1), for a size above 0. */
function exponentOf(size: number): number {
  let exponent = Math.floor(Math.log2(size));
  if (2 ** exponent > size) exponent--;
  else if (2 ** (exponent + 1) <= size) exponent++;
  return exponent;
}

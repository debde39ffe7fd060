/**
 * 16-bit floats to float32, exactly: every binary16 and bfloat16 value is a float32 value, subnormals, signed
 * zeros, infinities and the payload bits of NaN included. Works on bits: a float assignment may change a NaN.
 * @module
 */

/** binary16 bits → float32 bits, built on first use: 65,536 entries, 256 KiB. */
let halfTable: Uint32Array | undefined;

/**
 * @param bits - binary16 (1 sign, 5 exponent, 10 fraction bits), any length.
 * @param out - float32, the same length; written in full.
 */
export function decodeF16(bits: Uint16Array, out: Float32Array): void {
  requireSameLength('decodeF16', bits, out);
  halfTable ??= Uint32Array.from({ length: 0x10000 }, (_, half) => halfToSingleBits(half));
  const target = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < target.length; i++) target[i] = halfTable[bits[i]];
}

/**
 * @param bits - bfloat16: the upper half of a float32, any length.
 * @param out - float32, the same length; written in full.
 */
export function decodeBF16(bits: Uint16Array, out: Float32Array): void {
  requireSameLength('decodeBF16', bits, out);
  const target = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < target.length; i++) target[i] = bits[i] << 16;
}

/** IEEE 754: value = (−1)^sign · 2^(exponent − 15) · 1.fraction; exponent 0 is subnormal, 31 is not finite. */
function halfToSingleBits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 31) return sign | 0x7f800000 | (fraction << 13);
  if (exponent > 0) return sign | ((exponent + 127 - 15) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  // Subnormal, fraction · 2^-24: normal in float32 once the leading 1 is moved into place.
  const shift = Math.clz32(fraction) - 21;
  return sign | ((127 - 14 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}

function requireSameLength(where: string, bits: Uint16Array, out: Float32Array): void {
  if (bits.length !== out.length) {
    throw new RangeError(
      `${where}: expected ${bits.length} places for the values, got ${out.length}`,
    );
  }
}

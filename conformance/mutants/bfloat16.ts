/**
 * What mutants of low precision store.
 * @module
 */

/** Nearest bfloat16 by rounding the float32 pattern to its upper half. */
export function toBfloat16(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  const lower = bits[0] & 0xffff;
  const odd = (bits[0] >>> 16) & 1;
  bits[0] =
    (bits[0] - lower + (lower > 0x8000 || (lower === 0x8000 && odd === 1) ? 0x10000 : 0)) >>> 0;
  return new Float32Array(bits.buffer)[0];
}

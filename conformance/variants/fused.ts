/**
 * A float32 product and sum with one rounding, as fused multiply-add units compute.
 * @module
 */

const double = new Float64Array(1);
const words = new Uint32Array(double.buffer);
const [low, high] = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1 ? [0, 1] : [1, 0];

/**
 * fl32(a b + c). The product of two float32 is exact in float64. Its sum with c may not be, and rounding it to float64
 * and again to float32 would round twice: so the first rounding is to odd, which leaves the second one the truth
 * (Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums").
 */
export function fusedMultiplyAdd(a: number, b: number, c: number): number {
  const product = a * b;
  const sum = product + c;
  const part = sum - product;
  const error = product - (sum - part) + (c - part); // exact: Knuth's two-sum
  if (error === 0 || !Number.isFinite(sum)) return Math.fround(sum);
  double[0] = sum;
  if (words[low] % 2 === 0) {
    if (error > 0 === sum > 0) words[low] += 1;
    else if (words[low] > 0) words[low] -= 1;
    else {
      words[low] = 0xffffffff;
      words[high] -= 1;
    }
  }
  return Math.fround(double[0]);
}

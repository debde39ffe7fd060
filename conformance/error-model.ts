/**
 * How far a right kernel may be from the reference: bounds from shapes and unit roundoffs, never from what passes.
 *
 * A sum of n products in any order, blocked, fused or not, is within γ(n) Σ|x_i||w_i| of the exact one
 * (Higham, *Accuracy and Stability of Numerical Algorithms*, section 3.1), plus what underflow adds. Adding exact
 * zeros costs nothing, so n counts terms that are not zero.
 * @module
 */

/** A kernel's declared arithmetic. */
export interface Profile {
  /** Unit roundoff operands are rounded to before a product; 0 if they are used as given. */
  readonly u_in: number;
  /** Unit roundoff of accumulation: 2^-24 for float32, 2^-53 for float64. */
  readonly u_acc: number;
  /** Unit roundoff of stored results. */
  readonly u_out: number;
  /** The least normal value of operands and results: 2^-126 unless it says otherwise, as float16 has to. */
  readonly leastNormal?: number;
  /** Whether subnormal values may be read or written as 0. */
  readonly flushesSubnormals: boolean;
  /** Whether the encoder computes x W - b_dec W instead of (x - b_dec) W. */
  readonly splitEncode: boolean;
}

export const float32: Profile = {
  u_in: 0,
  u_acc: 2 ** -24,
  u_out: 2 ** -24,
  flushesSubnormals: false,
  splitEncode: false,
};

export const float64: Profile = { ...float32, u_acc: 2 ** -53, u_out: 2 ** -53 };

/** γ(n) = n u / (1 - n u). @throws {@link RangeError} if n u >= 1: the model then promises nothing. */
export function gamma(n: number, u: number): number {
  if (!(n * u < 1)) throw new RangeError(`gamma: expected n * u below 1, got ${n} * ${u}`);
  return (n * u) / (1 - n * u);
}

/** Relative growth of a sum of n products: (1 + u_in)² (1 + γ(n)) (1 + u_out) - 1, plus the reference's own γ(n). */
export function productSum(n: number, profile: Profile): number {
  const { u_in, u_acc, u_out } = profile;
  return (1 + u_in) ** 2 * (1 + gamma(n, u_acc)) * (1 + u_out) - 1 + gamma(n, 2 ** -53);
}

/**
 * What underflow adds to a sum of n products.
 * @param largest - the largest magnitude among the operands; a flushed operand is multiplied by at most that.
 */
export function underflow(n: number, largest: number, profile: Profile): number {
  // Each operand may be flushed, and so may each partial sum.
  if (profile.flushesSubnormals) return 2 * n * 2 ** -126 * Math.max(1, largest);
  const sums = n * (profile.u_acc < 2 ** -40 ? 2 ** -1074 : 2 ** -149);
  return sums + narrowUnderflow(n, largest, profile);
}

/**
 * What formats narrower than that of sums add: below the least normal value λ rounding errs by u λ, absolutely. Both
 * operands of n products are rounded so, and so is each of the values that are stored.
 */
function narrowUnderflow(
  n: number,
  largest: number,
  { u_in, u_acc, u_out, leastNormal = 2 ** -126 }: Profile,
): number {
  const operands = 2 * u_in * Math.max(1, largest);
  return n * leastNormal * (operands + (u_out > u_acc ? u_out : 0));
}

/** Largest magnitude in any of the arrays; 0 for none. */
export function largestMagnitude(...arrays: readonly Float64Array[]): number {
  let largest = 0;
  for (const array of arrays)
    for (const value of array) largest = Math.max(largest, Math.abs(value));
  return largest;
}

/**
 * One arithmetic for exact values and for what float64 may lose.
 *
 * A Real carries the exact value of an expression (64 decimal digits, so exact to some 10^-64 of it) and a bound on how
 * far float64 may come from it when it evaluates the same expression, sums in any order. Standard model (Higham,
 * *Accuracy and Stability of Numerical Algorithms*, 2.2, 3.1): fl(a op b) = (a op b)(1 + δ) with |δ| <= u = 2^-53, and
 * what underflows loses at most 2^-1074 besides. Errors of operands are carried through every operation.
 *
 * What float64 does exactly has bound 0: an operation on float64s whose result is one.
 * @module
 */
import { BigNumberDependencies, create, type BigNumber } from 'mathjs';

// The library's types leave out the class that its values are made with.
const { BigNumber: Big } = create(
  { BigNumberDependencies },
  { number: 'BigNumber', precision: 64 },
) as unknown as { readonly BigNumber: new (value: number) => BigNumber };

/** Unit roundoff of float64. */
const u = 2 ** -53;
/** Below this magnitude a product or quotient may be rounded as a subnormal. */
const smallestNormal = 2 ** -1022;
/** Twice what rounding to a subnormal loses; the spare half covers underflow in computing the bound itself. */
const underflowError = 2 ** -1074;

const double = new Float64Array(1);
const bits = new BigUint64Array(double.buffer);
const powersOfTwo = new Map<number, BigNumber>();

export interface Real {
  readonly value: BigNumber;
  /** `value` as float64; exactly that when `error` is 0. */
  readonly approx: number;
  /** Float64's result is within this of `value`. 0: the result is `approx`, bit for bit. */
  readonly error: number;
}

/**
 * Thrown where no bound exists, such as a divisor that may be 0 within its error, or an overflow: a case that cannot be
 * judged.
 */
export class Unbounded extends Error {}

/** A float64, exactly. */
export function real(x: number): Real {
  return { value: big(x), approx: x, error: 0 };
}

/** A number that is no float64: a parameter moved by a step, a constant such as a half power. */
export function approximately(value: BigNumber): Real {
  const approx = value.toNumber();
  return { value, approx, error: Math.abs(approx) * 1e-60 };
}

export const zero: Real = real(0);
export const one: Real = real(1);
/** π, which float64 has to round. */
export const pi: Real = rounded(new Big(-1).acos(), 0);

/** The exact value of a float64; its shortest decimal, which the decimal library would read, is another number. */
export function big(x: number): BigNumber {
  if (!Number.isFinite(x)) throw new RangeError(`big: expected a finite number, got ${x}`);
  if (Number.isSafeInteger(x)) return new Big(x);
  double[0] = x;
  const fraction = Number(bits[0] & 0xfffffffffffffn);
  const exponent = Number((bits[0] >> 52n) & 0x7ffn);
  const whole = exponent === 0 ? fraction : fraction + 2 ** 52;
  return new Big(x < 0 ? -whole : whole).mul(powerOfTwo(Math.max(exponent, 1) - 1075));
}

function powerOfTwo(exponent: number): BigNumber {
  let power = powersOfTwo.get(exponent);
  if (power === undefined) {
    power = new Big(2).pow(exponent);
    powersOfTwo.set(exponent, power);
  }
  return power;
}

/** γ(n) = n u / (1 - n u). */
function gamma(n: number): number {
  return (n * u) / (1 - n * u);
}

export function isZero(a: Real): boolean {
  return a.error === 0 && a.approx === 0;
}

/**
 * Σ terms, in any order. Of k terms that are not 0 the last addition rounds the sum, the k - 2 before it at most
 * γ(k - 2) Σ|terms|.
 */
export function sum(terms: readonly Real[]): Real {
  const present = terms.filter((term) => !isZero(term));
  if (present.length === 0) return zero;
  if (present.length === 1) return present[0];
  let value = present[0].value;
  let magnitude = Math.abs(present[0].approx) + present[0].error;
  let carried = present[0].error;
  for (const term of present.slice(1)) {
    value = value.add(term.value);
    magnitude += Math.abs(term.approx) + term.error;
    carried += term.error;
  }
  const before = carried + gamma(present.length - 2) * magnitude;
  // 64 digits do not hold the sum of numbers this far apart, so that it may only look like a float64.
  const apart = present.length === 2 && present.some((t) => Math.abs(t.approx) < 1e-45 * magnitude);
  return rounded(value, before, { underflows: false, exactly: !apart });
}

export function add(a: Real, b: Real): Real {
  return sum([a, b]);
}

export function sub(a: Real, b: Real): Real {
  return sum([a, neg(b)]);
}

export function neg(a: Real): Real {
  return { value: a.value.neg(), approx: -a.approx, error: a.error };
}

export function mul(a: Real, b: Real): Real {
  if (isZero(a) || isZero(b)) return zero;
  const carried = a.error * Math.abs(b.approx) + b.error * Math.abs(a.approx) + a.error * b.error;
  const value = a.value.mul(b.value);
  return isPowerOfTwo(a) || isPowerOfTwo(b) ? scaled(value, carried) : rounded(value, carried);
}

export function square(a: Real): Real {
  return mul(a, a);
}

/** @throws {@link Unbounded} if b may be 0. */
export function div(a: Real, b: Real): Real {
  const least = Math.abs(b.approx) - b.error;
  if (!(least > 0)) throw new Unbounded('a divisor may be 0');
  if (isZero(a)) return zero;
  const value = a.value.div(b.value);
  const approx = value.toNumber();
  const carried = (a.error + Math.abs(approx) * b.error) / least;
  return isPowerOfTwo(b) ? scaled(value, carried) : rounded(value, carried);
}

/** √a for a sum of squares, which float64 never makes negative. */
export function sqrt(a: Real): Real {
  if (isZero(a)) return zero;
  const value = a.value.isNegative() ? zero.value : a.value.sqrt();
  const root = value.toNumber();
  const least = Math.sqrt(Math.max(a.approx - a.error, 0));
  return rounded(value, a.error === 0 ? 0 : a.error / (least + root));
}

/** ln a. @throws {@link Unbounded} if a may be 0. */
export function ln(a: Real): Real {
  const least = a.approx - a.error;
  if (!(least > 0)) throw new Unbounded('a logarithm may be of 0');
  if (a.error === 0 && a.approx === 1) return zero;
  return fromLibrary(a.value.ln(), a.error / least);
}

/** e to the power of a. */
export function exp(a: Real): Real {
  if (isZero(a)) return one;
  const value = a.value.exp();
  return fromLibrary(value, value.toNumber() * Math.expm1(a.error));
}

export function cos(a: Real): Real {
  if (isZero(a)) return one;
  return fromLibrary(a.value.cos(), a.error);
}

/** a to the power of a float64, a > 0. */
export function fractionalPower(a: Real, exponent: number): Real {
  if (isZero(a)) return exponent === 0 ? one : zero;
  if (a.error === 0 && a.approx === 1) return one;
  const value = a.value.pow(big(exponent));
  const least = a.approx - a.error;
  if (!(least > 0)) throw new Unbounded('a power may be of 0');
  return fromLibrary(value, (value.toNumber() * Math.abs(exponent) * a.error) / least);
}

/** What Math's functions promise: less than one unit in the last place, which is 2u. */
function fromLibrary(value: BigNumber, carried: number): Real {
  const { approx, error } = rounded(value, carried, { underflows: true, exactly: false });
  return { value, approx, error: error + u * (Math.abs(approx) + error) };
}

/** base to a whole power, |base| <= 1, by n - 1 multiplications in any order. */
export function power(base: Real, n: number): Real {
  if (n === 0) return one;
  if (n === 1 || isZero(base)) return base;
  const value = base.value.pow(n);
  const approx = value.toNumber();
  const relative = gamma(n - 1) + (n * base.error) / Math.abs(base.approx);
  return { value, approx, error: Math.abs(approx) * relative + n * underflowError };
}

/** max(a, 0): no further from the exact one than a is, and 0 where a is surely not positive. */
export function positivePart(a: Real): Real {
  if (a.approx <= -a.error) return zero;
  return a.approx >= 0 ? a : { value: zero.value, approx: 0, error: a.error };
}

export function min(a: Real, b: Real): Real {
  const smaller = a.value.lte(b.value) ? a : b;
  return {
    ...smaller,
    error: sign(sub(a, b)) === null ? Math.max(a.error, b.error) : smaller.error,
  };
}

export function abs(a: Real): Real {
  return a.approx < 0 ? neg(a) : a;
}

/** What was compared. @throws {@link Unbounded} if the comparison was open. */
export function surely<T>(found: T | null): T {
  if (found === null) throw new Unbounded('a comparison is open');
  return found;
}

/** -1, 0 or 1 where float64 must find the same sign; null where its error leaves that open. */
export function sign(a: Real): -1 | 0 | 1 | null {
  if (a.error !== 0 && Math.abs(a.approx) <= a.error) return null;
  return a.approx > 0 ? 1 : a.approx < 0 ? -1 : 0;
}

/** Sign of a - b, as {@link sign}, without the rounding that a subtraction would add. */
export function compare(a: Real, b: Real): -1 | 0 | 1 | null {
  if (a.error === 0 && b.error === 0) return a.approx > b.approx ? 1 : a.approx < b.approx ? -1 : 0;
  const value = a.value.sub(b.value);
  return sign({ value, approx: value.toNumber(), error: a.error + b.error });
}

/**
 * |got - a| as a share of the bound: above 1 if float64 cannot have got there. The bound is computed in float64 from
 * some hundred operations and 64 digits are not all digits; 2^-40 of it pays for both.
 */
export function ratio(got: number, a: Real): number {
  if (a.error === 0) return got === a.approx ? 0 : Infinity;
  if (!Number.isFinite(got)) return Infinity;
  return big(got).sub(a.value).abs().toNumber() / (a.error * (1 + 2 ** -40));
}

/** An operation's exact result with the error of its operands, rounded to float64. */
function rounded(
  value: BigNumber,
  carried: number,
  { underflows, exactly } = { underflows: true, exactly: true },
): Real {
  const approx = value.toNumber();
  if (!Number.isFinite(approx)) throw new Unbounded('an overflow');
  if (carried === 0 && exactly && big(approx).eq(value)) return real(approx);
  const magnitude = Math.abs(approx) + carried;
  const underflow = underflows && magnitude < 2 * smallestNormal ? underflowError : 0;
  return { value, approx, error: carried + u * magnitude + underflow };
}

/** The result of multiplying by a power of two, which rounds only what underflows. */
function scaled(value: BigNumber, carried: number): Real {
  const approx = value.toNumber();
  if (!Number.isFinite(approx)) throw new Unbounded('an overflow');
  if (Math.abs(approx) + carried < 2 * smallestNormal) return rounded(value, carried);
  return carried === 0 ? real(approx) : { value, approx, error: carried };
}

function isPowerOfTwo(a: Real): boolean {
  if (a.error !== 0) return false;
  double[0] = a.approx;
  return (bits[0] & 0xfffffffffffffn) === 0n && a.approx !== 0;
}

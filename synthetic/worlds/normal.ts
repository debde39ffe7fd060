/**
 * The normal distribution's upper tail Q(t) = P(Z > t) and its inverse: thresholds of Gaussian copulas. Relative
 * accuracy about 1e-13, also where Q is 1e-100.
 * Sources: the series and the continued fraction of Abramowitz and Stegun 1964, 26.2.11 and 26.2.14.
 * @module
 */

/** Where series and continued fraction change places: both converge in under 60 terms there. */
const SERIES_BELOW = 3;

/** φ(t), the density. */
function density(t: number): number {
  return Math.exp(-0.5 * t * t) / Math.sqrt(2 * Math.PI);
}

/** P(Z > t) for a standard normal Z; ±Infinity give 0 and 1. */
export function upperTail(t: number): number {
  if (t < 0) return 1 - upperTail(-t);
  return t < SERIES_BELOW ? 0.5 - centre(t) : tail(t);
}

/** P(0 < Z < t) = φ(t) Σ t^(2n+1) / (1·3·5···(2n+1)): every term positive, none cancels. */
function centre(t: number): number {
  let term = t;
  let sum = t;
  for (let n = 1; term > sum * 2 ** -54; n++) {
    term *= (t * t) / (2 * n + 1);
    sum += term;
  }
  return density(t) * sum;
}

/** φ(t) / (t + 1/(t + 2/(t + 3/(t + ...)))), from its inside out. */
function tail(t: number): number {
  let fraction = t;
  // The terms that matter grow fewer as t grows; 100 suffice at 3.
  for (let n = 100; n > 0; n--) fraction = t + n / fraction;
  return density(t) / fraction;
}

/**
 * The t with P(Z > t) = p: Infinity at 0, -Infinity at 1.
 * @throws {@link RangeError} if p is not in [0, 1].
 */
export function upperQuantile(p: number): number {
  if (!(p >= 0 && p <= 1)) {
    throw new RangeError(`upperQuantile: expected a probability in [0, 1], got ${p}`);
  }
  if (p === 0) return Infinity;
  if (p === 1) return -Infinity;
  if (p === 0.5) return 0;
  if (p > 0.5) return -upperQuantile(1 - p);
  // Newton on log Q. It is concave, so from the right of the root every step stays right of it and nearer; and the start
  // is right of it, as Q(t) <= exp(-t²/2) / 2.
  let t = Math.sqrt(-2 * Math.log(2 * p));
  for (let step = 0; step < 100; step++) {
    const q = upperTail(t);
    const next = t + (Math.log(q / p) * q) / density(t);
    if (!(Math.abs(next - t) > 1e-15 * Math.max(1, t))) return next;
    t = next;
  }
  return t;
}

/**
 * Logistic regression with an L2 penalty, to its optimum: least ½|w|² + C Σ log(1 + exp(-±(w·x + b))), as scikit-learn's
 * LogisticRegression has it (C = 1, intercept free). Damped Newton steps, each solved by conjugate gradients: convex and
 * smooth as this is, there is no learning rate, and the matrix of second derivatives is never made.
 * @module
 */
import { dot, type Matrix } from '../../reference/matrix.ts';

export interface LogisticFit {
  readonly weights: Float64Array;
  readonly intercept: number;
}

export interface LogisticOptions {
  /** C, the weight of the data against the penalty. */
  readonly strength?: number;
  /** Stops when no component of the gradient is larger: scikit-learn's default if left out. */
  readonly tolerance?: number;
  readonly maxSteps?: number;
}

/** The intercept's own penalty: nothing to see, but the steps stay finite when all rows are far from the boundary. */
const INTERCEPT_RIDGE = 1e-10;
/** Steps halved more often than this move nothing any more. */
const HALVINGS = 40;
/** A step leaves at most this share of the gradient, and less near the optimum. */
const LEFT_BY_STEP = 0.1;

/**
 * @param x - (rows, d).
 * @param positive - rows `0..positive-1` are of the positive class, the others of the negative.
 */
export function fitLogistic(
  x: Matrix,
  positive: number,
  { strength = 1, tolerance = 1e-4, maxSteps = 100 }: LogisticOptions = {},
): LogisticFit {
  const { rows, cols } = x;
  // The last entry is the intercept, and its column of x is 1.
  const ridge = new Float64Array(cols + 1).fill(1);
  ridge[cols] = INTERCEPT_RIDGE;
  const penalty = (theta: Float64Array): number =>
    theta.reduce((sum, value, i) => sum + (ridge[i] * value * value) / 2, 0);
  const loss = (theta: Float64Array, scores: Float64Array): number =>
    scores.reduce((sum, score, n) => sum + strength * surprise(n < positive ? score : -score), 0) +
    penalty(theta);

  let theta = new Float64Array(cols + 1);
  let scores = new Float64Array(rows);
  let now = loss(theta, scores);
  for (let step = 0; step < maxSteps; step++) {
    const p = scores.map((score) => 1 / (1 + Math.exp(-score)));
    const gradient = timesTransposed(
      x,
      p.map((value, n) => strength * (value - (n < positive ? 1 : 0))),
    );
    for (let i = 0; i <= cols; i++) gradient[i] += ridge[i] * theta[i];
    if (gradient.every((value) => Math.abs(value) <= tolerance)) break;

    const curvature = p.map((value) => strength * value * (1 - value));
    const direction = conjugateGradients((v) => {
      const product = timesTransposed(
        x,
        times(x, v).map((value, n) => value * curvature[n]),
      );
      for (let i = 0; i <= cols; i++) product[i] += ridge[i] * v[i];
      return product;
    }, gradient);
    const change = times(x, direction);
    let moved = false;
    for (let halved = 0, size = 1; halved < HALVINGS && !moved; halved++, size /= 2) {
      const nextTheta = theta.map((value, i) => value - size * direction[i]);
      const nextScores = scores.map((value, n) => value - size * change[n]);
      const next = loss(nextTheta, nextScores);
      if (!(next < now)) continue;
      [theta, scores, now, moved] = [nextTheta, nextScores, next, true];
    }
    // No step lowers the loss: as near as rounding lets it come.
    if (!moved) break;
  }
  return { weights: theta.slice(0, cols), intercept: theta[cols] };
}

/** log(1 + exp(-margin)) without overflow. */
function surprise(margin: number): number {
  return Math.max(-margin, 0) + Math.log1p(Math.exp(-Math.abs(margin)));
}

/** x̃ v, x̃ with a last column of 1: (d + 1) → (rows). */
function times({ rows, cols, data }: Matrix, v: Float64Array): Float64Array {
  const out = new Float64Array(rows);
  for (let n = 0, at = 0; n < rows; n++) {
    let sum = v[cols];
    for (let i = 0; i < cols; i++, at++) sum += data[at] * v[i];
    out[n] = sum;
  }
  return out;
}

/** x̃ᵀ u: (rows) → (d + 1). Rows with nothing to add are passed over: near the optimum most are. */
function timesTransposed({ rows, cols, data }: Matrix, u: Float64Array): Float64Array {
  const out = new Float64Array(cols + 1);
  for (let n = 0; n < rows; n++) {
    const factor = u[n];
    if (factor === 0) continue;
    for (let i = 0, at = n * cols; i < cols; i++, at++) out[i] += factor * data[at];
    out[cols] += factor;
  }
  return out;
}

/** Solves H s = g for a positive definite H, as far as a Newton step is worth (Hestenes and Stiefel 1952). */
function conjugateGradients(
  timesH: (v: Float64Array) => Float64Array,
  g: Float64Array,
): Float64Array {
  const s = new Float64Array(g.length);
  const left = g.slice();
  let direction = g.slice();
  const start = Math.sqrt(dot(g, g));
  const enough = (start * Math.min(LEFT_BY_STEP, Math.sqrt(start))) ** 2;
  let size = dot(left, left);
  // Exact after as many steps as dimensions, but for rounding.
  for (let step = 0; step < 2 * g.length && size > enough; step++) {
    const product = timesH(direction);
    const length = size / dot(direction, product);
    for (let i = 0; i < s.length; i++) {
      s[i] += length * direction[i];
      left[i] -= length * product[i];
    }
    const next = dot(left, left);
    const kept = next / size;
    direction = direction.map((value, i) => left[i] + kept * value);
    size = next;
  }
  return s;
}

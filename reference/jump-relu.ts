/**
 * JumpReLU: each latent is its pre-activation where that is above the latent's own threshold θ_j, else 0; thresholds are
 * trained by a straight-through gradient. Rajamanoharan et al. 2024, arXiv:2407.14435.
 *
 * A threshold receives gradient only from values within half a bandwidth of it, |z - θ| < h/2, open at both ends.
 * Source: dl `trainers/jumprelu.py`, sl `saes/jumprelu_sae.py`, bm `sae.py`: JumpReLUFunction and StepFunction.
 * @module
 */
import type { Dialect } from './dialects.ts';
import { map, type Matrix } from './matrix.ts';

/** z where z > θ_j, else 0. @param pre - (rows, d_sae). @param threshold - (d_sae). */
export function jumpRelu(pre: Matrix, threshold: Float64Array): Matrix {
  requireThresholds(pre, threshold);
  return map(pre, (z, i) => (z > threshold[i % pre.cols] ? z : 0));
}

/** Thresholds as a step uses them: none below 0 where the dialect keeps them so. */
export function keptThresholds(threshold: Float64Array, dialect: Dialect): Float64Array {
  if (dialect.jumpRelu.keepsThresholds === 'as-trained') return threshold;
  return threshold.map((value) => Math.max(value, 0));
}

/** What a straight-through function passes back. */
export interface StraightThrough {
  /** To the value it was applied to: (rows, d_sae). */
  readonly input: Matrix;
  /** To the thresholds: (d_sae). */
  readonly threshold: Float64Array;
}

/**
 * dz = 1[z > θ] dy, plus the negated term of θ where the dialect passes it; dθ_j = -(θ_j / h) Σ_b 1[|z - θ| < h/2] dy.
 * @param pre - z, (rows, d_sae).
 * @param upstream - dy, (rows, d_sae).
 */
export function jumpReluGradient(
  pre: Matrix,
  threshold: Float64Array,
  upstream: Matrix,
  dialect: Dialect,
): StraightThrough {
  return straightThrough(pre, threshold, upstream, dialect, {
    value: (z, t) => (z > t ? 1 : 0),
    window: (t) => t,
  });
}

/** The gradient of the step 1[z > θ]: dz = 0; dθ_j = -(1 / h) Σ_b 1[|z - θ| < h/2] dy. Arguments as above. */
export function stepGradient(
  pre: Matrix,
  threshold: Float64Array,
  upstream: Matrix,
  dialect: Dialect,
): StraightThrough {
  return straightThrough(pre, threshold, upstream, dialect, { value: () => 0, window: () => 1 });
}

function straightThrough(
  pre: Matrix,
  threshold: Float64Array,
  upstream: Matrix,
  dialect: Dialect,
  of: { value: (z: number, t: number) => number; window: (t: number) => number },
): StraightThrough {
  requireThresholds(pre, threshold);
  const { bandwidth, inputGradient } = dialect.jumpRelu;
  const gradient = new Float64Array(threshold.length);
  const input = map(upstream, (dy, i) => {
    const j = i % pre.cols;
    const z = pre.data[i];
    const inWindow = Math.abs((z - threshold[j]) / bandwidth) < 0.5;
    const passed = inWindow ? (of.window(threshold[j]) / bandwidth) * dy : 0;
    gradient[j] -= passed;
    return of.value(z, threshold[j]) * dy + (inputGradient === 'gate-and-window' ? passed : 0);
  });
  return { input, threshold: gradient };
}

function requireThresholds(pre: Matrix, threshold: Float64Array): void {
  if (threshold.length !== pre.cols) {
    throw new RangeError(
      `threshold: expected one for each of ${pre.cols} latents, got ${threshold.length}`,
    );
  }
}

/**
 * Scaling of inputs so that their mean squared length is 1, and folding that scale into a trained SAE.
 * @module
 */
import type { SaeParams } from './params.ts';

/** f = √(mean squared length): inputs are trained on as x / f. Source: dl `training.py`, `get_norm_factor`. */
export function normFactor(meanSquaredLength: number): number {
  if (!(meanSquaredLength > 0) || !Number.isFinite(meanSquaredLength)) {
    throw new RangeError(
      `normFactor: expected a mean squared length above 0, got ${meanSquaredLength}`,
    );
  }
  return Math.sqrt(meanSquaredLength);
}

/**
 * Parameters and threshold that do on x what the given ones do on x / f, times f: biases and a threshold that was set
 * are multiplied by f, weights stay. Source: dl `MatryoshkaBatchTopKSAE.scale_biases`.
 */
export function foldNormFactor(
  params: SaeParams,
  threshold: number,
  factor: number,
): { params: SaeParams; threshold: number } {
  return {
    params: {
      ...params,
      b_enc: params.b_enc.map((b) => b * factor),
      b_dec: params.b_dec.map((b) => b * factor),
    },
    threshold: threshold >= 0 ? threshold * factor : threshold,
  };
}

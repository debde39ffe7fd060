/**
 * The auxiliary loss that revives dead latents: the top k_aux dead latents of each row are fitted to what the full
 * prefix leaves over. Gao et al. 2024, arXiv:2406.04093; source: dl `MatryoshkaBatchTopKTrainer.get_auxiliary_loss`.
 * @module
 */
import type { Dialect } from './dialects.ts';
import {
  columnMeans,
  dot,
  map,
  matrix,
  multiply,
  requireFinite,
  scale,
  subtract,
  type Matrix,
} from './matrix.ts';

export interface Auxk {
  /** Before alpha; 0 if no latent is dead. */
  readonly loss: number;
  /** Which (row, latent) were chosen, (rows · d_sae); a chosen value may be 0. */
  readonly chosen: Uint8Array;
  /** The chosen values, 0 elsewhere: (rows, d_sae). */
  readonly latents: Matrix;
  /** Gradient of alpha · loss with respect to the auxiliary reconstruction: (rows, d_in). */
  readonly gradient: Matrix;
}

/** floor(d_in / 2) or the dialect's number, but no more than there are dead latents. */
export function auxkCount(dead: Uint8Array, d_in: number, dialect: Dialect): number {
  const limit = dialect.auxk.k === 'half-d_in' ? Math.floor(d_in / 2) : dialect.auxk.k;
  return Math.min(limit, countDead(dead));
}

/**
 * e = x - x̂_G, ê = chosen latents · W_dec (no b_dec), loss = mean over rows of ‖e - ê‖², divided by the residual's
 * variance mean ‖e - mean e‖² where the dialect normalises.
 * @param residual - e, (rows, d_in).
 * @param values - acts or pre-activations as the dialect ranks them, (rows, d_sae).
 * @param dead - (d_sae), 1 for dead.
 * @param alpha - the loss's weight; scales `gradient` alone.
 * @throws {@link RangeError} if the normaliser is 0, as it is for a single row, or a value is not finite.
 */
export function auxk(
  residual: Matrix,
  values: Matrix,
  W_dec: Matrix,
  dead: Uint8Array,
  alpha: number,
  dialect: Dialect,
): Auxk {
  requireFinite('auxk: residual', residual);
  requireFinite('auxk: values', values);
  const latents = matrix(values.rows, values.cols);
  const chosen = chooseDead(values, dead, auxkCount(dead, residual.cols, dialect));
  if (countDead(dead) === 0) {
    return { loss: 0, chosen, latents, gradient: matrix(residual.rows, residual.cols) };
  }
  for (let i = 0; i < chosen.length; i++) if (chosen[i] === 1) latents.data[i] = values.data[i];
  const miss = subtract(multiply(latents, W_dec), residual); // ê - e
  const factor = auxkScale(residual, dead, dialect);
  return {
    loss: factor * meanSquare(miss),
    chosen,
    latents,
    gradient: scale(miss, (2 * alpha * factor) / residual.rows),
  };
}

/** What the mean squared error is multiplied by, a constant for the gradient. */
function auxkScale(residual: Matrix, dead: Uint8Array, dialect: Dialect): number {
  const { normaliser, overDimensions } = dialect.auxk;
  let factor = overDimensions === 'mean' ? 1 / residual.cols : 1;
  if (dialect.auxk.scale === 'dead-fraction') {
    factor *= Math.min(countDead(dead) / Math.floor(residual.cols / 2), 1);
  }
  if (normaliser === 'residual-variance') {
    const mean = columnMeans(residual);
    const variance = meanSquare(map(residual, (value, i) => value - mean[i % residual.cols]));
    if (variance === 0) {
      throw new RangeError(
        `auxk: the residual has no variance over the batch's ${residual.rows} row(s), so the loss has no value; expected rows that differ`,
      );
    }
    factor /= variance;
  }
  return factor;
}

/** 1 for the `count` largest values of each row among dead latents; the lower latent first among equals. */
function chooseDead(values: Matrix, dead: Uint8Array, count: number): Uint8Array {
  const chosen = new Uint8Array(values.rows * values.cols);
  const candidates = [...dead.keys()].filter((j) => dead[j] === 1);
  if (count === 0) return chosen;
  for (let b = 0; b < values.rows; b++) {
    const start = b * values.cols;
    candidates
      .toSorted((i, j) => values.data[start + j] - values.data[start + i] || i - j)
      .slice(0, count)
      .forEach((j) => (chosen[start + j] = 1));
  }
  return chosen;
}

function countDead(dead: Uint8Array): number {
  return dead.reduce((sum, flag) => sum + flag, 0);
}

/** Mean over rows of the squared length of a row. */
function meanSquare(a: Matrix): number {
  return dot(a.data, a.data) / a.rows;
}

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
import { groups } from './prefixes.ts';
import { selectionScores } from './select.ts';

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

/** An auxiliary loss of one level: `level` g fits the residual of prefix g. */
export interface LevelAuxk extends Auxk {
  readonly level: number;
}

/**
 * One auxiliary loss for all dead latents, against what the full prefix leaves over; or, in dialects with one for each
 * level, one for each group that has dead latents, against what its own prefix leaves over. None where the dialect has
 * no auxiliary loss.
 * Source: dl `get_auxiliary_loss`; sl `calculate_matryoshka_aux_loss`.
 * @param x - what the SAE was given, (rows, d_in).
 * @param reconstructions - of each prefix, (rows, d_in).
 */
export function auxkOfLevels(
  x: Matrix,
  reconstructions: readonly Matrix[],
  values: Matrix,
  W_dec: Matrix,
  dead: Uint8Array,
  prefixes: readonly number[],
  alpha: number,
  dialect: Dialect,
): LevelAuxk[] {
  if (dialect.auxk.values === 'none') return [];
  return groups(prefixes).flatMap(({ start, end }, g) => {
    const last = g === prefixes.length - 1;
    if (dialect.auxk.levels === 'last' && !last) return [];
    const own = dead.map((flag, j) =>
      dialect.auxk.levels === 'last' || (j >= start && j < end) ? flag : 0,
    );
    const residual = subtract(x, reconstructions[g]);
    return [{ ...auxk(residual, values, W_dec, own, alpha, dialect), level: g + 1 }];
  });
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
 * @param values - acts or pre-activations, (rows, d_sae); ranked as they are, or times decoder norm where the dialect
 * selects so.
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
  const scores = countDead(dead) === 0 ? values : selectionScores(values, W_dec, dialect);
  const chosen = chooseDead(scores, dead, auxkCount(dead, residual.cols, dialect));
  for (let i = 0; i < chosen.length; i++) if (chosen[i] === 1) latents.data[i] = values.data[i];
  const isZero = dialect.auxk.whenNothingDecodes === 'is-zero' && decodesNothing(latents, W_dec);
  if (countDead(dead) === 0 || isZero) {
    return { loss: 0, chosen, latents, gradient: matrix(residual.rows, residual.cols) };
  }
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
    const half = Math.floor(residual.cols / 2);
    if (half === 0) {
      throw new RangeError(
        `auxk: expected d_in >= 2 to scale the loss by dead latents over floor(d_in / 2), got ${residual.cols}`,
      );
    }
    factor *= Math.min(countDead(dead) / half, 1);
  }
  if (normaliser === 'residual-variance') {
    const mean = columnMeans(residual);
    const variance = meanSquare(map(residual, (value, i) => value - mean[i % residual.cols]));
    // Equal rows may leave rounding where there is no variance at all.
    if (variance === 0 || hasEqualRows(residual)) {
      throw new RangeError(
        `auxk: the residual has no variance over the batch's ${residual.rows} row(s), so the loss has no value; expected rows that differ`,
      );
    }
    factor /= variance;
  }
  return factor;
}

/** Whether every row is the first one again. */
function hasEqualRows({ data, cols }: Matrix): boolean {
  return data.every((value, i) => value === data[i % cols]);
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

/** Whether ê is 0 in every row. Source: bm `get_auxiliary_loss`, `aux_reconstruct.abs().sum() > 0`. */
function decodesNothing(latents: Matrix, W_dec: Matrix): boolean {
  return multiply(latents, W_dec).data.every((value) => value === 0);
}

function countDead(dead: Uint8Array): number {
  return dead.reduce((sum, flag) => sum + flag, 0);
}

/** Mean over rows of the squared length of a row. */
function meanSquare(a: Matrix): number {
  return dot(a.data, a.data) / a.rows;
}

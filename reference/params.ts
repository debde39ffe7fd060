/**
 * The four parameters of an SAE, and how they start.
 * @module
 */
import type { Dialect } from './dialects.ts';
import { normaliseRows } from './decoder-norm.ts';
import { matrix, requireFinite, transpose, type Matrix } from './matrix.ts';

export interface SaeParams {
  /** (d_in, d_sae). */
  readonly W_enc: Matrix;
  /** (d_sae). */
  readonly b_enc: Float64Array;
  /** (d_sae, d_in): one row per latent. */
  readonly W_dec: Matrix;
  /** (d_in). */
  readonly b_dec: Float64Array;
}

/** The parameters' names, in the order they are listed, clipped and updated in. */
export const paramNames = ['W_enc', 'b_enc', 'W_dec', 'b_dec'] as const;

/** All four parameters zero: also how Adam's moments start. */
export function zeroParams(d_in: number, d_sae: number): SaeParams {
  return {
    W_enc: matrix(d_in, d_sae),
    b_enc: new Float64Array(d_sae),
    W_dec: matrix(d_sae, d_in),
    b_dec: new Float64Array(d_in),
  };
}

/**
 * W_dec uniform in ±sqrt(6 / d_in) (Kaiming uniform over rows of length d_in), rows then rescaled to the dialect's
 * decoder norm; W_enc its transpose; biases zero. b_dec is set from the first batch by the train step.
 * Source: dl `MatryoshkaBatchTopKSAE.__init__`.
 * @param uniform - draws from [0, 1); called d_sae x d_in times, row by row.
 */
export function initialiseParams(
  d_in: number,
  d_sae: number,
  uniform: () => number,
  dialect: Dialect,
): SaeParams {
  const limit = Math.sqrt(6 / d_in);
  const drawn = matrix(d_sae, d_in);
  for (let i = 0; i < drawn.data.length; i++) drawn.data[i] = (2 * uniform() - 1) * limit;
  const unit = normaliseRows(drawn, dialect.decoderNorm.normaliseEpsilon);
  const W_dec = matrix(
    d_sae,
    d_in,
    unit.data.map((w) => w * dialect.initialise.decoderNorm),
  );
  return { ...zeroParams(d_in, d_sae), W_dec, W_enc: transpose(W_dec) };
}

/** @throws {@link RangeError} naming the parameter whose shape does not fit the others, or that is not finite. */
export function requireParams(params: SaeParams): void {
  const d_in = params.W_enc.rows;
  const d_sae = params.W_enc.cols;
  const shapes: readonly [string, number, number][] = [
    ['b_enc', params.b_enc.length, d_sae],
    ['W_dec rows', params.W_dec.rows, d_sae],
    ['W_dec columns', params.W_dec.cols, d_in],
    ['b_dec', params.b_dec.length, d_in],
  ];
  for (const [what, got, expected] of shapes) {
    if (got !== expected) {
      throw new RangeError(
        `params: expected ${what} ${expected} to fit W_enc (${d_in}, ${d_sae}), got ${got}`,
      );
    }
  }
  for (const name of paramNames) requireFinite(name, params[name]);
}

/**
 * The parameters of an SAE, and how they start.
 * @module
 */
import type { Dialect } from './dialects.ts';
import { normaliseRows } from './decoder-norm.ts';
import { map, matrix, requireFinite, transpose, type Matrix } from './matrix.ts';

export interface SaeParams {
  /** (d_in, d_sae). */
  readonly W_enc: Matrix;
  /** (d_sae). */
  readonly b_enc: Float64Array;
  /** (d_sae, d_in): one row per latent. */
  readonly W_dec: Matrix;
  /** (d_in). */
  readonly b_dec: Float64Array;
  /** (d_sae): JumpReLU's trained thresholds; other architectures have none. */
  readonly threshold?: Float64Array;
}

/** Names of the parameters that every SAE has, in the order they are listed, clipped and updated in. */
export const paramNames = ['W_enc', 'b_enc', 'W_dec', 'b_dec'] as const;

/** Names of the parameters these have: `threshold` last, if at all. */
export function namesOf(params: SaeParams): readonly (keyof SaeParams)[] {
  return params.threshold === undefined ? paramNames : [...paramNames, 'threshold'];
}

/** One parameter's numbers, row-major. */
export function valuesOf(params: SaeParams, name: keyof SaeParams): Float64Array {
  const param = params[name];
  if (param === undefined) throw new RangeError(`params: expected a ${name}, got none`);
  return param instanceof Float64Array ? param : param.data;
}

/** Parameters made anew by name, in the shapes of `like`. */
export function eachParam(
  like: SaeParams,
  make: (name: keyof SaeParams) => Float64Array,
): SaeParams {
  return {
    W_enc: matrix(like.W_enc.rows, like.W_enc.cols, make('W_enc')),
    b_enc: make('b_enc'),
    W_dec: matrix(like.W_dec.rows, like.W_dec.cols, make('W_dec')),
    b_dec: make('b_dec'),
    ...(like.threshold === undefined ? {} : { threshold: make('threshold') }),
  };
}

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
 * What `initialise.draw` draws: W_dec (d_sae, d_in) uniform in ±√(6 / d_in), W_enc (d_in, d_sae) uniform in
 * ±√(6 / d_sae) (Kaiming uniform over rows of that length), or W_enc normal of variance 1 / d_in.
 * @param uniform - draws from [0, 1); called once a value, twice for a normal one, row by row.
 */
export function drawInitial(
  d_in: number,
  d_sae: number,
  uniform: () => number,
  dialect: Dialect,
): Matrix {
  const { draw } = dialect.initialise;
  const drawn = draw === 'W_dec-uniform' ? matrix(d_sae, d_in) : matrix(d_in, d_sae);
  if (draw === 'W_enc-normal') return map(drawn, () => normal(uniform) / Math.sqrt(d_in));
  const limit = Math.sqrt(6 / drawn.cols);
  return map(drawn, () => (2 * uniform() - 1) * limit);
}

/**
 * W_dec is what was drawn with rows rescaled to the dialect's decoder norm; W_enc its transpose, or what was drawn as it
 * is; biases zero. b_dec may be set from the first batch by the train step.
 * @param drawn - by {@link drawInitial}.
 * @throws {@link RangeError} if a row that was drawn has norm 0 and cannot be rescaled.
 */
export function initialiseParams(drawn: Matrix, dialect: Dialect): SaeParams {
  const { draw, decoderNorm, normEpsilon, encoder } = dialect.initialise;
  const rows = draw === 'W_dec-uniform' ? drawn : transpose(drawn);
  const [d_sae, d_in] = [rows.rows, rows.cols];
  const W_dec = map(normaliseRows(rows, normEpsilon), (w) => w * decoderNorm);
  return {
    ...zeroParams(d_in, d_sae),
    W_dec,
    W_enc: transpose(encoder === 'decoder-transposed' ? W_dec : rows),
  };
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
    ['threshold', params.threshold?.length ?? d_sae, d_sae],
  ];
  for (const [what, got, expected] of shapes) {
    if (got !== expected) {
      throw new RangeError(
        `params: expected ${what} ${expected} to fit W_enc (${d_in}, ${d_sae}), got ${got}`,
      );
    }
  }
  for (const name of namesOf(params)) requireFinite(name, params[name]!);
}

/** A standard normal value of two uniform ones (Box and Muller). */
function normal(uniform: () => number): number {
  const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
  return radius * Math.cos(2 * Math.PI * uniform());
}

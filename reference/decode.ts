/**
 * Reconstruction from every prefix, by one running sum over groups. Does not select; latents that are 0 add nothing.
 * @module
 */
import { addToRows, matrix, type Matrix } from './matrix.ts';
import type { SaeParams } from './params.ts';
import { groups, requirePrefixes, type Group } from './prefixes.ts';

/**
 * x̂_g = x̂_{g-1} + A_g W_g with x̂_0 = b_dec, where A_g and W_g are the columns and rows of group g.
 * Source: dl `MatryoshkaBatchTopKTrainer.loss`.
 * @param latents - (rows, d_sae).
 * @returns one reconstruction (rows, d_in) for each prefix; the last is the full one.
 * @throws {@link RangeError} on shapes or prefixes that do not fit.
 */
export function decodePrefixes(
  latents: Matrix,
  params: SaeParams,
  prefixes: readonly number[],
): Matrix[] {
  requirePrefixes(prefixes, params.W_dec.rows);
  if (latents.cols !== params.W_dec.rows) {
    throw new RangeError(
      `latents: expected d_sae = ${params.W_dec.rows} columns, got ${latents.cols}`,
    );
  }
  let before = constantRows(params.b_dec, latents.rows);
  return groups(prefixes).map((group) => {
    before = addGroup(before, latents, params.W_dec, group);
    return before;
  });
}

/** The full reconstruction b_dec + latents · W_dec: (rows, d_sae) → (rows, d_in). */
export function decode(latents: Matrix, params: SaeParams): Matrix {
  return decodePrefixes(latents, params, [params.W_dec.rows])[0];
}

/** `values` repeated on every row: the prefix of no latents, b_dec alone. */
export function constantRows(values: Float64Array, rows: number): Matrix {
  return addToRows(matrix(rows, values.length), values);
}

function addGroup(before: Matrix, latents: Matrix, W_dec: Matrix, group: Group): Matrix {
  const sum = matrix(before.rows, before.cols, before.data.slice());
  const d_in = sum.cols;
  for (let b = 0; b < sum.rows; b++) {
    for (let j = group.start; j < group.end; j++) {
      const latent = latents.data[b * latents.cols + j];
      if (latent === 0) continue;
      for (let i = 0; i < d_in; i++) sum.data[b * d_in + i] += latent * W_dec.data[j * d_in + i];
    }
  }
  return sum;
}

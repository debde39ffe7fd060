/**
 * What the metrics judge: a code, that is latents and the decoder rows that read them. Decoder norms are folded into
 * the latents first, so that a latent's size means the same whatever length its row has.
 * @module
 */
import type { Matrix } from '../../reference/matrix.ts';
import { dot, matrix, norm, row } from '../../reference/matrix.ts';

/** Norms are taken as at least this, so that a zero row has cosine 0 with everything (SAELens, util.py). */
export const SMALLEST_NORM = 1e-8;

/** Latents and decoder after folding: latents · decoder is what it was before. */
export interface Code {
  /** Z, (samples, d_sae). A latent is active where it is not 0. */
  readonly latents: Matrix;
  /** W, (d_sae, d_in), rows of length 1; a zero row stays zero. */
  readonly decoder: Matrix;
}

/**
 * Rows of the decoder divided by their norms, latents multiplied by them.
 * @param latents - (samples, d_sae).
 * @param W_dec - (d_sae, d_in).
 * @throws {@link RangeError} if the widths differ.
 */
export function foldDecoderNorms(latents: Matrix, W_dec: Matrix): Code {
  if (latents.cols !== W_dec.rows) {
    throw new RangeError(
      `foldDecoderNorms: expected latents of width ${W_dec.rows}, the decoder's rows, got ${latents.cols}`,
    );
  }
  const norms = rowNorms(W_dec);
  return {
    latents: matrix(
      latents.rows,
      latents.cols,
      latents.data.map((z, i) => z * norms[i % latents.cols]),
    ),
    decoder: matrix(
      W_dec.rows,
      W_dec.cols,
      W_dec.data.map((w, i) => w / norms[Math.floor(i / W_dec.cols)]),
    ),
  };
}

/** Length of every row, at least {@link SMALLEST_NORM}: (rows). */
export function rowNorms(a: Matrix): Float64Array {
  return Float64Array.from({ length: a.rows }, (_, i) => Math.max(norm(row(a, i)), SMALLEST_NORM));
}

/** cos(a_i, b_j): (n, d), (m, d) → (n, m). A zero row has cosine 0. */
export function cosines(a: Matrix, b: Matrix): Matrix {
  if (a.cols !== b.cols) {
    throw new RangeError(`cosines: expected rows of equal width, got ${a.cols} and ${b.cols}`);
  }
  const out = matrix(a.rows, b.rows);
  const [normsA, normsB] = [rowNorms(a), rowNorms(b)];
  for (let i = 0; i < a.rows; i++) {
    for (let j = 0; j < b.rows; j++) {
      out.data[i * b.rows + j] = dot(row(a, i), row(b, j)) / (normsA[i] * normsB[j]);
    }
  }
  return out;
}

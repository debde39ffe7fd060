/**
 * What the metrics judge: a code, that is latents and the decoder rows that read them. Decoder norms are folded into
 * the latents first, so that a latent's size means the same whatever length its row has.
 * @module
 */
import type { Matrix } from '../../reference/matrix.ts';
import { matrix, norm, row } from '../../reference/matrix.ts';
import type { SparseRows } from '../sparse-rows.ts';

/** Norms are taken as at least this, so that a zero row has cosine 0 with everything (SAELens, util.py). */
export const SMALLEST_NORM = 1e-8;

/** Latents and decoder after folding: latents · decoder is what it was before. */
export interface Code {
  /** Z, (samples, d_sae). A latent is active where it has an entry. */
  readonly latents: SparseRows;
  /** W, (d_sae, d_in), rows of length 1; a zero row stays zero. */
  readonly decoder: Matrix;
}

/**
 * Rows of the decoder divided by their norms, latents multiplied by them.
 * @param latents - (samples, d_sae).
 * @param W_dec - (d_sae, d_in).
 * @throws {@link RangeError} if the widths differ.
 */
export function foldDecoderNorms(latents: SparseRows, W_dec: Matrix): Code {
  if (latents.cols !== W_dec.rows) {
    throw new RangeError(
      `foldDecoderNorms: expected latents of width ${W_dec.rows}, the decoder's rows, got ${latents.cols}`,
    );
  }
  const norms = rowNorms(W_dec);
  return {
    latents: { ...latents, value: latents.value.map((z, e) => z * norms[latents.index[e]]) },
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

/** Rows of b that stay in cache while all of a passes by. A multiple of 4. */
const TILE = 32;

/** cos(a_i, b_j): (n, d), (m, d) → (n, m). A zero row has cosine 0. */
export function cosines(a: Matrix, b: Matrix): Matrix {
  if (a.cols !== b.cols) {
    throw new RangeError(`cosines: expected rows of equal width, got ${a.cols} and ${b.cols}`);
  }
  const out = matrix(a.rows, b.rows);
  const [normsA, normsB] = [rowNorms(a), rowNorms(b)];
  for (let tile = 0; tile < b.rows; tile += TILE) {
    const end = Math.min(tile + TILE, b.rows);
    for (let i = 0; i < a.rows; i++) {
      for (let j = tile; j < end; j += 4) {
        const products = fourProducts(a, i, b, j);
        for (let c = 0; c < 4 && j + c < end; c++) {
          out.data[i * b.rows + j + c] = products[c] / (normsA[i] * normsB[j + c]);
        }
      }
    }
  }
  return out;
}

/** a_i · b_j … a_i · b_(j+3), each the sum that `dot` makes: a_i is read once for four. Past b's last row: its last row. */
function fourProducts(a: Matrix, i: number, b: Matrix, j: number): Float64Array {
  const d = a.cols;
  const last = b.rows - 1;
  const start = i * d;
  const s0 = j * d;
  const s1 = Math.min(j + 1, last) * d;
  const s2 = Math.min(j + 2, last) * d;
  const s3 = Math.min(j + 3, last) * d;
  let [p0, p1, p2, p3] = [0, 0, 0, 0];
  for (let k = 0; k < d; k++) {
    const value = a.data[start + k];
    p0 += value * b.data[s0 + k];
    p1 += value * b.data[s1 + k];
    p2 += value * b.data[s2 + k];
    p3 += value * b.data[s3 + k];
  }
  return Float64Array.of(p0, p1, p2, p3);
}

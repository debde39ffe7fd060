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
  for (let tile = 0; tile < b.rows; tile += TILE) {
    const end = Math.min(tile + TILE, b.rows);
    for (let i = 0; i < a.rows; i += 2) {
      for (let j = tile; j < end; j += 4) eightProducts(a, i, b, j, out);
    }
  }
  const [normsA, normsB] = [rowNorms(a), rowNorms(b)];
  for (let i = 0, at = 0; i < a.rows; i++) {
    for (let j = 0; j < b.rows; j++, at++) out.data[at] /= normsA[i] * normsB[j];
  }
  return out;
}

/**
 * out[i, j] … out[i + 1, j + 3] = a_i · b_j …, each the sum that `dot` makes: eight sums that stay in registers. Past the
 * last rows of a and b it computes the last ones again.
 */
function eightProducts(
  { rows, cols: d, data: A }: Matrix,
  i: number,
  b: Matrix,
  j: number,
  out: Matrix,
): void {
  const B = b.data;
  const last = b.rows - 1;
  const [i1, j1, j2, j3] = [
    Math.min(i + 1, rows - 1),
    Math.min(j + 1, last),
    Math.min(j + 2, last),
    Math.min(j + 3, last),
  ];
  const a0 = i * d;
  const a1 = i1 * d;
  const b0 = j * d;
  const b1 = j1 * d;
  const b2 = j2 * d;
  const b3 = j3 * d;
  let p0 = 0;
  let p1 = 0;
  let p2 = 0;
  let p3 = 0;
  let q0 = 0;
  let q1 = 0;
  let q2 = 0;
  let q3 = 0;
  for (let k = 0; k < d; k++) {
    const p = A[a0 + k];
    const q = A[a1 + k];
    const w0 = B[b0 + k];
    const w1 = B[b1 + k];
    const w2 = B[b2 + k];
    const w3 = B[b3 + k];
    p0 += p * w0;
    p1 += p * w1;
    p2 += p * w2;
    p3 += p * w3;
    q0 += q * w0;
    q1 += q * w1;
    q2 += q * w2;
    q3 += q * w3;
  }
  const upper = i * out.cols;
  const lower = i1 * out.cols;
  out.data[upper + j] = p0;
  out.data[upper + j1] = p1;
  out.data[upper + j2] = p2;
  out.data[upper + j3] = p3;
  out.data[lower + j] = q0;
  out.data[lower + j1] = q1;
  out.data[lower + j2] = q2;
  out.data[lower + j3] = q3;
}

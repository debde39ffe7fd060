/**
 * Latents of some rows in compressed sparse rows, as inference finds and files keep them: no object for a row, and no number
 * for a latent that is 0.
 * @module
 */

/** Row n has the entries `start[n]` to `start[n + 1] - 1`. */
export interface Latents {
  readonly rows: number;
  /** (rows + 1). */
  readonly start: Int32Array;
  /** Latent of each entry, ascending in a row. */
  readonly latent: Int32Array;
  /** Above 0. */
  readonly value: Float32Array;
}

/** The entries that `keep` says yes to. */
export function filtered(
  { rows, start, latent, value }: Latents,
  keep: (latent: number, value: number) => boolean,
): Latents {
  const kept = new Int32Array(rows + 1);
  const which = new Int32Array(latent.length);
  let count = 0;
  for (let row = 0; row < rows; row++) {
    for (let e = start[row]; e < start[row + 1]; e++) {
      if (keep(latent[e], value[e])) which[count++] = e;
    }
    kept[row + 1] = count;
  }
  const own = which.subarray(0, count);
  return {
    rows,
    start: kept,
    latent: Int32Array.from(own, (e) => latent[e]),
    value: Float32Array.from(own, (e) => value[e]),
  };
}

/** The entries above 0 of (rows, d_sae) values. */
export function fromDense(values: ArrayLike<number>, rows: number, d_sae: number): Latents {
  const start = new Int32Array(rows + 1);
  let count = 0;
  for (let i = 0; i < rows * d_sae; i++) if (values[i] > 0) count++;
  const latent = new Int32Array(count);
  const value = new Float32Array(count);
  let at = 0;
  for (let row = 0; row < rows; row++) {
    for (let j = 0; j < d_sae; j++) {
      const act = values[row * d_sae + j];
      if (!(act > 0)) continue;
      latent[at] = j;
      value[at++] = act;
    }
    start[row + 1] = at;
  }
  return { rows, start, latent, value };
}

/** One after the other. */
export function joined(parts: readonly Latents[]): Latents {
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const count = parts.reduce((sum, part) => sum + part.latent.length, 0);
  const start = new Int32Array(rows + 1);
  const latent = new Int32Array(count);
  const value = new Float32Array(count);
  let row = 0;
  let at = 0;
  for (const part of parts) {
    latent.set(part.latent, at);
    value.set(part.value, at);
    for (let n = 1; n <= part.rows; n++) start[row + n] = at + part.start[n];
    row += part.rows;
    at += part.latent.length;
  }
  return { rows, start, latent, value };
}

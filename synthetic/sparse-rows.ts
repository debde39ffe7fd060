/**
 * Rows with few entries that are not 0, in compressed form: what features and latents are once there are thousands of
 * them. One array each for the whole sample, no object per row.
 * @module
 */
import { matrix, type Matrix } from '../reference/matrix.ts';

/** Row n has the entries `start[n]` to `start[n + 1] - 1`, ascending in `index`; every other column is 0. */
export interface SparseRows {
  readonly rows: number;
  readonly cols: number;
  /** (rows + 1). */
  readonly start: Int32Array;
  /** Column of each entry. */
  readonly index: Int32Array;
  /** Not 0. */
  readonly value: Float64Array;
}

/** Collects entries row by row. */
export interface SparseRowsBuilder {
  /** An entry of the row in the making; columns in any order, each at most once. A value of 0 is left out. */
  readonly add: (col: number, value: number) => void;
  readonly endRow: () => void;
  /** All rows ended so far. */
  readonly finish: () => SparseRows;
}

/** @throws {@link RangeError} if cols is not a whole number >= 0. */
export function sparseRowsBuilder(cols: number): SparseRowsBuilder {
  if (!Number.isInteger(cols) || cols < 0) {
    throw new RangeError(`sparseRowsBuilder: expected whole number of cols >= 0, got ${cols}`);
  }
  const start = [0];
  let index = new Int32Array(1024);
  let value = new Float64Array(1024);
  let length = 0;
  return {
    add(col, entry) {
      if (entry === 0) return;
      if (length === index.length) {
        index = grown(index, new Int32Array(2 * length));
        value = grown(value, new Float64Array(2 * length));
      }
      // Insertion keeps the row ascending; entries mostly come so, and rows are short.
      let at = length;
      for (; at > start[start.length - 1] && index[at - 1] > col; at--) {
        index[at] = index[at - 1];
        value[at] = value[at - 1];
      }
      index[at] = col;
      value[at] = entry;
      length++;
    },
    endRow: () => void start.push(length),
    finish: () => ({
      rows: start.length - 1,
      cols,
      start: Int32Array.from(start),
      index: index.slice(0, length),
      value: value.slice(0, length),
    }),
  };
}

function grown<T extends Int32Array | Float64Array>(old: T, larger: T): T {
  larger.set(old);
  return larger;
}

/** The entries of a dense matrix that are not 0. */
export function sparseRows(a: Matrix): SparseRows {
  const builder = sparseRowsBuilder(a.cols);
  for (let n = 0; n < a.rows; n++) {
    for (let j = 0; j < a.cols; j++) builder.add(j, a.data[n * a.cols + j]);
    builder.endRow();
  }
  return builder.finish();
}

/** (rows, cols), zeros filled in. */
export function denseRows({ rows, cols, start, index, value }: SparseRows): Matrix {
  const out = matrix(rows, cols);
  for (let n = 0; n < rows; n++) {
    for (let e = start[n]; e < start[n + 1]; e++) out.data[n * cols + index[e]] = value[e];
  }
  return out;
}

/** The value in row n, column j. */
export function valueAt({ start, index, value }: SparseRows, n: number, j: number): number {
  let low = start[n];
  let high = start[n + 1];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (index[middle] < j) low = middle + 1;
    else high = middle;
  }
  return low < start[n + 1] && index[low] === j ? value[low] : 0;
}

/** The same entries by column: row j of the result has the rows in which column j is not 0, ascending. */
export function columnsOf({ rows, cols, start, index, value }: SparseRows): SparseRows {
  const ends = new Int32Array(cols + 1);
  for (const j of index) ends[j + 1]++;
  for (let j = 0; j < cols; j++) ends[j + 1] += ends[j];
  const next = ends.slice(0, cols);
  const out = { index: new Int32Array(index.length), value: new Float64Array(index.length) };
  for (let n = 0; n < rows; n++) {
    for (let e = start[n]; e < start[n + 1]; e++) {
      const at = next[index[e]]++;
      out.index[at] = n;
      out.value[at] = value[e];
    }
  }
  return { rows: cols, cols: rows, start: ends, ...out };
}

/** Entries in each column: (cols). */
export function columnCounts({ cols, index }: SparseRows): Int32Array {
  const counts = new Int32Array(cols);
  for (const j of index) counts[j]++;
  return counts;
}

/**
 * Dense float64 matrices, row-major, and the few products the other files are written with.
 * Written to be read: triple loops in the order of the equations, no blocking, no buffers reused.
 * @module
 */

/** `data[row * cols + col]`; `data.length` is `rows * cols`. */
export interface Matrix {
  readonly rows: number;
  readonly cols: number;
  readonly data: Float64Array;
}

/**
 * @param data - row-major values; zeros if left out. Kept, not copied.
 * @throws {@link RangeError} if a size is not a whole number >= 0 or `data` has another length.
 */
export function matrix(rows: number, cols: number, data?: Float64Array): Matrix {
  for (const [name, size] of [
    ['rows', rows],
    ['cols', cols],
  ] as const) {
    if (!Number.isInteger(size) || size < 0) {
      throw new RangeError(`matrix: expected whole number of ${name} >= 0, got ${size}`);
    }
  }
  const values = data ?? new Float64Array(rows * cols);
  if (values.length !== rows * cols) {
    throw new RangeError(
      `matrix: expected ${rows} x ${cols} = ${rows * cols} values, got ${values.length}`,
    );
  }
  return { rows, cols, data: values };
}

/**
 * @example fromRows([[1, 2], [3, 4]]) // 2 x 2
 * @throws {@link RangeError} if the rows differ in length.
 */
export function fromRows(rows: readonly (readonly number[])[]): Matrix {
  const cols = rows[0]?.length ?? 0;
  const out = matrix(rows.length, cols);
  rows.forEach((row, i) => {
    if (row.length !== cols) {
      throw new RangeError(`fromRows: row ${i} has ${row.length} values, row 0 has ${cols}`);
    }
    out.data.set(row, i * cols);
  });
  return out;
}

/** A view of row `i`, not a copy: (cols). */
export function row(a: Matrix, i: number): Float64Array {
  return a.data.subarray(i * a.cols, (i + 1) * a.cols);
}

/** A new matrix with `f` applied to every value. */
export function map(a: Matrix, f: (value: number, index: number) => number): Matrix {
  const out = matrix(a.rows, a.cols);
  // A plain loop: the built-in map of typed arrays is some ten times slower.
  for (let i = 0; i < out.data.length; i++) out.data[i] = f(a.data[i], i);
  return out;
}

/**
 * a · b: (n, m) · (m, p) → (n, p). Zeros of `a` are skipped: adding 0 · b changes nothing for finite b, and a
 * matrix of selected latents is nearly all zeros.
 * @throws {@link RangeError} if the inner sizes differ.
 */
export function multiply(a: Matrix, b: Matrix): Matrix {
  if (a.cols !== b.rows) throw innerSizes('multiply', a, b);
  const out = matrix(a.rows, b.cols);
  const [inner, cols] = [a.cols, b.cols];
  const [A, B, C] = [a.data, b.data, out.data];
  for (let i = 0; i < a.rows; i++) {
    for (let t = 0; t < inner; t++) {
      const factor = A[i * inner + t];
      if (factor === 0) continue;
      for (let j = 0; j < cols; j++) C[i * cols + j] += factor * B[t * cols + j];
    }
  }
  return out;
}

/**
 * aᵀ · b: (n, m)ᵀ · (n, p) → (m, p), with zeros of `a` skipped as in {@link multiply}.
 * @throws {@link RangeError} if the row counts differ.
 */
export function multiplyTransposed(a: Matrix, b: Matrix): Matrix {
  if (a.rows !== b.rows) throw innerSizes('multiplyTransposed', a, b);
  const out = matrix(a.cols, b.cols);
  const [inner, cols] = [a.cols, b.cols];
  const [A, B, C] = [a.data, b.data, out.data];
  for (let i = 0; i < a.rows; i++) {
    for (let t = 0; t < inner; t++) {
      const factor = A[i * inner + t];
      if (factor === 0) continue;
      for (let j = 0; j < cols; j++) C[t * cols + j] += factor * B[i * cols + j];
    }
  }
  return out;
}

/** a - b, value by value. */
export function subtract(a: Matrix, b: Matrix): Matrix {
  const out = matrix(a.rows, a.cols);
  for (let i = 0; i < out.data.length; i++) out.data[i] = a.data[i] - b.data[i];
  return out;
}

/** a with `values` (cols) added to every row. */
export function addToRows(a: Matrix, values: Float64Array): Matrix {
  const out = matrix(a.rows, a.cols);
  for (let i = 0; i < a.rows; i++) {
    for (let j = 0; j < a.cols; j++) out.data[i * a.cols + j] = a.data[i * a.cols + j] + values[j];
  }
  return out;
}

/** factor · a. */
export function scale(a: Matrix, factor: number): Matrix {
  const out = matrix(a.rows, a.cols);
  for (let i = 0; i < out.data.length; i++) out.data[i] = factor * a.data[i];
  return out;
}

/** (n, m) → (m, n). */
export function transpose(a: Matrix): Matrix {
  const out = matrix(a.cols, a.rows);
  for (let i = 0; i < a.rows; i++) {
    for (let j = 0; j < a.cols; j++) out.data[j * a.rows + i] = a.data[i * a.cols + j];
  }
  return out;
}

/** target ← target + factor · source, in place. */
export function addScaled(target: Float64Array, source: Float64Array, factor: number): void {
  for (let i = 0; i < target.length; i++) target[i] += factor * source[i];
}

/** Σ a_i b_i. */
export function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** √(Σ a_i²). Squares are not rescaled: values beyond 1e154 overflow. */
export function norm(a: Float64Array): number {
  return Math.sqrt(dot(a, a));
}

/** Sum of each column: (rows, cols) → (cols). */
export function columnSums(a: Matrix): Float64Array {
  const sums = new Float64Array(a.cols);
  for (let i = 0; i < a.rows; i++) {
    for (let j = 0; j < a.cols; j++) sums[j] += a.data[i * a.cols + j];
  }
  return sums;
}

/** Mean of each column: (rows, cols) → (cols). */
export function columnMeans(a: Matrix): Float64Array {
  return columnSums(a).map((sum) => sum / a.rows);
}

/**
 * @throws {@link RangeError} naming `what`, the place and the value, if any value is NaN or infinite: a
 * reference that computed on would define nothing.
 */
export function requireFinite(what: string, values: Float64Array | Matrix): void {
  const data = values instanceof Float64Array ? values : values.data;
  let at = 0;
  while (at < data.length && Number.isFinite(data[at])) at++;
  if (at === data.length) return;
  const place =
    values instanceof Float64Array
      ? `${at}`
      : `${Math.floor(at / values.cols)}, ${at % values.cols}`;
  throw new RangeError(`${what}: expected finite values, got ${data[at]} at [${place}]`);
}

function innerSizes(where: string, a: Matrix, b: Matrix): RangeError {
  return new RangeError(
    `${where}: sizes do not fit, ${a.rows} x ${a.cols} and ${b.rows} x ${b.cols}`,
  );
}

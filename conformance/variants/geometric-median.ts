/**
 * geometric-median: Weiszfeld's iteration.
 * @module
 */
import type { Call, Tensor, Tensors } from '../kernel.ts';
import { fromVector } from '../tensors.ts';
import { norm, sum, sumOfProducts, type Arithmetic } from './arithmetic.ts';

/** At most 100 rounds from the mean, until one moves less than 1e-5. */
export function geometricMedian({ inputs: { x } }: Call, arithmetic: Arithmetic): Tensors {
  const { round, store } = arithmetic;
  const [rows] = x.shape;
  if (rows === 0) throw new RangeError('x: expected at least one row, got 0');
  let median = perColumn(x, (column) => round(sum(arithmetic, column, rows) / rows));
  for (let turn = 0; turn < 100; turn++) {
    const shares = weights(x, median, arithmetic);
    const next = perColumn(x, (column) => sumOfProducts(arithmetic, column, shares, rows));
    const moved = norm(
      arithmetic,
      next.map((value, i) => round(value - median[i])),
    );
    median = next;
    if (moved < 1e-5) break;
  }
  return { median: fromVector(median.map(store)) };
}

/** 1 / distance of every row, over their sum. */
function weights(
  { shape, data }: Tensor,
  from: Float64Array,
  arithmetic: Arithmetic,
): Float64Array {
  const { round } = arithmetic;
  const [rows, d_in] = shape;
  const inverse = Float64Array.from({ length: rows }, (_, b) => {
    const away = from.map((value, i) => round(data[b * d_in + i] - value));
    const distance = norm(arithmetic, away);
    if (distance === 0) throw new RangeError(`x: row ${b} equals the iterate`);
    return round(1 / distance);
  });
  const total = sum(arithmetic, inverse.slice(), rows);
  return inverse.map((value) => round(value / total));
}

/** One value of each column; the column may be overwritten. */
function perColumn({ shape, data }: Tensor, of: (column: Float64Array) => number): Float64Array {
  const [rows, d_in] = shape;
  const column = new Float64Array(rows);
  return Float64Array.from({ length: d_in }, (_, i) => {
    for (let b = 0; b < rows; b++) column[b] = data[b * d_in + i];
    return of(column);
  });
}

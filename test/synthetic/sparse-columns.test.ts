import { expect, test } from 'vitest';
import { fromRows, matrix, transpose } from '../../reference/matrix.ts';
import { columnCounts, columnsOf, denseRows, sparseRows } from '../../synthetic/sparse-rows.ts';

const dense = fromRows([
  [0, 2, 0, -1],
  [0, 0, 0, 0],
  [3, 4, 0, 0],
]);

test('columnsOf is the transpose, and twice the same again', () => {
  const columns = columnsOf(sparseRows(dense));
  expect(denseRows(columns)).toEqual(transpose(dense));
  expect(columnsOf(columns)).toEqual(sparseRows(dense));
});

test('columnCounts counts entries, negative ones too', () => {
  expect([...columnCounts(sparseRows(dense))]).toEqual([1, 2, 0, 1]);
  expect([...columnCounts(sparseRows(matrix(0, 2)))]).toEqual([0, 0]);
  expect(columnsOf(sparseRows(matrix(0, 2)))).toMatchObject({ rows: 2, cols: 0 });
});

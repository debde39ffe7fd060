import { expect, test } from 'vitest';
import { metricTable } from '../../synthetic/experiment-output.ts';
import { treeClaims } from './report/sample-results.ts';

const columnsOf = (line: string): string[] => line.trim().split(/ {2,}/);

test.each([20, 60, 90, 1000])('a table is folded to lines of %i characters', (most) => {
  const { summaries } = treeClaims();
  const several = new Set(summaries.map(({ targetL0 }) => targetL0)).size > 1;
  const parts = metricTable({ summaries }, most)
    .split('\n\n')
    .map((part) => part.split('\n'));
  // Every architecture once, in order; each part with every metric.
  expect(parts.flatMap(([head]) => columnsOf(head))).toEqual(
    summaries.map(
      ({ architecture, targetL0 }) => architecture + (several ? `, L0 ${targetL0}` : ''),
    ),
  );
  for (const part of parts) {
    expect(part.map((line) => line.slice(0, 12))).toEqual(
      parts[0].map((line) => line.slice(0, 12)),
    );
    const widest = Math.max(...part.map((line) => line.length));
    if (columnsOf(part[0]).length > 1) expect(widest).toBeLessThanOrEqual(most);
  }
  expect(parts.length === 1).toBe(most === 1000);
});

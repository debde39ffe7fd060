/**
 * The oracle's rows as a table, in Markdown that also reads as plain text.
 * @module
 */
import type { OracleRow } from './run.ts';

/**
 * One line an operator: cases judged; of them ambiguous; besides them unbounded; values compared; of them unresolved; the
 * worst ratio and where it was found.
 */
export function formatOracle(rows: readonly OracleRow[]): string {
  const head = [
    'operator',
    'cases',
    'ambiguous',
    'unbounded',
    'values',
    'unresolved',
    'worst error / bound',
    'at',
  ];
  const lines = rows.map((row) => [
    row.operator,
    String(row.cases),
    String(row.ambiguous),
    String(row.unbounded),
    String(row.values),
    String(row.unresolved),
    row.failure === undefined ? (row.worst === 0 ? 'exact' : row.worst.toFixed(3)) : 'FAILED',
    row.at,
  ]);
  const widths = head.map((title, i) =>
    Math.max(title.length, ...lines.map((line) => line[i].length)),
  );
  const numeric = (i: number): boolean => i >= 1 && i <= 6;
  const format = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => (numeric(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join(' | ')} |`;
  const rule = `| ${widths.map((width, i) => (numeric(i) ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width))).join(' | ')} |`;
  return [format(head), rule, ...lines.map(format)].join('\n');
}

/** The worst ratio of every kind of value, a line an operator: none is far below its bound only because another is near. */
export function formatOracleValues(rows: readonly OracleRow[]): string {
  return rows
    .map(({ operator, byValue }) => {
      const shares = Object.entries(byValue).map(
        ([name, share]) => `${name} ${share === 0 ? 'exact' : share.toFixed(2)}`,
      );
      return `- **${operator}**: ${shares.join(', ') || 'choices and copies, exact'}`;
    })
    .join('\n');
}

/** What failed: the message, the smallest case and how to repeat it; empty if nothing did. */
export function formatOracleFailures(rows: readonly OracleRow[]): string {
  return rows
    .flatMap(({ operator, failure }) =>
      failure === undefined
        ? []
        : [
            `${operator}: ${failure.message}\n  case: ${failure.given}\n  seed ${failure.seed}, path ${failure.path}`,
          ],
    )
    .join('\n');
}

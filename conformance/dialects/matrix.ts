/**
 * The matrix of dialects: a row for each decision, a column for each dialect, and what one decides.
 * @module
 */
import {
  applies,
  decided,
  decisionList,
  type Dialect,
  type NamedDecision,
  type Value,
} from '../../reference/dialects.ts';

/** What stands for a decision that changes nothing in a dialect. */
export const DOES_NOT_APPLY = '–';

/** A value as tables show it: numbers to 7 digits. */
export function shown(value: Value): string {
  return typeof value === 'number' ? String(Number(value.toPrecision(7))) : String(value);
}

/** What a dialect decides, or `–`. */
export function cellOf(dialect: Dialect, decision: NamedDecision): string {
  return applies(decision, dialect) ? shown(decided(dialect, decision.path)) : DOES_NOT_APPLY;
}

/** Header and rows: path, where it is seen, then each dialect's value. */
export function matrixCells(dialects: readonly Dialect[]): string[][] {
  return [
    ['decision', 'seen', ...dialects.map(({ name }) => name)],
    ...decisionList.map((decision) => [
      decision.path,
      decision.seen,
      ...dialects.map((dialect) => cellOf(dialect, decision)),
    ]),
  ];
}

export const LEGEND: string = `seen: at Inference, in the Loss, in Gradients, in Training only. ${DOES_NOT_APPLY}: changes nothing in that dialect.`;

/** The matrix for a terminal of so many columns: values break at hyphens, and dialects that do not fit go below. */
export function matrixText(dialects: readonly Dialect[], width: number): string {
  const cells = matrixCells(dialects);
  const natural = columnWidths(cells);
  if (total(natural) <= width) return rowsText(cells, natural);
  const narrow = columnWidths(
    cells.map((row) => row.map((cell, i) => (i < 2 ? cell : longest(cell)))),
  );
  const blocks: number[][] = [];
  let block: number[] = [];
  for (let column = 2; column < narrow.length; column++) {
    const would = [0, 1, ...block, column].map((i) => narrow[i]);
    if (block.length > 0 && total(would) > width) {
      blocks.push(block);
      block = [];
    }
    block.push(column);
  }
  blocks.push(block);
  return blocks
    .map((columns) => {
      const picked = [0, 1, ...columns];
      const widths = widened(
        picked.map((i) => narrow[i]),
        picked.map((i) => natural[i]),
        width,
      );
      return rowsText(
        cells.map((row) => picked.map((i) => row[i])),
        widths,
      );
    })
    .join('\n\n');
}

/** The matrix as a table in Markdown. */
export function matrixMarkdown(dialects: readonly Dialect[]): string {
  const [header, ...rows] = matrixCells(dialects);
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}

/** File and function that each section was read from. */
export function sourcesText(dialects: readonly Dialect[]): string {
  return dialects
    .map(({ name, source, readFrom = {} }) =>
      [
        `${name}: ${source}`,
        ...Object.entries(readFrom).map(([section, where]) => `  ${section.padEnd(13)} ${where}`),
      ].join('\n'),
    )
    .join('\n\n');
}

/** The matrix as data; a decision that does not apply is null. */
export function matrixJson(dialects: readonly Dialect[]): Readonly<Record<string, unknown>> {
  return {
    dialects: dialects.map(({ name, source, readFrom = {} }) => ({ name, source, readFrom })),
    decisions: decisionList.map((decision) => ({
      path: decision.path,
      seen: decision.seen,
      meaning: decision.meaning,
      values: decision.values,
      number: decision.number ?? null,
      decided: Object.fromEntries(
        dialects.map((dialect) => [
          dialect.name,
          applies(decision, dialect) ? decided(dialect, decision.path) : null,
        ]),
      ),
    })),
  };
}

/** Rows of cells as lines; a cell wider than its column goes on below. */
export function rowsText(cells: readonly (readonly string[])[], widths: readonly number[]): string {
  return cells
    .flatMap((row) => {
      const broken = row.map((cell, i) => brokenTo(cell, widths[i]));
      const height = Math.max(...broken.map(({ length }) => length));
      return Array.from({ length: height }, (_, line) =>
        broken
          .map((lines, i) => (lines[line] ?? '').padEnd(widths[i]))
          .join('  ')
          .trimEnd(),
      );
    })
    .join('\n');
}

export function columnWidths(cells: readonly (readonly string[])[]): number[] {
  return cells[0].map((_, i) => Math.max(...cells.map((row) => row[i].length)));
}

function total(widths: readonly number[]): number {
  return widths.reduce((sum, each) => sum + each + 2, -2);
}

/** Pieces that a line may end behind: after a hyphen, an underscore or a space. */
function pieces(text: string): string[] {
  return text.match(/[^-_ ]*[-_ ]|[^-_ ]+/g) ?? [];
}

function longest(cell: string): string {
  return pieces(cell).reduce((best, piece) => (piece.length > best.length ? piece : best), '');
}

/** @param width - lines of at most this, where pieces allow. */
function brokenTo(text: string, width: number): string[] {
  const lines: string[] = [''];
  for (const piece of pieces(text)) {
    const last = lines.length - 1;
    if (lines[last] !== '' && (lines[last] + piece).trimEnd().length > width) lines.push(piece);
    else lines[last] += piece;
  }
  return lines.map((line) => line.trimEnd());
}

/** Narrow columns made wider, one character at a time, until the line is full. */
function widened(narrow: readonly number[], natural: readonly number[], width: number): number[] {
  const widths = [...narrow];
  for (let grew = true; grew;) {
    grew = false;
    for (let i = 0; i < widths.length; i++) {
      if (widths[i] >= natural[i] || total(widths) >= width) continue;
      widths[i]++;
      grew = true;
    }
  }
  return widths;
}

/**
 * The rows of a run as a Markdown table that also reads well in a terminal, its ratio first.
 * @module
 */
import type { Row, Timed } from './compare.ts';
import { shapeName } from './shape.ts';
import type { Spread } from './statistics.ts';

const NONE = '–';

/** A column's heading and its text for a row. */
type Column = readonly [heading: string, text: (row: Row) => string];

const columns: readonly Column[] = [
  ['times as fast', ({ ratio }) => (ratio === null ? NONE : times(ratio))],
  ['d_in/d_sae/B/k', ({ shape }) => shapeName(shape)],
  ['as', ({ peer, dialect }) => (peer === null ? `no peer (${dialect})` : named(peer))],
  ['ours', ({ ours }) => (ours === null ? NONE : named(ours))],
  ['ours, ms a step', ({ ours }) => milliseconds(ours)],
  ['peer, ms a step', ({ peer }) => milliseconds(peer)],
  [
    'in dense products',
    ({ ours, peer, product }) => pair(ours, peer, ({ step }) => inProducts(step, product?.seconds)),
  ],
  ['peak MiB', ({ ours, peer }) => pair(ours, peer, memory)],
  ['dead latents', ({ ours, peer }) => pair(ours, peer, ({ dead }) => dead.toFixed(0))],
  ['losses differ by', ({ lossDifference }) => percent(lossDifference)],
];

/** Headings, then a line for every row. */
export function tableCells(rows: readonly Row[]): string[][] {
  return [
    columns.map(([heading]) => heading),
    ...rows.map((row) => columns.map(([, text]) => text(row))),
  ];
}

/** Ends with a line break; a line for every note below the table. */
export function benchTable(rows: readonly Row[]): string {
  const cells = tableCells(rows);
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => line[i].length)));
  const line = (texts: readonly string[]): string =>
    `| ${texts.map((text, i) => text.padEnd(widths[i])).join(' | ')} |`;
  const [head, ...body] = cells;
  const rule = line(widths.map((width) => '-'.repeat(width)));
  const notes = rows.flatMap((row) =>
    row.notes.map((note) => `- ${shapeName(row.shape)}, ${row.dialect}: ${note}`),
  );
  return (
    [line(head), rule, ...body.map(line), ...(notes.length > 0 ? ['', ...notes] : [])].join('\n') +
    '\n'
  );
}

/** What the columns are, for below the table. */
export function benchLegend(rows: readonly Row[]): string[] {
  const products = rows.some(({ product }) => product !== null);
  return [
    'Times as fast: the peer’s time by ours, of a whole training step; median over rounds of each round’s own ratio, quartiles in brackets. Times likewise. A peer is timed on one thread and on all; the faster counts.',
    ...(products
      ? [
          'In dense products: a step as a multiple of one product x·W_enc, on the side that multiplies fastest at that shape.',
        ]
      : []),
    'Peak MiB: largest resident memory of the process after the first round; in brackets, before its trainer was made. Where two numbers stand together, ours is the first.',
  ];
}

function named({ name, threads }: Timed): string {
  return threads === null ? name : `${name} (${threads} ${threads === 1 ? 'thread' : 'threads'})`;
}

/** Three digits: `2.31 (2.25–2.40)`. */
function times({ median, q1, q3 }: Spread): string {
  return `${digits(median)} (${digits(q1)}–${digits(q3)})`;
}

function milliseconds(side: Timed | null): string {
  if (side === null) return NONE;
  const { median, q1, q3 } = side.step;
  return `${digits(1e3 * median)} (${digits(1e3 * q1)}–${digits(1e3 * q3)})`;
}

function inProducts({ median }: Spread, seconds: number | undefined): string {
  return seconds === undefined ? NONE : digits(median / seconds);
}

function memory({ peak, base }: Timed): string {
  return `${(peak / 2 ** 20).toFixed(0)} (${(base / 2 ** 20).toFixed(0)})`;
}

function pair(ours: Timed | null, peer: Timed | null, text: (side: Timed) => string): string {
  return [ours, peer].flatMap((side) => (side === null ? [] : [text(side)])).join(' / ') || NONE;
}

function percent(share: number | null): string {
  if (share === null) return NONE;
  if (!Number.isFinite(share)) return 'no number';
  return share < 1e-5 ? '< 0.001 %' : `${(100 * share).toFixed(3)} %`;
}

/** Three significant digits, never in powers of ten. */
function digits(value: number): string {
  if (value === 0) return '0';
  const decimals = Math.max(0, Math.min(4, 2 - Math.floor(Math.log10(Math.abs(value)))));
  return value.toFixed(decimals);
}

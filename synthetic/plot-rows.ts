/**
 * Rows under one scale, in groups: one row per architecture in every group, its seeds as small dots, its number in
 * the margin. Callers say what the rows are; this file draws them.
 * @module
 */
import * as Plot from '@observablehq/plot';
import { formatNumber } from './page.ts';
import { architectureStyles, type ArchitectureStyle } from './plot-colours.ts';
import {
  FONT_SIZE,
  draw,
  frame,
  keyBlock,
  keyMarks,
  linesAt,
  textAt,
  textWidth,
  titleBlock,
  wrapText,
  type KeyEntry,
} from './plot-frame.ts';

export interface Row {
  readonly group: string;
  readonly architecture: string;
  readonly value: number;
  /** Printed in the margin and as hover text. */
  readonly text: string;
  readonly low?: number;
  readonly high?: number;
  readonly points: readonly number[];
}

export interface RowsChart {
  readonly title: string;
  readonly alt: string;
  readonly xLabel: string;
  readonly width: number;
  readonly architectures: readonly string[];
  readonly shape: 'bar' | 'interval';
  readonly groups: readonly { readonly label: string; readonly marker?: number }[];
  readonly rows: readonly Row[];
  readonly markerLabel: string;
  readonly valueLabel: string;
  readonly domain: readonly number[];
  readonly digits: number;
}

/** Heights of a row, px: an interval needs room for its seeds below it. */
const ROW = { bar: 19, interval: 24 };
/** Above each group; the number of its marker stands there. */
const GAP = 20;
const GROUP_LABEL_LIMIT = 170;
const BOTTOM = 50;
/** About this many on the axis. */
const TICKS = 5;

/** @throws {@link RangeError} if there is no group or no row, or a row is not of a listed group or appears twice. */
export function drawRows(where: string, chart: RowsChart): string {
  const { groups, rows, width, shape } = chart;
  requireRows(where, chart);
  const styles = architectureStyles(
    where,
    rows.map((row) => row.architecture),
    chart.architectures,
  );
  const names = [...styles.keys()];
  const rowHeight = ROW[shape];
  const groupHeight = GAP + names.length * rowHeight;

  const heading = titleBlock(chart.title, width);
  const markers = groups.flatMap(({ marker }, g) =>
    marker !== undefined && Number.isFinite(marker) ? [{ marker, g }] : [],
  );
  const entries: KeyEntry[] = [...styles].map(([label, sample]) => ({ label, sample }));
  if (markers.length > 0) entries.push({ label: chart.markerLabel, sample: 'marker' });
  const key = keyBlock(entries, heading.height, width);
  const labelWidth = Math.max(...groups.map(({ label }) => textWidth(label)));
  const left = Math.ceil(Math.min(GROUP_LABEL_LIMIT, labelWidth)) + 14;
  const right =
    Math.ceil(
      Math.max(textWidth(chart.valueLabel, 11), ...rows.map(({ text }) => textWidth(text))),
    ) + 20;
  const top = heading.height + key.height + 10;
  const plotHeight = groups.length * groupHeight + 6;
  const height = top + plotHeight + BOTTOM;

  /** px from the plot's upper edge to the middle of a row. */
  const middle = (row: Row): number =>
    groups.findIndex(({ label }) => label === row.group) * groupHeight +
    GAP +
    (names.indexOf(row.architecture) + 0.5) * rowHeight;
  const domain = niceDomain([
    ...chart.domain,
    ...markers.map(({ marker }) => marker),
    ...rows.flatMap(({ value, low = value, high = value, points }) => [
      value,
      low,
      high,
      ...points,
    ]),
  ]);
  const drawing = draw({
    width,
    height,
    marginTop: top,
    marginRight: right,
    marginBottom: BOTTOM,
    marginLeft: left,
    x: { domain, nice: chart.domain.length > 1 ? false : TICKS, label: null },
    y: { domain: [0, plotHeight], range: [top, top + plotHeight], axis: null },
    marks: [
      Plot.gridX({ ticks: TICKS, strokeOpacity: 0.12 }),
      Plot.axisX({ ticks: TICKS, tickSize: 5, tickFormat: (x: number) => formatNumber(x) }),
      Plot.frame({ anchor: 'bottom', strokeOpacity: 0.6 }),
      shape === 'bar' ? Plot.ruleX([0], { strokeOpacity: 0.6 }) : null,
      Plot.link(markers, {
        x1: 'marker',
        x2: 'marker',
        y1: ({ g }: { g: number }) => g * groupHeight + GAP - 3,
        y2: ({ g }: { g: number }) => (g + 1) * groupHeight,
        stroke: 'currentColor',
        strokeWidth: 1.5,
        strokeDasharray: '4 2.5',
        title: ({ marker }: { marker: number }) =>
          `${chart.markerLabel}: ${formatNumber(marker, chart.digits)}`,
      }),
      Plot.text(markers, {
        x: 'marker',
        y: ({ g }: { g: number }) => g * groupHeight + GAP - 10,
        text: ({ marker }: { marker: number }) => formatNumber(marker, chart.digits),
        fontSize: 11,
      }),
      ...[...styles].flatMap(([name, style]) => {
        const own = rows.filter((row) => row.architecture === name && Number.isFinite(row.value));
        return shape === 'bar' ? barMarks(own, style, middle) : intervalMarks(own, style, middle);
      }),
      ...keyMarks(key.places, left, top),
    ],
  });
  const furniture =
    heading.markup +
    key.markup +
    textAt(width - right, height - 8, `${chart.xLabel} →`, { anchor: 'end' }) +
    textAt(width - 2, top + 2, chart.valueLabel, { anchor: 'end', size: 11 }) +
    groups
      .map(({ label }, g) => {
        const lines = wrapText(label, GROUP_LABEL_LIMIT, FONT_SIZE, names.length === 1 ? 1 : 2);
        const centre = top + g * groupHeight + GAP + (names.length * rowHeight) / 2;
        return linesAt(left - 10, centre - (lines.length - 1) * 8, lines, {
          anchor: 'end',
          title: label,
        });
      })
      .join('') +
    rows
      .map((row) => {
        const finite = Number.isFinite(row.value);
        const colour = styles.get(row.architecture)!.light;
        return textAt(
          width - 2,
          top + middle(row),
          row.text,
          finite ? { anchor: 'end', colour } : { anchor: 'end' },
        );
      })
      .join('');
  return frame(where, drawing, { alt: chart.alt, width, height, furniture });
}

function requireRows(where: string, { groups, rows }: RowsChart): void {
  if (groups.length === 0 || rows.length === 0) {
    throw new RangeError(
      `${where}: expected at least one group and one value, got ${groups.length} and ${rows.length}`,
    );
  }
  const labels = new Set(groups.map(({ label }) => label));
  if (labels.size < groups.length) {
    throw new RangeError(
      `${where}: expected distinct group labels, got ${groups.map(({ label }) => label).join(', ')}`,
    );
  }
  const seen = new Set<string>();
  for (const { group, architecture } of rows) {
    if (!labels.has(group)) {
      throw new RangeError(
        `${where}: expected one of the groups ${[...labels].join(', ')}, got ${group}`,
      );
    }
    const both = JSON.stringify([group, architecture]);
    if (seen.has(both)) {
      throw new RangeError(
        `${where}: expected one entry for ${group}, ${architecture}, got a second`,
      );
    }
    seen.add(both);
  }
}

function niceDomain(values: readonly number[]): [number, number] {
  const finite = values.filter(Number.isFinite);
  const low = finite.reduce((a, b) => Math.min(a, b), Infinity);
  const high = finite.reduce((a, b) => Math.max(a, b), -Infinity);
  if (low < high) return [low, high];
  return finite.length === 0 || low === 0 ? [0, 1] : [Math.min(0, 2 * low), Math.max(0, 2 * low)];
}

type Middle = (row: Row) => number;

function hoverText({ architecture, group, text }: Row): string {
  return `${architecture}, ${group}: ${text}`;
}

function barMarks(
  rows: readonly Row[],
  { light }: ArchitectureStyle,
  middle: Middle,
): Plot.Markish[] {
  const half = ROW.bar / 2 - 2;
  const y1 = (row: Row): number => middle(row) - half;
  const y2 = (row: Row): number => middle(row) + half;
  const end = { x1: 'value', x2: 'value', y1, y2, stroke: light, strokeWidth: 2.5 };
  return [
    Plot.rect(rows, {
      x1: 0,
      x2: 'value',
      y1,
      y2,
      fill: light,
      fillOpacity: 0.28,
      title: hoverText,
    }),
    Plot.link(rows, { ...end, strokeLinecap: 'butt' }),
    Plot.link(
      rows.filter(({ low }) => low !== undefined),
      { x1: 'low', x2: 'high', y1: middle, y2: middle, stroke: light, strokeWidth: 1.5 },
    ),
    // Spread over the bar's height in the order of the seeds, so that equal values stay countable.
    seedDots(rows, light, middle, half - 2.5),
  ];
}

function intervalMarks(
  rows: readonly Row[],
  style: ArchitectureStyle,
  middle: Middle,
): Plot.Markish[] {
  const { light, symbol } = style;
  const y = (row: Row): number => middle(row) - (row.points.length > 0 ? 2 : 0);
  const line = { x1: 'low', x2: 'high', y1: y, y2: y, stroke: light, strokeWidth: 2 };
  return [
    Plot.link(rows, { ...line, strokeLinecap: 'butt' }),
    Plot.dot(rows, { x: 'value', y, symbol, r: 4, fill: light, title: hoverText }),
    seedDots(rows, light, (row) => middle(row) + 8, 1.5),
  ];
}

/** One dot per seed, within `spread` px of the row's line. */
function seedDots(rows: readonly Row[], fill: string, line: Middle, spread: number): Plot.Markish {
  const dots = rows.flatMap((row) =>
    row.points.map((x, i) => {
      const share = row.points.length === 1 ? 0 : (2 * i) / (row.points.length - 1) - 1;
      return { x, y: line(row) + share * spread };
    }),
  );
  return Plot.dot(dots, { x: 'x', y: 'y', r: 1.8, fill, fillOpacity: 0.8 });
}

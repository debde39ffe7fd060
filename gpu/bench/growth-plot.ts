/**
 * Time over a size, both on logarithmic scales: a line per side through its medians, with quartiles. Logarithms are taken
 * here: Plot's own logarithmic axes leave out labels by rules made for powers of ten.
 * @module
 */
import * as Plot from '@observablehq/plot';
import { formatNumber } from '../../synthetic/page.ts';
import { architectureStyles, type ArchitectureStyle } from '../../synthetic/plot-colours.ts';
import { draw, frame, keyBlock, textAt, titleBlock } from '../../synthetic/plot-frame.ts';
import type { Spread } from './statistics.ts';

export interface GrowthCurve {
  readonly name: string;
  /** A size and seconds, all above 0. */
  readonly points: readonly { readonly at: number; readonly step: Spread }[];
}

export interface GrowthCurves {
  readonly title: string;
  readonly alt: string;
  readonly xLabel: string;
  readonly curves: readonly GrowthCurve[];
}

const WIDTH = 720;
const PLOT_HEIGHT = 300;
const LEFT = 52;
const RIGHT = 16;
const BOTTOM = 50;

/** @throws {@link RangeError} if no curve has a point, there are more curves than colours, or `alt` is empty. */
export function growthCurves({ title, alt, xLabel, curves }: GrowthCurves): string {
  const lines = curves.map(({ name, points }) => ({
    name,
    points: points.map(({ at, step: { median, q1, q3 } }) => ({
      at,
      median: 1e3 * median,
      q1: 1e3 * q1,
      q3: 1e3 * q3,
    })),
  }));
  const all = lines.flatMap(({ points }) => points);
  if (all.length === 0) throw new RangeError('growthCurves: expected at least one point, got none');
  const styles = architectureStyles(
    'growthCurves',
    lines.map(({ name }) => name),
  );
  const heading = titleBlock(title, WIDTH);
  const entries = [...styles].map(([label, sample]) => ({ label, sample }));
  const key = keyBlock(entries, heading.height, WIDTH);
  const top = heading.height + key.height + 24;
  const height = top + PLOT_HEIGHT + BOTTOM;
  const sizes = [...new Set(all.map(({ at }) => at))].sort((a, b) => a - b);
  const times = widened(all.flatMap(({ q1, q3 }) => [q1, q3]));
  const ticks = timeTicks(times).map(Math.log10);
  const drawing = draw({
    width: WIDTH,
    height,
    marginTop: top,
    marginRight: RIGHT,
    marginBottom: BOTTOM,
    marginLeft: LEFT,
    x: { domain: widened(sizes).map(Math.log2), label: null },
    y: { domain: times.map(Math.log10), range: [top + PLOT_HEIGHT, top], label: null },
    marks: [
      Plot.gridY(ticks, { strokeOpacity: 0.12 }),
      Plot.axisY(ticks, { tickSize: 0, tickFormat: (log: number) => formatNumber(10 ** log) }),
      Plot.axisX(sizes.map(Math.log2), {
        tickSize: 5,
        tickFormat: (log: number) => binary(2 ** log),
      }),
      Plot.frame({ anchor: 'bottom', strokeOpacity: 0.6 }),
      ...lines.flatMap(({ name, points }) => curveMarks(name, points, styles.get(name)!)),
    ],
  });
  const symbols = key.places
    .map(({ x, y, style }) => `<circle cx="${x}" cy="${y}" r="4.5" fill="${style.light}"/>`)
    .join('');
  const furniture =
    heading.markup +
    key.markup +
    symbols +
    textAt(2, top - 14, '↑ ms a step') +
    textAt(WIDTH - RIGHT, height - 8, `${xLabel} →`, { anchor: 'end' });
  return frame('growthCurves', drawing, { alt, width: WIDTH, height, furniture });
}

interface Point {
  readonly at: number;
  readonly median: number;
  readonly q1: number;
  readonly q3: number;
}

function curveMarks(
  name: string,
  points: readonly Point[],
  { light }: ArchitectureStyle,
): Plot.Markish[] {
  const title = ({ at, median }: Point): string =>
    `${name}, ${at}: ${formatNumber(median)} ms a step`;
  const x = ({ at }: Point): number => Math.log2(at);
  const y = ({ median }: Point): number => Math.log10(median);
  const y1 = ({ q1 }: Point): number => Math.log10(q1);
  const y2 = ({ q3 }: Point): number => Math.log10(q3);
  return [
    Plot.ruleX(points, { x, y1, y2, stroke: light, strokeWidth: 2 }),
    Plot.line(points, { x, y, stroke: light, strokeWidth: 2 }),
    Plot.dot(points, { x, y, fill: light, r: 4, title }),
  ];
}

/** A logarithmic scale's ends, a little beyond the values; a single value gets room on both sides. */
function widened(values: readonly number[]): [number, number] {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const room = Math.max((high / low) ** 0.04, 1.1);
  return [low / room, high * room];
}

/** 1, 2 and 5 times powers of ten; the powers alone where those would be many. */
function timeTicks([low, high]: readonly [number, number]): number[] {
  const first = Math.floor(Math.log10(low));
  const decades = Math.ceil(Math.log10(high)) - first;
  return Array.from({ length: decades + 1 }, (_, i) => 10 ** (first + i))
    .flatMap((power) => (decades > 4 ? [1] : [1, 2, 5]).map((digit) => digit * power))
    .filter((tick) => tick >= low && tick <= high);
}

/** 512, 1k, 64k: sizes double. */
function binary(exact: number): string {
  const value = Math.round(exact);
  return value >= 1024 && value % 1024 === 0 ? `${value / 1024}k` : String(value);
}

/**
 * Points with intervals on two numeric axes, joined by one line per architecture: a metric against L0, prefix size or
 * number of latents. Intervals come from the caller. For training curves, a line per seed, see plot-curves.ts.
 * @module
 */
import * as Plot from '@observablehq/plot';
import { formatNumber } from './page.ts';
import { axisNumbers, extent, withZero } from './plot-axes.ts';
import { architectureStyles, type ArchitectureStyle } from './plot-colours.ts';
import {
  draw,
  frame,
  keyBlock,
  keyMarks,
  textAt,
  textWidth,
  titleBlock,
  type KeyEntry,
} from './plot-frame.ts';

/** NaN is no value: a y without one interrupts the line. */
export interface LinePoint {
  readonly x: number;
  readonly y: number;
  readonly low?: number;
  readonly high?: number;
  /** Interval of x, for a measured one. */
  readonly xLow?: number;
  readonly xHigh?: number;
}

export interface Lines {
  readonly title: string;
  readonly alt: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /** Points in the order they are joined; a single one is a dot. */
  readonly series: readonly {
    readonly architecture: string;
    readonly points: readonly LinePoint[];
  }[];
  /** Order of the architectures, which decides their colours; of first appearance if left out. */
  readonly architectures?: readonly string[];
  /** `linear` if left out; on `log` every x that occurs is a tick where there is room. */
  readonly xScale?: 'linear' | 'log';
  /** Dashed lines: a true L0 across x, a best possible value across y. */
  readonly xMarker?: { readonly at: number; readonly label: string };
  readonly yMarker?: { readonly at: number; readonly label: string };
  /** px; 420 if left out. */
  readonly width?: number;
}

const LEFT = 46;
const RIGHT = 16;
const BOTTOM = 46;
const PLOT_HEIGHT = 220;
/** About this many on each axis. */
const TICKS = 5;

/** @throws {@link RangeError} if there is no finite point, an x is not positive on a log scale, or `alt` is empty. */
export function lines(input: Lines): string {
  const { width = 420, xScale = 'linear', xMarker, yMarker } = input;
  const styles = architectureStyles(
    'lines',
    input.series.map(({ architecture }) => architecture),
    input.architectures,
  );
  const points = input.series.flatMap((series) => series.points.filter(isFinitePoint));
  if (points.length === 0) {
    throw new RangeError(`lines: expected at least one finite point, got none`);
  }
  if (xScale === 'log' && points.some(({ x }) => !(x > 0))) {
    throw new RangeError('lines: expected positive x on a log scale');
  }
  const heading = titleBlock(input.title, width);
  const entries: KeyEntry[] = [...styles].map(([label, sample]) => ({ label, sample }));
  if (xMarker !== undefined) entries.push({ label: xMarker.label, sample: 'marker' });
  if (yMarker !== undefined) entries.push({ label: yMarker.label, sample: 'level' });
  const key = keyBlock(entries, heading.height, width);
  const top = heading.height + key.height + 26;
  const height = top + PLOT_HEIGHT + BOTTOM;

  const xDomain = room(
    extent([
      ...points.flatMap(({ x, xLow = x, xHigh = x }) => [x, xLow, xHigh]),
      ...(xMarker === undefined ? [] : [xMarker.at]),
    ]),
    xScale,
  );
  const yDomain = withZero(
    extent([
      ...points.flatMap(({ y, low = y, high = y }) => [y, low, high]),
      ...(yMarker === undefined ? [] : [yMarker.at]),
    ]),
  );
  const inner = width - LEFT - RIGHT;
  const xTicks =
    xScale === 'log'
      ? spacedTicks(
          points.map(({ x }) => x),
          xDomain,
          inner,
        )
      : TICKS;
  const drawing = draw({
    width,
    height,
    marginTop: top,
    marginRight: RIGHT,
    marginBottom: BOTTOM,
    marginLeft: LEFT,
    x: { type: xScale, domain: xDomain, label: null },
    y: { domain: yDomain, nice: TICKS, label: null },
    marks: [
      Plot.gridY({ ticks: TICKS, strokeOpacity: 0.12 }),
      Plot.axisY({ ticks: TICKS, tickSize: 0, tickFormat: axisNumbers(yDomain[1]) }),
      Plot.axisX({ ticks: xTicks, tickSize: 5, tickFormat: axisNumbers(xDomain[1]) }),
      Plot.frame({ anchor: 'bottom', strokeOpacity: 0.6 }),
      xMarker === undefined ? null : Plot.ruleX([xMarker.at], DASHED),
      yMarker === undefined ? null : Plot.ruleY([yMarker.at], DASHED),
      ...input.series.map(({ architecture, points: own }) =>
        Plot.line(own, {
          x: 'x',
          y: 'y',
          stroke: styles.get(architecture)!.light,
          strokeWidth: 2,
          strokeOpacity: 0.75,
        }),
      ),
      ...input.series.flatMap(({ architecture, points: own }) =>
        pointMarks(own.filter(isFinitePoint), styles.get(architecture)!, (point) =>
          hoverText(architecture, point, input),
        ),
      ),
      ...keyMarks(key.places, LEFT, top),
    ],
  });
  const furniture =
    heading.markup +
    key.markup +
    textAt(2, top - 14, `↑ ${input.yLabel}`) +
    textAt(width - RIGHT, height - 8, `${input.xLabel} →`, { anchor: 'end' });
  return frame('lines', drawing, { alt: input.alt, width, height, furniture });
}

const DASHED = { strokeOpacity: 0.7, strokeDasharray: '4 2.5', strokeWidth: 1.5 };

function isFinitePoint({ x, y }: LinePoint): boolean {
  return Number.isFinite(x) && Number.isFinite(y);
}

function pointMarks(
  points: readonly LinePoint[],
  { light, symbol }: ArchitectureStyle,
  title: (point: LinePoint) => string,
): Plot.Markish[] {
  const bar = { stroke: light, strokeWidth: 1.5, strokeLinecap: 'butt' } as const;
  return [
    Plot.link(
      points.filter(({ low, high }) => low !== undefined && high !== undefined),
      { ...bar, x1: 'x', x2: 'x', y1: 'low', y2: 'high' },
    ),
    Plot.link(
      points.filter(({ xLow, xHigh }) => xLow !== undefined && xHigh !== undefined),
      { ...bar, x1: 'xLow', x2: 'xHigh', y1: 'y', y2: 'y' },
    ),
    Plot.dot(points, { x: 'x', y: 'y', symbol, r: 4, fill: light, title }),
  ];
}

function hoverText(architecture: string, point: LinePoint, { xLabel, yLabel }: Lines): string {
  const interval =
    point.low === undefined || point.high === undefined
      ? ''
      : ` [${formatNumber(point.low, 3)}, ${formatNumber(point.high, 3)}]`;
  return `${architecture}: ${xLabel} ${formatNumber(point.x)}, ${yLabel} ${formatNumber(point.y, 3)}${interval}`;
}

/** A little wider, so that marks at the ends are whole; a spread that is nothing beside the value must look so. */
function room([low, high]: [number, number], scale: 'linear' | 'log'): [number, number] {
  if (scale === 'log') {
    const by = (high / low) ** 0.05;
    return [low / by, high * by];
  }
  const by = Math.max((high - low) * 0.05, (0.3 * Math.abs(high + low)) / 2 - (high - low));
  return [low >= 0 ? Math.max(0, low - by) : low - by, high + by];
}

/** Values that occur, from the largest down, as many as their labels leave room for. */
function spacedTicks(
  values: readonly number[],
  [low, high]: readonly [number, number],
  width: number,
): number[] {
  const at = (value: number): number => (Math.log(value / low) / Math.log(high / low)) * width;
  const label = axisNumbers(high);
  const kept: number[] = [];
  for (const value of [...new Set(values)].sort((a, b) => b - a)) {
    const right = at(value) + textWidth(label(value), 11) / 2;
    const last = kept.at(-1);
    if (last === undefined || at(last) - textWidth(label(last), 11) / 2 - right > 6) {
      kept.push(value);
    }
  }
  return kept;
}

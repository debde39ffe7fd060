/**
 * Training curves: one colour per architecture, a thin line per seed, a thick line for their mean, named at its
 * right end rather than in a key.
 * @module
 */
import * as Plot from '@observablehq/plot';
import { axisNumbers, extent, logExtent, logNumber, logTicks, withZero } from './plot-axes.ts';
import { architectureStyles, type ArchitectureStyle } from './plot-colours.ts';
import {
  BOLD,
  draw,
  frame,
  FONT_SIZE,
  textAt,
  textWidth,
  titleBlock,
  wrapText,
} from './plot-frame.ts';

export interface CurveSeries {
  readonly architecture: string;
  readonly seed: number;
  /** Finite, ascending: training steps, say. */
  readonly x: readonly number[] | Float64Array;
  /** As long as `x`. A value that is not finite (or not positive, on a log scale) interrupts the line. */
  readonly y: readonly number[] | Float64Array;
}

export interface Curves {
  readonly title: string;
  readonly alt: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly CurveSeries[];
  /** Order of the architectures, which decides their colours; of first appearance if left out. */
  readonly architectures?: readonly string[];
  /** `linear` if left out. */
  readonly yScale?: 'linear' | 'log';
  /** Dashed level lines with their names: a target, a published number. */
  readonly references?: readonly { readonly y: number; readonly label: string }[];
  /** px; 720 if left out. */
  readonly width?: number;
}

interface Point {
  readonly x: number;
  readonly y: number;
}

/** What is used of Plot's scale. */
interface YScale {
  apply(value: number): number;
  readonly domain: readonly [number, number];
}

interface EndLabel {
  readonly lines: readonly string[];
  readonly colour?: string;
  /** Middle of the label where it would like to be, px. */
  readonly wanted: number;
}

const LABEL_LINE = 15;
const LABEL_LIMIT = 160;
const BOTTOM = 50;
const PLOT_HEIGHT = 280;
const LEFT = 44;
/** About this many on each axis. */
const TICKS = 6;

/** @throws {@link RangeError} if there is no point, x and y differ in length, an x is not finite, or `alt` is empty. */
export function curves(input: Curves): string {
  const { series, width = 720, yScale = 'linear', references = [] } = input;
  requireSeries(series);
  const styles = architectureStyles(
    'curves',
    series.map((s) => s.architecture),
    input.architectures,
  );
  const drawable = (y: number): boolean => Number.isFinite(y) && (yScale === 'linear' || y > 0);
  const lines = series.map(({ architecture, seed, x, y }) => ({
    architecture,
    seed,
    points: Array.from(x, (at, i): Point => ({ x: at, y: drawable(y[i]) ? y[i] : NaN })),
  }));
  const means = [...styles].map(([architecture, style]) => {
    const own = lines.filter((line) => line.architecture === architecture);
    return {
      architecture,
      style,
      seeds: own.length,
      points: meanOf(own.map(({ points }) => points)),
    };
  });

  const labels = [
    ...means.map(({ architecture, points, style }) => {
      const level = points.findLast(({ y }) => Number.isFinite(y))?.y;
      const text = level === undefined ? `${architecture}: no value` : architecture;
      return { text, level, colour: style.light };
    }),
    ...references.map(({ y, label }) => ({ text: label, level: y, colour: undefined })),
  ];
  const widest = Math.max(...labels.map(({ text }) => textWidth(text) * BOLD));
  const right = Math.min(LABEL_LIMIT, Math.ceil(widest)) + 14;
  const heading = titleBlock(input.title, width);
  const top = heading.height + 26;
  const floor = top + PLOT_HEIGHT;
  const height = floor + BOTTOM;

  const xDomain = extent(lines.flatMap(({ points }) => points.map(({ x }) => x)));
  const levels = [
    ...lines.flatMap(({ points }) => points.map(({ y }) => y)),
    ...references.map(({ y }) => y),
  ].filter(drawable);
  const yDomain = yScale === 'log' ? logExtent(levels) : withZero(extent(levels));
  const yOptions = { type: yScale, domain: yDomain, nice: TICKS, range: [floor, top] } as const;
  const scale = Plot.scale({ y: yOptions }) as YScale;
  const yLabels = yScale === 'log' ? logNumber : axisNumbers(yDomain[1]);
  const yTicks = yScale === 'log' ? logTicks(scale.domain) : TICKS;
  const drawing = draw({
    width,
    height,
    marginTop: top,
    marginRight: right,
    marginBottom: BOTTOM,
    marginLeft: LEFT,
    x: { domain: xDomain, label: null },
    y: { ...yOptions, label: null },
    marks: [
      Plot.gridY({ ticks: yTicks, strokeOpacity: 0.12 }),
      Plot.axisY({ ticks: yTicks, tickSize: 0, tickFormat: yLabels }),
      Plot.axisX({ ticks: TICKS, tickSize: 5, tickFormat: axisNumbers(xDomain[1]) }),
      Plot.frame({ anchor: 'bottom', strokeOpacity: 0.6 }),
      ...references.map(({ y }) =>
        Plot.ruleY([y], { strokeOpacity: 0.7, strokeDasharray: '4 2.5', strokeWidth: 1.5 }),
      ),
      ...lines.map(({ architecture, seed, points }) =>
        lineMark(points, styles.get(architecture)!, {
          title: `${architecture}, seed ${seed}`,
          strokeWidth: 1,
          strokeOpacity: 0.5,
        }),
      ),
      ...means.map(({ architecture, points, style, seeds }) =>
        lineMark(points, style, {
          title: seeds === 1 ? architecture : `${architecture}, mean of ${seeds} seeds`,
          strokeWidth: 2.25,
        }),
      ),
    ],
  });

  const ends = labels.map(({ text, level, colour }): EndLabel => ({
    lines: wrapText(text, LABEL_LIMIT / BOLD, FONT_SIZE, 2),
    wanted: level === undefined ? floor : scale.apply(level),
    ...(colour === undefined ? {} : { colour }),
  }));
  const several = means.some(({ seeds }) => seeds > 1);
  const furniture =
    heading.markup +
    textAt(2, heading.height + 4, `↑ ${input.yLabel}`) +
    endLabels(ends, width - right + 8, top - 4, floor + 2) +
    textAt(width - right, height - 8, `${input.xLabel} →`, { anchor: 'end' }) +
    (several ? textAt(2, height - 8, 'thick: mean of seeds, thin: each seed', { size: 11 }) : '');
  return frame('curves', drawing, { alt: input.alt, width, height, furniture });
}

function requireSeries(series: readonly CurveSeries[]): void {
  if (series.every(({ x }) => x.length === 0)) {
    throw new RangeError(
      `curves: expected at least one point, got none in ${series.length} series`,
    );
  }
  for (const { architecture, seed, x, y } of series) {
    if (x.length !== y.length) {
      throw new RangeError(
        `curves: expected as many y as x for ${architecture}, seed ${seed}, got ${y.length} and ${x.length}`,
      );
    }
    x.forEach((at: number, i: number) => {
      if (!Number.isFinite(at) || (i > 0 && !(at > x[i - 1]))) {
        throw new RangeError(
          `curves: expected finite ascending x for ${architecture}, seed ${seed}, got ${at} at ${i}`,
        );
      }
    });
  }
}

/** Mean over seeds at every x that all of them have; where one has no value the mean has none either. */
function meanOf(seeds: readonly (readonly Point[])[]): Point[] {
  const sums = new Map<number, { sum: number; count: number }>();
  for (const { x, y } of seeds.flat()) {
    const { sum, count } = sums.get(x) ?? { sum: 0, count: 0 };
    sums.set(x, { sum: sum + y, count: count + 1 });
  }
  return [...sums]
    .filter(([, { count }]) => count === seeds.length)
    .map(([x, { sum, count }]) => ({ x, y: sum / count }))
    .sort((a, b) => a.x - b.x);
}

function lineMark(
  points: readonly Point[],
  style: ArchitectureStyle,
  { title, ...look }: { title: string; strokeWidth: number; strokeOpacity?: number },
): Plot.Markish {
  return Plot.line(points, { x: 'x', y: 'y', stroke: style.light, title: () => title, ...look });
}

/** Labels at the ends of their lines, pushed apart downwards, then back up from the lower edge. */
function endLabels(labels: readonly EndLabel[], x: number, top: number, bottom: number): string {
  const height = (label: EndLabel): number => label.lines.length * LABEL_LINE + 2;
  const sorted = [...labels].sort((a, b) => a.wanted - b.wanted);
  const middles: number[] = [];
  let edge = top;
  for (const label of sorted) {
    const middle = Math.max(label.wanted, edge + height(label) / 2);
    middles.push(middle);
    edge = middle + height(label) / 2;
  }
  edge = Math.max(bottom, top + sorted.reduce((sum, label) => sum + height(label), 0));
  for (let i = sorted.length - 1; i >= 0; i--) {
    middles[i] = Math.min(middles[i], edge - height(sorted[i]) / 2);
    edge = middles[i] - height(sorted[i]) / 2;
  }
  return sorted
    .map(({ lines, colour }, i) => {
      const first = middles[i] - ((lines.length - 1) * LABEL_LINE) / 2;
      return lines
        .map((line, n) =>
          textAt(
            x,
            first + n * LABEL_LINE,
            line,
            colour === undefined ? {} : { colour, bold: true },
          ),
        )
        .join('');
    })
    .join('');
}

/**
 * Dots in the unit square, made for precision against recall: one per latent, its shape saying what it stands for.
 * Dots that fall on one another become one, larger, that counts them.
 * @module
 */
import * as Plot from '@observablehq/plot';
import { formatNumber } from './page.ts';
import { ARCHITECTURE_STYLES, type ArchitectureStyle } from './plot-colours.ts';
import { draw, frame, keyBlock, keyMarks, textAt, titleBlock } from './plot-frame.ts';

export interface Scatter {
  readonly title: string;
  readonly alt: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /** In the order of the key, at most as many as there are shapes; those without points are left out of it. */
  readonly kinds: readonly string[];
  readonly points: readonly ScatterPoint[];
  /** px; 360 if left out. */
  readonly width?: number;
}

export interface ScatterPoint {
  /** In [0, 1]. */
  readonly x: number;
  readonly y: number;
  readonly kind: string;
  /** What the dot is, for the hover text. */
  readonly label: string;
}

interface Dot {
  readonly x: number;
  readonly y: number;
  readonly r: number;
  readonly title: string;
}

/** From the far end, so that few figures give a kind the colour of an architecture. */
const KIND_STYLES = [...ARCHITECTURE_STYLES].reverse();

const LEFT = 42;
const RIGHT = 14;
const BOTTOM = 46;
const TICKS = [0, 0.25, 0.5, 0.75, 1];
/** Dots closer than this on both axes are drawn as one. */
const GRID = 0.005;
/** Names in the hover text of a dot that stands for many. */
const NAMED = 6;

/** @throws {@link RangeError} if a point is not finite or of an unknown kind, or `alt` is empty. */
export function scatter(input: Scatter): string {
  const { width = 360, kinds, points } = input;
  for (const { x, y, kind, label } of points) {
    if (!Number.isFinite(x) || !Number.isFinite(y) || !kinds.includes(kind)) {
      throw new RangeError(
        `scatter: expected finite x and y and one of ${kinds.join(', ')}, got ${x}, ${y}, ${kind} for ${label}`,
      );
    }
  }
  const shown = kinds
    .map((kind, i) => ({ kind, style: KIND_STYLES[i], dots: dotsOf(points, kind) }))
    .filter(({ dots }) => dots.length > 0);
  const heading = titleBlock(input.title, width);
  const key = keyBlock(
    shown.map(({ kind, style }) => ({ label: kind, sample: style })),
    heading.height,
    width,
  );
  const top = heading.height + key.height + 26;
  const side = width - LEFT - RIGHT;
  const height = top + side + BOTTOM;
  const drawing = draw({
    width,
    height,
    marginTop: top,
    marginRight: RIGHT,
    marginBottom: BOTTOM,
    marginLeft: LEFT,
    x: { domain: [0, 1], label: null },
    y: { domain: [0, 1], label: null },
    r: { type: 'identity' },
    inset: 10,
    marks: [
      Plot.gridX(TICKS, { strokeOpacity: 0.12 }),
      Plot.gridY(TICKS, { strokeOpacity: 0.12 }),
      Plot.axisX(TICKS, { tickSize: 5, tickFormat: (x: number) => formatNumber(x) }),
      Plot.axisY(TICKS, { tickSize: 0, tickFormat: (y: number) => formatNumber(y) }),
      Plot.frame({ strokeOpacity: 0.3 }),
      ...shown.map(({ style, dots }) => dotMarks(dots, style)),
      ...keyMarks(key.places, LEFT, top),
    ],
  });
  const furniture =
    heading.markup +
    key.markup +
    textAt(2, top - 14, `↑ ${input.yLabel}`) +
    textAt(width - RIGHT, height - 8, `${input.xLabel} →`, { anchor: 'end' });
  return frame('scatter', drawing, { alt: input.alt, width, height, furniture });
}

function dotsOf(points: readonly ScatterPoint[], kind: string): Dot[] {
  const places = new Map<string, ScatterPoint[]>();
  for (const point of points.filter((each) => each.kind === kind)) {
    const place = `${Math.round(point.x / GRID)},${Math.round(point.y / GRID)}`;
    places.set(place, [...(places.get(place) ?? []), point]);
  }
  return [...places.values()].map((together): Dot => {
    const [{ x, y }] = together;
    const names = together.slice(0, NAMED).map(({ label }) => label);
    const more = together.length > NAMED ? ` and ${together.length - NAMED} more` : '';
    return {
      x,
      y,
      // By area, within reason: a dot that stands for hundreds must not cover its neighbours.
      r: Math.min(14, 3.6 * Math.sqrt(together.length)),
      title: `${names.join(', ')}${more}: ${formatNumber(x, 3)}, ${formatNumber(y, 3)}`,
    };
  });
}

function dotMarks(dots: readonly Dot[], { light, symbol }: ArchitectureStyle): Plot.Markish {
  return Plot.dot(dots, {
    x: 'x',
    y: 'y',
    r: 'r',
    symbol,
    fill: light,
    fillOpacity: 0.6,
    stroke: light,
    title: 'title',
  });
}

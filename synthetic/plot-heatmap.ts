/**
 * A matrix as coloured cells, made for cos(decoder, truth): rows ordered by a matching, a clean diagonal means
 * recovery, a bright block left of it absorption. Does not order or match rows; the caller does.
 * @module
 */
import * as Plot from '@observablehq/plot';
import { formatNumber } from './page.ts';
import { DIVERGING_LEVELS, divergingColour } from './plot-colours.ts';
import { draw, frame, innerMarkup, textAt, textWidth, titleBlock, wrapText } from './plot-frame.ts';

export interface Heatmap {
  readonly title: string;
  readonly alt: string;
  /** (rows, cols), row-major. A value that is not finite is drawn as "no value". */
  readonly values: Float64Array | readonly number[];
  readonly rows: number;
  readonly cols: number;
  /** The index if left out. Labels without room are thinned out or cut; every cell's hover text has them whole. */
  readonly rowLabels?: readonly string[];
  readonly colLabels?: readonly string[];
  /** What rows and columns are: "latent", "true feature". */
  readonly rowTitle?: string;
  readonly colTitle?: string;
  /** Ends of the scale; its middle is neutral. [-1, 1] if left out. Values beyond take the end's colour. */
  readonly domain?: readonly [number, number];
  /** What the colour means: "cos(decoder row, true direction)". */
  readonly legend?: string;
  /** Lines before these rows and columns, as between subtrees or groups of latents. */
  readonly separators?: { readonly rows?: readonly number[]; readonly cols?: readonly number[] };
}

interface Cell {
  readonly i: number;
  readonly j: number;
  readonly value: number;
  readonly text: string;
}

/** Where things are, in px. */
interface Layout {
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly top: number;
  readonly bottom: number;
  readonly cell: number;
  readonly labelSize: number;
  /** Column labels run upwards. */
  readonly turned: boolean;
  readonly heading: { readonly markup: string; readonly height: number };
}

const ROW_LABEL_LIMIT = 170;
const COL_LABEL_LIMIT = 130;
const LEGEND_WIDTH = 180;

/** First row on top. @throws {@link RangeError} if there is no cell or a length, the domain or `alt` does not fit. */
export function heatmap(input: Heatmap): string {
  const { rows, cols, values, domain = [-1, 1] } = input;
  requireMatrix(input);
  const rowLabels = input.rowLabels ?? Array.from({ length: rows }, (_, i) => String(i));
  const colLabels = input.colLabels ?? Array.from({ length: cols }, (_, j) => String(j));
  const layout = layOut(input, rowLabels, colLabels);
  const cells = Array.from({ length: rows * cols }, (_, at): Cell => {
    const [i, j, value] = [Math.floor(at / cols), at % cols, values[at]];
    const shown = Number.isFinite(value) ? formatNumber(value, 3) : 'no value';
    return { i, j, value, text: `${rowLabels[i]} · ${colLabels[j]}: ${shown}` };
  });
  const missing = cells.filter(({ value }) => !Number.isFinite(value));
  const drawing = draw({
    width: layout.width,
    height: layout.height,
    marginTop: layout.top,
    marginLeft: layout.left,
    marginRight: layout.width - layout.left - cols * layout.cell,
    marginBottom: layout.height - layout.bottom,
    x: { type: 'band', domain: indices(cols), padding: 0, axis: null },
    y: { type: 'band', domain: indices(rows), padding: 0, axis: null },
    color: { type: 'identity' },
    marks: [
      Plot.cell(
        cells.filter(({ value }) => Number.isFinite(value)),
        {
          x: 'j',
          y: 'i',
          inset: layout.cell < 12 ? 0.25 : 0.5,
          fill: (d: Cell) => divergingColour(d.value, domain),
          title: 'text',
        },
      ),
      ...missingMarks(missing, layout.cell),
    ],
  });
  const furniture =
    layout.heading.markup +
    axisTitles(input, layout) +
    rowLabelText(rowLabels, layout) +
    colLabelText(colLabels, layout) +
    separatorLines(input, layout) +
    legend(input, domain, layout, missing.length > 0);
  const { width, height } = layout;
  return frame('heatmap', drawing, { alt: input.alt, width, height, furniture });
}

function requireMatrix({
  values,
  rows,
  cols,
  rowLabels,
  colLabels,
  domain = [-1, 1],
}: Heatmap): void {
  const whole = (n: number): boolean => Number.isInteger(n) && n > 0;
  if (!whole(rows) || !whole(cols)) {
    throw new RangeError(`heatmap: expected whole rows and cols >= 1, got ${rows} x ${cols}`);
  }
  for (const [name, length, wanted] of [
    ['values', values.length, rows * cols],
    ['rowLabels', rowLabels?.length ?? rows, rows],
    ['colLabels', colLabels?.length ?? cols, cols],
  ] as const) {
    if (length !== wanted) {
      throw new RangeError(
        `heatmap: expected ${wanted} ${name} for ${rows} x ${cols}, got ${length}`,
      );
    }
  }
  if (!(domain[0] < domain[1])) {
    throw new RangeError(`heatmap: expected domain low < high, got [${domain.join(', ')}]`);
  }
}

function layOut(
  input: Heatmap,
  rowLabels: readonly string[],
  colLabels: readonly string[],
): Layout {
  const { rows, cols } = input;
  const largest = Math.max(rows, cols);
  const cell = Math.max(7, Math.min(36, Math.floor((largest > 32 ? 576 : 360) / largest)));
  const labelSize = cell < 14 ? 10 : 11;
  const widest = (labels: readonly string[]): number =>
    Math.ceil(Math.max(...labels.map((label) => textWidth(label, labelSize))));
  const turned = widest(colLabels) > cell - 2 && colLabels.some((label) => label.length > 2);
  const left = Math.min(ROW_LABEL_LIMIT, widest(rowLabels)) + 10;
  const width = Math.ceil(
    Math.max(
      left + cols * cell + 4,
      left + LEGEND_WIDTH + 16,
      axisWidth(input.rowTitle, input.colTitle),
      textWidth(input.legend ?? '') + left,
    ),
  );
  const heading = titleBlock(input.title, width);
  const titled = input.rowTitle !== undefined || input.colTitle !== undefined;
  const labelHeight = turned ? Math.min(COL_LABEL_LIMIT, widest(colLabels)) + 4 : labelSize + 4;
  const top = heading.height + (titled ? 22 : 0) + labelHeight + 4;
  const bottom = top + rows * cell;
  const height = bottom + 48 + (input.legend === undefined ? 0 : 18);
  return { width, height, left, top, bottom, cell, labelSize, turned, heading };
}

/** An outline and a cross, not any colour of the scale. */
function missingMarks(missing: readonly Cell[], cell: number): Plot.Markish[] {
  const place = { x: 'j', y: 'i', stroke: 'currentColor' };
  return [
    // Filled with nothing rather than unfilled: the hover text answers on the whole cell.
    Plot.cell(missing, {
      ...place,
      inset: 1,
      fill: 'transparent',
      strokeOpacity: 0.3,
      title: 'text',
    }),
    Plot.dot(missing, {
      ...place,
      symbol: 'times',
      r: cell / 5,
      strokeOpacity: 0.6,
      pointerEvents: 'none',
    }),
  ];
}

function axisWidth(rowTitle = '', colTitle = ''): number {
  return textWidth(`↓ ${rowTitle}    ${colTitle} →`);
}

function axisTitles({ rowTitle, colTitle, cols }: Heatmap, layout: Layout): string {
  const y = layout.heading.height + 6;
  const right = Math.max(layout.left + cols * layout.cell, axisWidth(rowTitle, colTitle));
  return (
    (rowTitle === undefined ? '' : textAt(2, y, `↓ ${rowTitle}`)) +
    (colTitle === undefined ? '' : textAt(right, y, `${colTitle} →`, { anchor: 'end' }))
  );
}

function rowLabelText(labels: readonly string[], { left, top, cell, labelSize }: Layout): string {
  const step = labelStep(cell, labelSize + 1);
  return labels
    .map((label, i) => {
      if (i % step !== 0) return '';
      const [text] = wrapText(label, ROW_LABEL_LIMIT, labelSize, 1);
      const style = { anchor: 'end', size: labelSize, title: label } as const;
      return textAt(left - 6, top + (i + 0.5) * cell, text, style);
    })
    .join('');
}

function colLabelText(labels: readonly string[], layout: Layout): string {
  const { left, top, cell, labelSize: size, turned } = layout;
  const widest = Math.max(...labels.map((label) => textWidth(label, size)));
  const step = labelStep(cell, turned ? size + 1 : widest + 2);
  return labels
    .map((label, j) => {
      if (j % step !== 0) return '';
      const [text] = wrapText(label, COL_LABEL_LIMIT, size, 1);
      const x = left + (j + 0.5) * cell;
      return turned
        ? textAt(x, top - 5, text, { size, rotate: -90, title: label })
        : textAt(x, top - 4 - size / 2, text, { anchor: 'middle', size, title: label });
    })
    .join('');
}

/** Every label, or every 2nd, 5th, 10th …, whichever first leaves `needed` px for each. */
function labelStep(cell: number, needed: number): number {
  return [1, 2, 5, 10, 20, 50, 100].find((step) => step * cell >= needed) ?? 200;
}

function separatorLines({ rows, cols, separators }: Heatmap, layout: Layout): string {
  const { left, top, cell, bottom } = layout;
  const right = left + cols * cell;
  const within = (at: number, count: number): boolean => at > 0 && at < count;
  const horizontal = (separators?.rows ?? []).filter((at) => within(at, rows));
  const vertical = (separators?.cols ?? []).filter((at) => within(at, cols));
  const path = [
    ...horizontal.map((at) => `M${left},${top + at * cell}H${right}`),
    ...vertical.map((at) => `M${left + at * cell},${top}V${bottom}`),
  ].join('');
  return path === ''
    ? ''
    : `<path d="${path}" fill="none" stroke="currentColor" stroke-opacity="0.5"/>`;
}

/** The scale itself as a strip, with its ends and middle; beside it the sign for "no value" where one occurs. */
function legend(
  { legend: meaning }: Heatmap,
  domain: readonly [number, number],
  { left, bottom }: Layout,
  anyMissing: boolean,
): string {
  const [low, high] = domain;
  const step = (high - low) / DIVERGING_LEVELS.length;
  const y = bottom + 14 + (meaning === undefined ? 0 : 18);
  const strip = draw({
    width: LEGEND_WIDTH + 16,
    height: 34,
    margin: 8,
    marginTop: 0,
    marginBottom: 24,
    x: { domain: [low, high], label: null },
    y: { axis: null },
    color: { type: 'identity' },
    marks: [
      Plot.rectX(DIVERGING_LEVELS, {
        x1: (_: string, i: number) => low + i * step,
        x2: (_: string, i: number) => low + (i + 1) * step,
        fill: (colour: string) => colour,
        // Neighbours overlap by a hair, or the page shines through between them.
        insetRight: -0.4,
      }),
      Plot.axisX([low, (low + high) / 2, high], {
        tickFormat: (value: number) => formatNumber(value),
        tickSize: 4,
      }),
    ],
  });
  const missing = `<g transform="translate(${left + LEGEND_WIDTH + 28},${y + 5})">`;
  return (
    (meaning === undefined ? '' : textAt(left, bottom + 16, meaning)) +
    `<g font-size="11" transform="translate(${left - 8},${y})">${innerMarkup(strip)}</g>` +
    (anyMissing
      ? `${missing}<rect x="-6" y="-6" width="12" height="12" fill="none" stroke="currentColor" stroke-opacity="0.3"/>` +
        `<path d="M-3,-3L3,3M3,-3L-3,3" stroke="currentColor" stroke-opacity="0.6" stroke-width="1.5"/></g>` +
        textAt(left + LEGEND_WIDTH + 40, y + 5, 'no value')
      : '')
  );
}

function indices(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/**
 * What every figure of plots.ts shares: text, titles, keys, and the way from Plot's elements to a
 * string. Colours are written into the SVG as they look on white; a style rule exchanges each for its dark twin
 * where the reader's screen is dark. No element carries an id, so figures cannot clash on one page.
 * @module
 */
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { escapeText } from './page.ts';
import { DARK_TWINS, type ArchitectureStyle } from './plot-colours.ts';

/** The few parts of a DOM node that are read here; the project compiles without the browser's types. */
export interface SvgNode {
  readonly nodeType: number;
  readonly localName: string;
  readonly textContent: string;
  readonly attributes: Iterable<{ readonly name: string; readonly value: string }>;
  readonly childNodes: Iterable<SvgNode>;
}

/** Types as they are used here: linkedom's and Plot's own lean on the browser's, which the project is without. */
const { document } = (parseHTML as (html: string) => { document: unknown })('<html></html>');
const plot = Plot.plot as (options: object) => SvgNode;

/** Plot's drawing of `options`, in linkedom's document. */
export function draw(options: Omit<Plot.PlotOptions, 'document'>): SvgNode {
  return plot({ document, ...options });
}

export const FONT_SIZE = 12;
const TITLE_SIZE = 14;
/** Bold text is about this much wider. */
export const BOLD = 1.12;

/**
 * Width in px of a line of text, on the wide side: the reader's font is not known here.
 */
export function textWidth(text: string, size: number = FONT_SIZE): number {
  let ems = 0;
  for (const character of text) {
    if (character > '\u2e7f') ems += 1;
    else if (/[ijltfrI.,:;|!'()[\] ]/.test(character)) ems += 0.4;
    else if (/[mwMW@%→←↑↓A-Z]/.test(character)) ems += 0.82;
    else ems += 0.635;
  }
  return ems * size;
}

/** Breaks text at spaces into lines of at most `width` px; what goes beyond `maxLines` is cut with an ellipsis. */
export function wrapText(text: string, width: number, size: number, maxLines: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/).filter((part) => part !== '')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line !== '' && textWidth(longer, size) > width) {
      lines.push(line);
      line = word;
    } else {
      line = longer;
    }
  }
  lines.push(line);
  const shown = lines.slice(0, maxLines);
  if (lines.length > maxLines) shown[maxLines - 1] += ` ${lines.slice(maxLines).join(' ')}`;
  return shown.map((each) => cutText(each, width, size));
}

function cutText(text: string, width: number, size: number): string {
  if (textWidth(text, size) <= width) return text;
  const characters = [...text];
  while (characters.length > 1 && textWidth(`${characters.join('')}…`, size) > width) {
    characters.pop();
  }
  return `${characters.join('').trimEnd()}…`;
}

export interface TextStyle {
  readonly anchor?: 'start' | 'middle' | 'end';
  readonly size?: number;
  readonly bold?: boolean;
  readonly colour?: string;
  /** Degrees, about (x, y). */
  readonly rotate?: number;
  /** Hover text, for a label that was cut. */
  readonly title?: string;
}

/** One line of text as markup; y is its middle. */
export function textAt(x: number, y: number, text: string, style: TextStyle = {}): string {
  const attributes = [
    `transform="translate(${round(x)},${round(y)})${style.rotate ? ` rotate(${style.rotate})` : ''}"`,
    'dy="0.35em"',
    `text-anchor="${style.anchor ?? 'start'}"`,
    `font-size="${style.size ?? FONT_SIZE}"`,
  ];
  if (style.bold === true) attributes.push('font-weight="600"');
  if (style.colour !== undefined) attributes.push(`fill="${style.colour}"`);
  const title = style.title === undefined ? '' : `<title>${escapeText(style.title)}</title>`;
  return `<text ${attributes.join(' ')}>${escapeText(text)}${title}</text>`;
}

/** Lines of text below one another, as markup, the first at y. */
export function linesAt(
  x: number,
  y: number,
  lines: readonly string[],
  style: TextStyle = {},
): string {
  const height = Math.round((style.size ?? FONT_SIZE) * 1.3);
  return lines.map((line, i) => textAt(x, y + i * height, line, style)).join('');
}

/** Title lines and the height that they take at the top of a figure of that width. */
export function titleBlock(title: string, width: number): { markup: string; height: number } {
  const lines = wrapText(title, (width - 4) / BOLD, TITLE_SIZE, 3);
  const markup = linesAt(2, 10, lines, { size: TITLE_SIZE, bold: true });
  return { markup, height: lines.length * Math.round(TITLE_SIZE * 1.3) + 8 };
}

const MARKER_STROKE = 'stroke="currentColor" stroke-width="1.5" stroke-dasharray="4 2.5"';

export interface KeyEntry {
  readonly label: string;
  /** An architecture's style, or a dashed line: `marker` upright, for a ceiling or published value, `level` flat. */
  readonly sample: ArchitectureStyle | 'marker' | 'level';
}

export interface Key {
  /** Where the symbols of the architectures go, px; Plot draws them, as it draws those of the data. */
  readonly places: readonly {
    readonly x: number;
    readonly y: number;
    readonly style: ArchitectureStyle;
  }[];
  readonly markup: string;
  readonly height: number;
}

/** A key laid out in as many lines as it needs, from (2, top). */
export function keyBlock(entries: readonly KeyEntry[], top: number, width: number): Key {
  let x = 2;
  let y = top + 10;
  const places: { x: number; y: number; style: ArchitectureStyle }[] = [];
  let markup = '';
  for (const { label, sample } of entries) {
    const shown = cutText(label, width - 30, FONT_SIZE);
    const needed = 18 + textWidth(shown);
    if (x > 2 && x + needed > width) {
      x = 2;
      y += 20;
    }
    if (sample === 'marker') {
      markup += `<path d="M${round(x + 6)},${y - 8}v16" ${MARKER_STROKE}/>`;
    } else if (sample === 'level') {
      markup += `<path d="M${round(x - 2)},${y}h16" ${MARKER_STROKE}/>`;
    } else {
      places.push({ x: x + 6, y, style: sample });
    }
    markup += textAt(x + 18, y, shown, { title: label });
    x += needed + 22;
  }
  return { places, markup, height: y - top + 12 };
}

/** The key's symbols as marks of a drawing with these margins. */
export function keyMarks(places: Key['places'], left: number, top: number): Plot.Markish[] {
  return places.map(({ x, y, style: { symbol, light } }) =>
    Plot.dot([0], {
      frameAnchor: 'top-left',
      dx: x - left,
      dy: y - top,
      symbol,
      r: 4.5,
      fill: light,
    }),
  );
}

/**
 * @param drawing - the SVG element that Plot returned: its size is the figure's, its children are kept.
 * @param furniture - markup drawn over it, from {@link textAt} and the like.
 * @throws {@link RangeError} if `alt` is empty: a figure that says nothing to some readers is not finished.
 */
export function frame(
  where: string,
  drawing: SvgNode,
  {
    alt,
    width,
    height,
    furniture,
  }: { alt: string; width: number; height: number; furniture: string },
): string {
  if (alt.trim() === '') throw new RangeError(`${where}: expected alt text, got an empty string`);
  const content = innerMarkup(drawing) + furniture;
  const rules = [...DARK_TWINS].flatMap(([light, dark]) =>
    ['fill', 'stroke']
      .filter((property) => content.includes(`${property}="${light}"`))
      .map((property) => `.sae-plot [${property}="${light}"]{${property}:${dark}}`),
  );
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" class="sae-plot" role="img" aria-label="${escapeText(alt)}" ` +
    `viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" fill="currentColor" ` +
    `font-family="system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif" font-size="${FONT_SIZE}" ` +
    `text-anchor="middle">` +
    '<style>.sae-plot{display:block;max-width:100%;height:auto;color-scheme:light dark;' +
    'font-variant-numeric:tabular-nums}.sae-plot text{white-space:pre}' +
    (rules.length === 0 ? '' : `@media screen and (prefers-color-scheme:dark){${rules.join('')}}`) +
    `</style>${content}</svg>`
  );
}

/** Around a figure that is a file, px. */
const MARGIN = 16;

/**
 * A figure as a file: with a ground and colours of its own, since a viewer's may be any, and room around it.
 * @param svg - from {@link frame}.
 */
export function standalone(svg: string): string {
  const size = /viewBox="0 0 (\S+) (\S+)" width="\S+" height="\S+"/.exec(svg);
  if (size === null) throw new RangeError('standalone: expected a figure of frame');
  const [width, height] = [Number(size[1]) + 2 * MARGIN, Number(size[2]) + 2 * MARGIN];
  const ground =
    '<style>.sae-plot{color:#1b1e23}.sae-ground{fill:#fdfdfb}' +
    '@media screen and (prefers-color-scheme:dark){.sae-plot{color:#e4e5e7}.sae-ground{fill:#131519}}</style>' +
    `<rect class="sae-ground" x="${-MARGIN}" y="${-MARGIN}" width="${width}" height="${height}" fill="#fdfdfb"/>`;
  return svg
    .replace(
      size[0],
      `viewBox="${-MARGIN} ${-MARGIN} ${width} ${height}" width="${width}" height="${height}"`,
    )
    .replace('</style>', `</style>${ground}`);
}

/** Children of Plot's <svg>, without its style sheet (which sets a white background) and its role attributes. */
export function innerMarkup(drawing: SvgNode): string {
  return [...drawing.childNodes].map(serialize).join('');
}

// Not linkedom's own outerHTML: it leaves "&" and "<" bare in attributes, which an XML reader refuses.
function serialize(node: SvgNode): string {
  if (node.nodeType === 3) return escapeText(node.textContent);
  if (node.nodeType !== 1 || node.localName === 'style') return '';
  const attributes = [...node.attributes]
    .filter(({ name }) => !name.startsWith('aria-') && name !== 'class')
    .map(({ name, value }) => {
      if (name === 'id') throw new Error(`plots: expected no id in a figure, got ${value}`);
      return ` ${name}="${escapeText(shortNumbers(value))}"`;
    })
    .join('');
  const children = [...node.childNodes].map(serialize).join('');
  return children === ''
    ? `<${node.localName}${attributes}/>`
    : `<${node.localName}${attributes}>${children}</${node.localName}>`;
}

/** Hundredths of a px are enough, and the last bits of a double differ between machines. */
function shortNumbers(value: string): string {
  return value.replace(/-?\d+\.\d{3,}(?:e-?\d+)?/g, (number) => String(round(Number(number))));
}

function round(value: number): number {
  return Math.round(value * 100) / 100 + 0;
}

/**
 * One self-contained HTML page for a report: every style inline, no script, no font, no image, no request.
 * Text reaches the page through {@link escapeText} alone: a plain string is always escaped, markup is an
 * {@link Html} value, which only the functions below make. Does not draw (plots.ts) and does not write files.
 * @module
 */
import { pageStyle } from './page-style.ts';

/** Markup that is already safe. Made by {@link markup} and the render functions; a string is never taken for it. */
export class Html {
  readonly #markup: string;
  constructor(markup: string) {
    this.#markup = markup;
  }
  toString(): string {
    return this.#markup;
  }
}

/** What {@link markup} interpolates: text and numbers are escaped, `null`, `undefined` and `false` vanish. */
export type Content = string | number | Html | null | undefined | false | readonly Content[];

/** `go` and `no-go` for a whole page, the last three for a claim, the others for a section or a table cell. */
export type Verdict =
  'go' | 'no-go' | 'pass' | 'fail' | 'warn' | 'skip' | 'shown' | 'not-reproduced' | 'undecided';

export interface Section {
  readonly heading: string;
  /** Shown beside the heading. */
  readonly verdict?: Verdict;
  readonly body: Content;
}

export interface Page {
  readonly title: string;
  /** Small line above the title: what kind of report this is. */
  readonly kicker?: string;
  /** One or two sentences: what was asked, what was found. */
  readonly lead: Content;
  readonly verdict?: { readonly verdict: Verdict; readonly summary: Content };
  readonly sections: readonly Section[];
  readonly footer: {
    readonly version: string;
    readonly seed: number | string;
    readonly command: string;
    /** Further facts: device, backend, date. */
    readonly facts?: readonly Fact[];
  };
}

export type Fact = readonly [label: string, value: Content];

export interface Column {
  readonly label: string;
  /** `number` columns are right-aligned in tabular figures. `text` if left out. */
  readonly align?: 'number' | 'text';
  /** Decimals of the column's numbers; as many as the number needs, at most 4 significant, if left out. */
  readonly digits?: number;
}

export interface Table {
  readonly caption: Content;
  readonly columns: readonly Column[];
  /** Each as long as `columns`. The first cell of a row is its header. `null` and NaN print as "no value". */
  readonly rows: readonly (readonly (string | number | Html | null)[])[];
}

export interface Figure {
  /** From plots.ts: carries its own role="img" and aria-label. */
  readonly svg: string;
  readonly caption: Content;
}

const VERDICTS: Record<Verdict, { text: string; mark: string; tone: string }> = {
  go: { text: 'GO', mark: '✓', tone: 'good' },
  'no-go': { text: 'NO-GO', mark: '✕', tone: 'bad' },
  pass: { text: 'pass', mark: '✓', tone: 'good' },
  fail: { text: 'fail', mark: '✕', tone: 'bad' },
  warn: { text: 'caution', mark: '!', tone: 'fair' },
  skip: { text: 'skipped', mark: '–', tone: 'none' },
  shown: { text: 'shown', mark: '✓', tone: 'good' },
  'not-reproduced': { text: 'not reproduced', mark: '✕', tone: 'bad' },
  undecided: { text: 'undecided', mark: '?', tone: 'fair' },
};

/** Sections from which a page has a table of contents. */
const LONG = 6;

const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/**
 * Text for an element or a quoted attribute, in HTML and in XML. Characters that XML forbids (controls, lone
 * surrogates) become U+FFFD: one of them in a label would make a whole SVG file unreadable.
 */
export function escapeText(text: string): string {
  return text
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu, '\ufffd')
    .replace(/[&<>"']/g, (character) => ENTITIES[character]);
}

/**
 * Template tag: literal parts are markup, interpolated strings are text.
 * @example markup`<p>L0 is <b>${l0}</b></p>`
 */
export function markup(parts: TemplateStringsArray, ...contents: readonly Content[]): Html {
  return new Html(parts.map((part, i) => part + markupOf(contents[i])).join(''));
}

function markupOf(content: Content): string {
  if (content === null || content === undefined || content === false) return '';
  if (content instanceof Html) return content.toString();
  if (typeof content === 'number') return escapeText(formatNumber(content));
  if (typeof content === 'string') return escapeText(content);
  return content.map(markupOf).join('');
}

/**
 * A number for readers: a true minus sign, `digits` decimals or else at most 4 significant digits (whole
 * numbers in full). NaN is "no value": a report must not show it as a number, nor hide it.
 */
export function formatNumber(value: number, digits?: number): string {
  if (Number.isNaN(value)) return 'no value';
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞';
  const text =
    digits !== undefined
      ? value.toFixed(digits)
      : Number.isInteger(value)
        ? String(value)
        : String(Number(value.toPrecision(4)));
  // "-0.00" is a rounded zero, not a negative number.
  return Number(text) === 0 ? text.replace('-', '') : text.replace('-', '−');
}

/** Colour, mark and word, so that no reader depends on the colour. */
export function renderBadge(verdict: Verdict): Html {
  const { text, mark, tone } = VERDICTS[verdict];
  return markup`<span class="badge ${tone}"><span aria-hidden="true">${mark}</span> ${text}</span>`;
}

/** A command line that breaks between its words only, never inside `--option`. */
export function renderCommand(command: string): Html {
  const words = command.split(' ').map((word, i) => markup`${i > 0 && ' '}<span>${word}</span>`);
  return markup`<code class="command">${words}</code>`;
}

/** Definition list of short facts: settings, versions, devices. */
export function renderFacts(facts: readonly Fact[]): Html {
  const rows = facts.map(([label, value]) => markup`<div><dt>${label}</dt><dd>${value}</dd></div>`);
  return markup`<dl class="facts">${rows}</dl>`;
}

/**
 * A table that scrolls inside its own box when the page is narrow.
 * @throws {@link RangeError} if there is no column or a row has another number of cells.
 */
export function renderTable({ caption, columns, rows }: Table): Html {
  if (columns.length === 0)
    throw new RangeError('renderTable: expected at least one column, got 0');
  rows.forEach((cells, i) => {
    if (cells.length === columns.length) return;
    throw new RangeError(
      `renderTable: expected ${columns.length} cells in row ${i}, got ${cells.length}`,
    );
  });
  const kinds = columns.map(({ align }) => align ?? 'text');
  const head = columns.map(
    ({ label }, j) => markup`<th scope="col" class="${kinds[j]}">${label}</th>`,
  );
  const body = rows.map((cells) => {
    const row = cells.map((cell, j) => {
      const content = renderCell(cell, columns[j].digits);
      return j === 0
        ? markup`<th scope="row" class="${kinds[j]}">${content}</th>`
        : markup`<td class="${kinds[j]}">${content}</td>`;
    });
    return markup`<tr>${row}</tr>\n`;
  });
  return markup`<figure class="table">
<figcaption>${caption}</figcaption>
<div class="scroll" role="region" tabindex="0" aria-label="${plainText(caption)}"><table>
<thead><tr>${head}</tr></thead>
<tbody>
${body}</tbody>
</table></div>
</figure>
`;
}

function renderCell(cell: string | number | Html | null, digits?: number): Content {
  if (cell === null || (typeof cell === 'number' && Number.isNaN(cell))) {
    return markup`<span class="missing">no value</span>`;
  }
  return typeof cell === 'number' ? formatNumber(cell, digits) : cell;
}

/**
 * An SVG from plots.ts with its caption. On a narrow page the drawing keeps 82 % of its own width, so that its
 * labels stay readable, and scrolls inside its box.
 * @throws {@link RangeError} if `svg` is no SVG element of known width with role="img" and an aria-label.
 */
export function renderFigure({ svg, caption }: Figure): Html {
  const opening = /^<svg\b[^>]*>/.exec(svg)?.[0] ?? '';
  const width = / width="(\d+(?:\.\d+)?)"/.exec(opening)?.[1];
  if (width === undefined || !/ aria-label="[^"]/.test(opening) || !/ role="img"/.test(opening)) {
    throw new RangeError(
      'renderFigure: expected an <svg> with width, role="img" and aria-label, ' +
        `got ${JSON.stringify(svg.slice(0, 60))}`,
    );
  }
  const least = Math.round(Number(width) * 0.82);
  const drawing = new Html(svg.replace('<svg', `<svg style="min-width:${least}px"`));
  return markup`<figure class="plot">
<div class="scroll" role="group" tabindex="0" aria-label="Figure">${drawing}</div>
<figcaption>${caption}</figcaption>
</figure>
`;
}

/** Figures side by side where there is room, one below the other where there is not. */
export function renderFigureRow(figures: readonly Figure[]): Html {
  return markup`<div class="row">${figures.map(renderFigure)}</div>`;
}

/** @returns a whole document, from doctype to `</html>`. */
export function renderPage({ title, kicker, lead, verdict, sections, footer }: Page): string {
  const ids = sectionIds(sections);
  const facts: readonly Fact[] = [
    ['version', footer.version],
    ['seed', String(footer.seed)],
    ['command', renderCommand(footer.command)],
    ...(footer.facts ?? []),
  ];
  // The policy forbids every load: should a string ever slip through unescaped, it still can fetch nothing.
  const page = markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'">
<link rel="icon" href="data:,">
<title>${title}</title>
<style>${new Html(pageStyle)}</style>
</head>
<body>
<header>
${kicker !== undefined && markup`<p class="kicker">${kicker}</p>`}
<h1>${title}</h1>
<div class="lead">${paragraphs(lead)}</div>
${verdict !== undefined && renderVerdict(verdict)}
${sections.length >= LONG && renderContents(sections, ids)}</header>
<main>
${sections.map((section, i) => renderSection(section, ids[i]))}</main>
<footer>${renderFacts(facts)}</footer>
</body>
</html>
`;
  return page.toString();
}

/** Where a reader can go from the top, and what is judged there. */
function renderContents(sections: readonly Section[], ids: readonly string[]): Html {
  const entries = sections.map(
    ({ heading, verdict }, i) =>
      markup`<li><a href="#${ids[i]}">${heading}</a>${verdict !== undefined && renderBadge(verdict)}</li>\n`,
  );
  return markup`<nav aria-label="Contents"><ol>
${entries}</ol></nav>
`;
}

function renderVerdict({ verdict, summary }: { verdict: Verdict; summary: Content }): Html {
  return markup`<div class="verdict ${VERDICTS[verdict].tone}">
${renderBadge(verdict)}
<div>${paragraphs(summary)}</div>
</div>`;
}

function renderSection({ heading, verdict, body }: Section, id: string): Html {
  return markup`<section id="${id}">
<div class="heading"><h2>${heading}</h2>${verdict !== undefined && renderBadge(verdict)}</div>
<div class="body">
${paragraphs(body)}
</div>
</section>
`;
}

/** Plain strings become paragraphs; markup is left as it is. */
function paragraphs(content: Content): Content {
  if (typeof content === 'string') return markup`<p>${content}</p>\n`;
  return Array.isArray(content) ? (content as readonly Content[]).map(paragraphs) : content;
}

/** One id per section, so that a link can name it: letters and digits of the heading, numbered when repeated. */
function sectionIds(sections: readonly Section[]): string[] {
  const taken = new Set<string>();
  return sections.map(({ heading }) => {
    const words = heading.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? ['section'];
    const slug = words.join('-');
    let id = slug;
    for (let n = 2; taken.has(id); n++) id = `${slug}-${n}`;
    taken.add(id);
    return id;
  });
}

/** Content without its tags, as text that is to be escaped again. */
function plainText(content: Content): Html {
  // Tags come from literals of `markup`, and attribute values hold no ">", escaped as it is.
  return new Html(markupOf(content).replace(/<[^>]*>/g, ''));
}

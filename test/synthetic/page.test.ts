import { afterAll, describe, expect, test } from 'vitest';
import {
  escapeText,
  formatNumber,
  markup,
  renderBadge,
  renderFigure,
  renderPage,
  renderTable,
  type Page,
  type Verdict,
} from '../../synthetic/page.ts';
import { heatmap } from '../../synthetic/plots.ts';
import { chromiumNote, closeChromium, skipWithoutChromium, withPage } from '../chromium.ts';
import { readabilityFaults } from '../readability.ts';
import { samplePageHtml } from './sample-figures.ts';

const HOSTILE = '"><script>document.title = "owned"</script><img src=x onerror=alert(1)>&amp;\'';

const hostilePage: Page = {
  title: HOSTILE,
  kicker: HOSTILE,
  lead: HOSTILE,
  verdict: { verdict: 'no-go', summary: HOSTILE },
  sections: [
    { heading: HOSTILE, body: HOSTILE },
    {
      heading: HOSTILE,
      body: [
        renderTable({ caption: HOSTILE, columns: [{ label: HOSTILE }], rows: [[HOSTILE]] }),
        renderFigure({
          svg: heatmap({
            title: HOSTILE,
            alt: HOSTILE,
            values: [0],
            rows: 1,
            cols: 1,
            rowLabels: [HOSTILE],
            legend: HOSTILE,
          }),
          caption: HOSTILE,
        }),
      ],
    },
  ],
  footer: { version: HOSTILE, seed: HOSTILE, command: HOSTILE, facts: [[HOSTILE, HOSTILE]] },
};

const minimal: Page = {
  title: 'Report',
  lead: 'One sentence.',
  sections: [],
  footer: { version: '1', seed: 7, command: 'matryoshka preflight' },
};

describe('markup', () => {
  test('escaped text holds no character with a meaning in markup', () => {
    expect(escapeText(`<a href='x'>"&"</a>`)).toBe(
      '&lt;a href=&#39;x&#39;&gt;&quot;&amp;&quot;&lt;/a&gt;',
    );
  });

  test('characters that XML forbids are replaced, and astral characters are kept', () => {
    expect(escapeText('a\u0000b\ud800c😀\n')).toBe('a\ufffdb\ufffdc😀\n');
  });

  test('a template escapes strings, keeps markup, joins lists, drops what is absent', () => {
    const inner = markup`<b>${'<'}</b>`;
    expect(
      markup`<p>${inner}${['a&', inner]}${null}${undefined}${false}${0.5}</p>`.toString(),
    ).toBe('<p><b>&lt;</b>a&amp;<b>&lt;</b>0.5</p>');
  });

  test('an object that only looks like markup is not taken for it', () => {
    const forged = JSON.parse('{"markup":"<script>"}') as string;
    expect(() => markup`${forged}`).toThrow();
  });

  test('numbers print with a true minus, no negative zero, and NaN as no value', () => {
    expect(formatNumber(-0.52146)).toBe('−0.5215');
    expect(formatNumber(-0.001, 2)).toBe('0.00');
    expect(formatNumber(40000)).toBe('40000');
    expect(formatNumber(NaN, 3)).toBe('no value');
    expect(formatNumber(-Infinity)).toBe('−∞');
  });

  test('every verdict is told by a word, not by its colour alone', () => {
    const verdicts: Verdict[] = [
      ...(['go', 'no-go', 'pass', 'fail', 'warn', 'skip'] as const),
      ...(['shown', 'not-reproduced', 'undecided'] as const),
    ];
    const words = verdicts.map((verdict) =>
      renderBadge(verdict)
        .toString()
        .replace(/<[^>]*>/g, ''),
    );
    expect(words).toEqual([
      ...['✓ GO', '✕ NO-GO', '✓ pass', '✕ fail', '! caution', '– skipped'],
      ...['✓ shown', '✕ not reproduced', '? undecided'],
    ]);
  });
});

describe('tables and figures', () => {
  const columns = [{ label: 'claim' }, { label: 'value', align: 'number', digits: 2 }] as const;

  test('number columns are aligned as numbers, and their missing cells say so', () => {
    const table = renderTable({
      caption: 'c',
      columns,
      rows: [
        ['a', 1],
        ['b', NaN],
        ['c', null],
      ],
    });
    const cells = [...table.toString().matchAll(/<td class="number">(.*?)<\/td>/g)];
    const missing = '<span class="missing">no value</span>';
    expect(cells.map(([, content]) => content)).toEqual(['1.00', missing, missing]);
  });

  test('a table without columns and a row of another length are refused by their numbers', () => {
    expect(() => renderTable({ caption: 'c', columns: [], rows: [] })).toThrow(
      'expected at least one column, got 0',
    );
    expect(() => renderTable({ caption: 'c', columns, rows: [['a', 1], ['b']] })).toThrow(
      'expected 2 cells in row 1, got 1',
    );
  });

  test('a figure without alternative text is refused', () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" role="img"></svg>';
    expect(() => renderFigure({ svg, caption: 'c' })).toThrow('role="img" and aria-label');
    const named = svg.replace('role', 'aria-label="a matrix" role');
    expect(renderFigure({ svg: named, caption: 'c' }).toString()).toContain(
      'aria-label="a matrix"',
    );
  });
});

describe('page', () => {
  test('sections of one heading have different ids', () => {
    const section = { heading: 'Ça & là!', body: 'x' };
    const page = renderPage({ ...minimal, sections: [section, section, section] });
    expect([...page.matchAll(/<section id="([^"]*)"/g)].map(([, id]) => id)).toEqual([
      'ça-là',
      'ça-là-2',
      'ça-là-3',
    ]);
  });

  test('a long page begins with its contents, a short one does not', () => {
    const sections = Array.from({ length: 6 }, (_, i) => ({
      heading: `Part <${i}>`,
      ...(i === 0 && { verdict: 'fail' as const }),
      body: 'x',
    }));
    const contents = /<nav.*<\/nav>/s.exec(renderPage({ ...minimal, sections }))?.[0] ?? '';
    expect(
      [...contents.matchAll(/<a href="([^"]*)">([^<]*)</g)].map(([, ...entry]) => entry),
    ).toEqual(sections.map((_, i) => [`#part-${i}`, `Part &lt;${i}&gt;`]));
    expect(contents.match(/class="badge/g)).toHaveLength(1);
    expect(renderPage({ ...minimal, sections: sections.slice(1) })).not.toContain('<nav');
  });

  test('the same input gives the same page, byte for byte', () => {
    expect(samplePageHtml() === samplePageHtml()).toBe(true);
  });

  test('no markup of the page names an address to load from', () => {
    const addresses = samplePageHtml().match(/(?:https?:)?\/\/[a-z][^\s"')]*/gi) ?? [];
    expect(new Set(addresses)).toEqual(new Set(['http://www.w3.org/2000/svg']));
    const loads = /<script|<link(?! rel="icon" href="data:,">)|@import|url\(|\ssrc=/;
    expect(loads.exec(samplePageHtml())).toBeNull();
  });

  test('version, seed and command stand in the footer', () => {
    const footer = /<footer>.*<\/footer>/s.exec(renderPage(minimal))?.[0] ?? '';
    const text = footer.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ');
    expect(text).toContain('version 1 seed 7 command matryoshka preflight');
  });
});

describe.skipIf(skipWithoutChromium)(`in Chromium${chromiumNote}`, () => {
  afterAll(closeChromium);

  for (const colorScheme of ['light', 'dark'] as const) {
    test(`the sample page is readable in ${colorScheme} at every width and loads nothing`, async () => {
      await withPage({ html: samplePageHtml() }, { colorScheme }, async (page, recorded) => {
        for (const width of [360, 800, 1280]) {
          await page.setViewportSize({ width, height: 800 });
          expect(await readabilityFaults(page), `${width} px`).toEqual([]);
        }
        expect(recorded.consoleErrors).toEqual([]);
        expect(recorded.requests).toEqual([page.url()]);
      });
    });
  }

  test('the page is light on a light screen, dark on a dark one, and light in print', async () => {
    await withPage({ html: renderPage(minimal) }, {}, async (page) => {
      const background = async (media: 'screen' | 'print', colorScheme: 'light' | 'dark') => {
        await page.emulateMedia({ media, colorScheme });
        return page.evaluate<string>('getComputedStyle(document.body).backgroundColor');
      };
      expect(await background('screen', 'light')).toBe('rgb(253, 253, 251)');
      expect(await background('screen', 'dark')).toBe('rgb(19, 21, 25)');
      expect(await background('print', 'dark')).toBe('rgb(253, 253, 251)');
    });
  });

  test('hostile text stays text, wherever a page takes text', async () => {
    await withPage({ html: renderPage(hostilePage) }, { width: 360 }, async (page, recorded) => {
      expect(await page.title()).toBe(HOSTILE);
      expect(await page.evaluate('document.querySelectorAll("script, img").length')).toBe(0);
      for (const place of [
        'h1',
        'h2',
        'figcaption',
        'th',
        'tbody th',
        '.lead p',
        'dd',
        'svg title',
      ]) {
        expect(await page.locator(place).first().textContent(), place).toContain(HOSTILE);
      }
      expect(await page.locator('svg').getAttribute('aria-label')).toBe(HOSTILE);
      expect(recorded.consoleErrors).toEqual([]);
      expect(recorded.requests).toEqual([page.url()]);
      expect(await readabilityFaults(page)).toEqual([]);
    });
  });

  test('the checks of this file see a page that loads, breaks, overflows and fades', async () => {
    const svg = '<svg width="90" height="20">';
    const bad = `<!doctype html><body style="margin:0;background:#fff"><img src="missing.png">
      <p id="a" style="color:#999">pale</p><p id="a" style="width:2000px">wide</p>
      ${svg}<text x="80" y="15">clipped</text></svg>
      ${svg}<text x="1" y="15">one</text><text x="3" y="15">two</text></svg>
      <script>throw new Error('broken')</script>`;
    await withPage({ html: bad }, {}, async (page, recorded) => {
      const faults = (await readabilityFaults(page)).join('\n');
      for (const fault of [
        'px wide in a window of 1280',
        'id given twice: a',
        'contrast 2.85: "pale"',
        'without role or aria-label',
        'label cut off: "clipped"',
        'labels overlap: "one" and "two"',
      ]) {
        expect(faults).toContain(fault);
      }
      expect(faults).not.toContain('"wide"');
      expect(recorded.requests.map((url) => url.split('/').at(-1))).toEqual([
        'page.html',
        'missing.png',
      ]);
      expect(recorded.consoleErrors.join('\n')).toContain('broken');
    });
  });
});

import { afterAll, describe, expect, test } from 'vitest';
import {
  ARCHITECTURE_STYLES,
  darkTwin,
  DIVERGING_LEVELS,
  divergingColour,
} from '../../synthetic/plot-colours.ts';
import { textWidth, wrapText } from '../../synthetic/plot-frame.ts';
import { drawRows } from '../../synthetic/plot-rows.ts';
import { barsWithCeiling, curves, heatmap } from '../../synthetic/plots.ts';
import { chromiumNote, closeChromium, skipWithoutChromium, withPage } from '../chromium.ts';
import { readabilityFaults } from '../readability.ts';
import {
  cosines,
  sampleBars,
  sampleCurves,
  sampleFigures,
  sampleHeatmap,
  sampleIntervals,
} from './sample-figures.ts';

const EIGHT = [
  'Matryoshka BatchTopK',
  'BatchTopK',
  'ReLU + L1',
  'JumpReLU',
  'TopK',
  'p-annealing & more',
  'Matryoshka, random prefixes',
  'Gated',
];

/** Inputs at the edges of what the figures accept. */
const extremes: Record<string, string> = {
  'eight architectures on a log scale': curves({
    title:
      'Loss of eight architectures, with a title that is far too long for one line of the figure it stands on',
    alt: 'Eight lines fall together.',
    xLabel: 'step',
    yLabel: 'loss',
    yScale: 'log',
    series: EIGHT.map((architecture, a) => ({
      architecture,
      seed: 0,
      x: [0, 100, 200, 300],
      y: [10 / (a + 1), 1, a === 2 ? NaN : 0.5, 0.012 + a * 0.0005],
    })),
    references: [{ y: 0.0125, label: 'optimum of the world' }],
  }),
  'one level and no value': curves({
    title: 'L0',
    alt: 'A constant.',
    xLabel: 'step',
    yLabel: 'L0',
    series: [
      { architecture: 'A', seed: 0, x: [0, 2e6], y: [20, 20] },
      { architecture: 'B', seed: 0, x: [0], y: [NaN] },
    ],
  }),
  'bars of eight architectures': barsWithCeiling({
    title: 'Six',
    alt: 'Six bars.',
    xLabel: 'rate',
    parents: [{ label: 'p', ceiling: 1 }],
    bars: EIGHT.map((architecture, a) => ({ architecture, parent: 'p', seeds: [a / 5] })),
  }),
  'all bars zero': barsWithCeiling({
    title: 'Zero',
    alt: 'No absorption.',
    xLabel: 'rate',
    parents: [{ label: 'p' }],
    bars: [{ parent: 'p', architecture: 'A', seeds: [0, 0] }],
  }),
  'negative interval': drawRows('intervals', {
    ...sampleIntervals,
    title: 'Difference',
    alt: 'Below zero.',
    xLabel: 'Matryoshka − BatchTopK',
    domain: [],
    groups: [{ label: 'd', marker: 0 }],
    rows: [
      {
        group: 'd',
        architecture: 'A',
        value: -0.5,
        low: -0.7,
        high: -0.3,
        text: '−0.500 [−0.700, −0.300]',
        points: [],
      },
    ],
  }),
  'one cell': heatmap({
    title: 'A title much longer than the matrix is wide',
    alt: 'One.',
    values: [1],
    rows: 1,
    cols: 1,
    rowTitle: 'latent of the autoencoder',
    colTitle: 'true feature of the world',
    legend: 'cos(decoder row, true direction)',
  }),
  'many names': heatmap({
    title: 'Names',
    alt: 'A diagonal.',
    values: cosines(40, false),
    rows: 40,
    cols: 40,
    rowLabels: Array.from(
      { length: 40 },
      (_, i) => `latent ${i} of the very first group of latents`,
    ),
    colLabels: Array.from({ length: 40 }, (_, i) => `feature ${i}`),
  }),
};

const count = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;
const paths = (svg: string, stroke: string): string[] =>
  [...svg.matchAll(new RegExp(`<g[^>]*stroke="${stroke}"[^>]*>(.*?)</g>`, 'gs'))].flatMap(
    ([, group]) => [...group.matchAll(/ d="([^"]*)"/g)].map(([, d]) => d),
  );

describe('heatmap', () => {
  const matrix = { title: 't', alt: 'a', rows: 2, cols: 3 };

  test('every value is one cell with its place and its number as hover text', () => {
    const titles = [...heatmap(sampleHeatmap).matchAll(/<rect[^>]*><title>([^<]*)<\/title>/g)];
    expect(titles).toHaveLength(400);
    expect(titles[0][1]).toBe('0 · 0: 0.960');
    expect(titles[4 * 20 + 3][1]).toBe('4 · 3: 0.690');
  });

  test('a value that is not finite has a cell without any colour of the scale', () => {
    const svg = heatmap({ ...matrix, values: [1, NaN, 0, -1, Infinity, 0.5] });
    const coloured = DIVERGING_LEVELS.reduce(
      (sum, colour) => sum + count(svg, new RegExp(`<rect[^>]*fill="${colour}"`, 'g')),
      0,
    );
    // The legend shows each level once.
    expect(coloured - DIVERGING_LEVELS.length).toBe(4);
    expect(count(svg, /<title>[^<]*: no value<\/title>/g)).toBe(2);
    expect(svg).toMatch(/>no value<\/text>/);
  });

  test('the legend speaks of missing values only where one is missing', () => {
    expect(heatmap({ ...matrix, values: new Float64Array(6) })).not.toContain('no value');
  });

  test('ends and middle of the domain take the ends and the middle of the scale, values beyond the ends', () => {
    const last = DIVERGING_LEVELS.length - 1;
    const indexOf = (value: number): number =>
      DIVERGING_LEVELS.indexOf(divergingColour(value, [-1, 1]));
    expect([-7, -1, 0, 1, 1.0000001].map(indexOf)).toEqual([0, 0, last / 2, last, last]);
    expect(divergingColour(5, [0, 10])).toBe(divergingColour(0, [-1, 1]));
  });

  test('separators lie only between rows and columns, never on the border', () => {
    const values = new Float64Array(6);
    const drawn = heatmap({ ...matrix, values, separators: { rows: [0, 1, 2], cols: [1, 3] } });
    const plain = heatmap({ ...matrix, values, separators: { rows: [0, 2], cols: [3] } });
    expect(count(drawn, / d="M[\d.]+,[\d.]+H[\d.]+M[\d.]+,[\d.]+V[\d.]+"/g)).toBe(1);
    expect(plain).toBe(heatmap({ ...matrix, values }));
  });

  test('empty matrices, wrong lengths and empty domains are refused by name', () => {
    const refuse = (change: object): string => {
      try {
        return heatmap({ ...matrix, values: new Float64Array(6), ...change });
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(refuse({ rows: 0, values: [] })).toBe(
      'heatmap: expected whole rows and cols >= 1, got 0 x 3',
    );
    expect(refuse({ values: [1] })).toBe('heatmap: expected 6 values for 2 x 3, got 1');
    expect(refuse({ colLabels: ['a'] })).toBe('heatmap: expected 3 colLabels for 2 x 3, got 1');
    expect(refuse({ domain: [1, 1] })).toBe('heatmap: expected domain low < high, got [1, 1]');
    expect(refuse({ alt: ' ' })).toBe('heatmap: expected alt text, got an empty string');
  });
});

describe('barsWithCeiling', () => {
  test('a bar is the mean of its seeds, each seed a dot, each ceiling a line with its number', () => {
    const svg = barsWithCeiling({
      ...sampleBars,
      parents: [{ label: 'p', ceiling: 0.75 }, { label: 'q' }],
      bars: [
        { parent: 'p', architecture: 'A', seeds: [0.1, 0.3] },
        { parent: 'q', architecture: 'A', seeds: [0.5, NaN, 0.7] },
      ],
    });
    expect(svg).toContain('<title>A, p: 0.20</title>');
    expect(svg).toContain('<title>A, q: 0.60 (2 of 3)</title>');
    expect(count(svg, /<circle[^>]* r="1.8"/g)).toBe(4);
    expect(count(svg, /<title>ceiling P\(child \| parent\): 0\.75<\/title>/g)).toBe(1);
    expect(count(svg, />0\.75<\/text>/g)).toBe(1);
  });

  test('without a finite seed there is no bar but the words "no value"', () => {
    const svg = barsWithCeiling({
      ...sampleBars,
      parents: [{ label: 'p' }],
      bars: [{ parent: 'p', architecture: 'A', seeds: [NaN] }],
    });
    expect(svg).toContain('>no value</text>');
    expect(svg).not.toContain('<rect');
    expect(svg).not.toContain('NaN');
  });

  test('no bars, unknown parents, repeated parents and repeated bars are refused', () => {
    const bar = { parent: 'p', architecture: 'A', seeds: [0] };
    const parents = [{ label: 'p' }];
    const draw = (change: object) => () =>
      barsWithCeiling({ ...sampleBars, parents, bars: [bar], ...change });
    expect(draw({ bars: [] })).toThrow('at least one group and one value, got 1 and 0');
    expect(draw({ bars: [{ ...bar, parent: 'x' }] })).toThrow('one of the groups p, got x');
    expect(draw({ bars: [bar, bar] })).toThrow('one entry for p, A, got a second');
    expect(draw({ parents: [...parents, ...parents] })).toThrow('distinct group labels, got p, p');
    expect(draw({ alt: '' })).toThrow('expected alt text');
  });
});

describe('rows of intervals', () => {
  const svg = drawRows('intervals', sampleIntervals);

  test('value and interval are drawn and printed', () => {
    expect(svg).toContain(`>${sampleIntervals.rows[0].text}</text>`);
    expect(svg).toContain('>mean [95 % interval]</text>');
    expect(count(svg, /<title>BatchTopK, MCC/g)).toBeGreaterThan(0);
  });

  test('a value that is not finite is printed as its text, never as a mark', () => {
    expect(svg).toContain('>no value</text>');
    expect(svg).not.toContain('NaN');
    expect(count(svg, /<title>BatchTopK, F1/g)).toBe(0);
  });
});

describe('curves', () => {
  const [first, second] = ARCHITECTURE_STYLES.map(({ light }) => light);
  const base = { title: 't', alt: 'a', xLabel: 'step', yLabel: 'loss' };
  const series = (seed: number, y: number[], x = y.map((_, i) => i)) => ({
    architecture: 'A',
    seed,
    x,
    y,
  });

  test('every seed is a line and every architecture has one mean line and its name at the end', () => {
    const svg = curves(sampleCurves);
    expect(paths(svg, first)).toHaveLength(6);
    expect(paths(svg, second)).toHaveLength(6);
    expect(svg).toMatch(new RegExp(`fill="${first}">Matryoshka</text>`));
    expect(svg).toContain('<title>BatchTopK, mean of 5 seeds</title>');
    expect(svg).toContain('>ceiling</text>');
  });

  test('a value that is not finite interrupts its line and the mean', () => {
    const [seed0, seed1, mean] = paths(
      curves({ ...base, series: [series(0, [1, 2, NaN, 2, 1]), series(1, [1, 1, 1, 1, 2])] }),
      first,
    );
    expect([seed0, seed1, mean].map((d) => count(d, /M/g))).toEqual([2, 1, 2]);
  });

  test('on a log scale zero and less have no place', () => {
    const svg = curves({ ...base, yScale: 'log', series: [series(0, [1, 2, 0, 2, -1])] });
    expect(count(paths(svg, first)[0], /M/g)).toBe(2);
    expect(svg).not.toMatch(/NaN|Infinity/);
  });

  test('the mean covers only the steps that every seed has', () => {
    const svg = curves({ ...base, series: [series(0, [3, 2, 1]), series(1, [3, 2])] });
    expect(paths(svg, first).map((d) => count(d, /[ML]/g))).toEqual([3, 2, 2]);
  });

  test('an architecture keeps its colour when the order is given, with or without the others', () => {
    const b = { ...series(0, [1, 2]), architecture: 'B' };
    expect(paths(curves({ ...base, series: [b], architectures: ['A', 'B'] }), second)).toHaveLength(
      2,
    );
    expect(() => curves({ ...base, series: [b], architectures: ['A'] })).toThrow(
      'expected architecture in A, got B',
    );
  });

  test('no points, unequal lengths, x out of order and a ninth architecture are refused', () => {
    expect(() => curves({ ...base, series: [] })).toThrow(
      'at least one point, got none in 0 series',
    );
    expect(() => curves({ ...base, series: [series(0, [])] })).toThrow('got none in 1 series');
    expect(() => curves({ ...base, series: [series(0, [1], [0, 1])] })).toThrow(
      'as many y as x for A, seed 0, got 1 and 2',
    );
    expect(() => curves({ ...base, series: [series(0, [1, 1], [1, 0])] })).toThrow(
      'finite ascending x for A, seed 0, got 0 at 1',
    );
    const nine = [...EIGHT, 'I'].map((architecture) => ({ ...series(0, [1]), architecture }));
    expect(() => curves({ ...base, series: nine })).toThrow('at most 8 architectures, got 9');
  });
});

describe('colours and text', () => {
  const luminance = (colour: string): number => {
    const [r, g, b] = [1, 3, 5]
      .map((at) => parseInt(colour.slice(at, at + 2), 16) / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a: string, b: string): number => {
    const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };

  test('from the neutral middle to either end every step moves further from the page, light and dark', () => {
    const middle = (DIVERGING_LEVELS.length - 1) / 2;
    const arms = [DIVERGING_LEVELS.slice(middle), DIVERGING_LEVELS.slice(0, middle + 1).reverse()];
    for (const arm of arms) {
      const light = arm.map(luminance);
      const dark = arm.map((colour) => luminance(darkTwin(colour)));
      expect(light).toEqual([...light].sort((a, b) => b - a));
      expect(dark).toEqual([...dark].sort((a, b) => a - b));
    }
  });

  test('the neutral middle can be told from the page, light and dark', () => {
    const neutral = divergingColour(0, [-1, 1]);
    expect(contrast(neutral, '#fdfdfb')).toBeGreaterThan(1.1);
    expect(contrast(darkTwin(neutral), '#131519')).toBeGreaterThan(1.25);
  });

  test('no colour stands for two things', () => {
    const all = [...ARCHITECTURE_STYLES.map(({ light }) => light), ...DIVERGING_LEVELS];
    expect(new Set(all).size).toBe(all.length);
  });

  test('wrapped text loses no word while its lines suffice, and ends in an ellipsis when they do not', () => {
    const text = 'parent 14 of the animals with four legs and a tail';
    const lines = wrapText(text, 120, 12, 9);
    expect(lines.join(' ')).toBe(text);
    expect(lines.every((line) => textWidth(line) <= 120)).toBe(true);
    expect(wrapText(text, 120, 12, 2)[1]).toMatch(/…$/);
    expect(wrapText('', 120, 12, 2)).toEqual(['']);
  });
});

describe('every figure', () => {
  const figures = Object.entries({ ...sampleFigures(), ...extremes });

  test.each(figures)(
    '%s holds no id, no reference, no script, and no number that is none',
    (_, svg) => {
      expect(/\sid="|url\(|href|<script|<image|NaN|Infinity|undefined/.exec(svg)).toBeNull();
      expect(svg.startsWith('<svg xmlns="http://www.w3.org/2000/svg" ')).toBe(true);
    },
  );

  test('is the same string when drawn again, whatever was drawn before', () => {
    expect(sampleFigures()).toEqual(sampleFigures());
  });

  test('keeps labels that look like markup as text', () => {
    const hostile = '</text><script>&"';
    const svgs = [
      barsWithCeiling({
        ...sampleBars,
        title: hostile,
        xLabel: hostile,
        ceilingLabel: hostile,
        alt: hostile,
      }),
      drawRows('intervals', {
        ...sampleIntervals,
        title: hostile,
        markerLabel: hostile,
        alt: hostile,
      }),
      curves({
        ...sampleCurves,
        title: hostile,
        yLabel: hostile,
        references: [{ y: 0, label: hostile }],
      }),
      heatmap({ ...sampleHeatmap, rowTitle: hostile, legend: hostile, alt: hostile }),
    ];
    for (const svg of svgs) {
      expect(svg).not.toContain('<script');
      expect(svg).toContain('&lt;/text&gt;&lt;script&gt;&amp;&quot;');
    }
  });

  describe.skipIf(skipWithoutChromium)(`in Chromium${chromiumNote}`, () => {
    afterAll(closeChromium);

    test('all are readable on one page, in light and in dark', async () => {
      const html = `<!doctype html><html style="color-scheme: light dark"><body>
        ${figures.map(([, svg]) => svg).join('')}`;
      await withPage({ html }, {}, async (page, recorded) => {
        for (const colorScheme of ['light', 'dark'] as const) {
          await page.emulateMedia({ colorScheme });
          expect(await readabilityFaults(page), colorScheme).toEqual([]);
        }
        expect(await page.locator('svg').count()).toBe(figures.length);
        expect(recorded.consoleErrors).toEqual([]);
        expect(recorded.requests).toEqual([page.url()]);
      });
    });

    test('all are well-formed XML, whatever stands in their texts', async () => {
      const text = '&<>"\u0001\ud800';
      const svgs = [
        ...figures.map(([, svg]) => svg),
        heatmap({ ...sampleHeatmap, title: text, alt: text }),
      ];
      const parse = `${JSON.stringify([...svgs, '<svg a="&"/>'])}.map((svg) => {
        const parsed = new DOMParser().parseFromString(svg, 'image/svg+xml');
        return parsed.documentElement.localName === 'svg' && !parsed.querySelector('parsererror');
      })`;
      await withPage({ html: '' }, {}, async (page) => {
        const wellFormed = await page.evaluate<boolean[]>(parse);
        // The last one is not, to show that the parser would tell.
        expect(wellFormed).toEqual([...svgs.map(() => true), false]);
      });
    });

    test('a file of its own is readable, turns dark on a dark screen and stays light in print', async () => {
      const query = `document.querySelector('[fill="${ARCHITECTURE_STYLES[0].light}"]')`;
      await withPage({ svg: barsWithCeiling(sampleBars) }, {}, async (page, recorded) => {
        const fill = async (media: 'screen' | 'print', colorScheme: 'light' | 'dark') => {
          await page.emulateMedia({ media, colorScheme });
          return page.evaluate<string>(`getComputedStyle(${query}).fill`);
        };
        expect(await fill('print', 'dark')).toBe('rgb(31, 102, 176)');
        expect(await fill('screen', 'dark')).toBe('rgb(116, 180, 245)');
        expect(await readabilityFaults(page)).toEqual([]);
        expect(await fill('screen', 'light')).toBe('rgb(31, 102, 176)');
        expect(await readabilityFaults(page)).toEqual([]);
        expect(recorded.consoleErrors).toEqual([]);
        expect(recorded.requests).toEqual([page.url()]);
      });
    });
  });
});

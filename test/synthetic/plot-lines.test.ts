import { describe, expect, test } from 'vitest';
import { ARCHITECTURE_STYLES } from '../../synthetic/plot-colours.ts';
import { barsWithCeiling, lines, type Lines } from '../../synthetic/plots.ts';

const base: Lines = {
  title: 'MCC',
  alt: 'A rises.',
  xLabel: 'measured L0',
  yLabel: 'MCC',
  series: [
    {
      architecture: 'A',
      points: [
        { x: 1, y: 0.2, low: 0.1, high: 0.3, xLow: 0.9, xHigh: 1.1 },
        { x: 2, y: 0.4 },
        { x: 8, y: 0.5 },
      ],
    },
  ],
};
const one = (x: number, y: number, architecture = 'A'): Lines['series'][number] => ({
  architecture,
  points: [{ x, y }],
});
const lineOf = (svg: string): string =>
  new RegExp(`<path[^>]*stroke="${ARCHITECTURE_STYLES[0].light}"[^>]* d="([^"]*)"`).exec(
    svg,
  )?.[1] ??
  new RegExp(`<g[^>]*stroke="${ARCHITECTURE_STYLES[0].light}"[^>]*><path d="([^"]*)"`).exec(
    svg,
  )?.[1] ??
  '';
/** Labels of the axis with small tick text, in the order drawn. */
const tickLabels = (svg: string): string[] =>
  [...svg.matchAll(/<text[^>]*>([\d.k−]+)<\/text>/g)].map(([, text]) => text);

describe('lines', () => {
  test('every point says its architecture, its place and its interval', () => {
    const svg = lines(base);
    expect(svg).toContain('<title>A: measured L0 1, MCC 0.200 [0.100, 0.300]</title>');
    expect(svg).toContain('<title>A: measured L0 2, MCC 0.400</title>');
    expect(svg.match(/<title>A: /g)).toHaveLength(3);
  });

  test('a value that is not finite has no point and interrupts the line', () => {
    const points = [1, 2, 3, 4].map((x) => ({ x, y: x === 3 ? NaN : x }));
    const svg = lines({ ...base, series: [{ architecture: 'A', points }] });
    expect(svg.match(/<title>A: /g)).toHaveLength(3);
    expect(lineOf(svg).match(/M/g)).toHaveLength(2);
    expect(svg).not.toContain('NaN');
  });

  test('a log scale has its ticks at the values that occur', () => {
    expect(tickLabels(lines({ ...base, xScale: 'log' }))).toEqual(
      expect.arrayContaining(['1', '2', '8']),
    );
  });

  test('ticks of a log scale leave out what would overlap, never the largest', () => {
    const points = Array.from({ length: 200 }, (_, i) => ({ x: i + 1, y: 0 }));
    const svg = lines({ ...base, xScale: 'log', series: [{ architecture: 'A', points }] });
    const ticks = tickLabels(svg).map(Number);
    expect(ticks).toContain(200);
    expect(ticks.length).toBeLessThan(30);
  });

  test('a spread that is small beside the value does not fill the axis', () => {
    const svg = lines({ ...base, series: [one(1.12, 0.5), one(1.121, 0.6, 'B')] });
    const at = [...svg.matchAll(/translate\(([\d.]+),[\d.]+\)"[^>]*><title>|translate\(([\d.]+)/g)];
    expect(at.length).toBeGreaterThan(0);
    const ticks = tickLabels(svg)
      .map(Number)
      .filter((value) => value > 0.9);
    expect(Math.max(...ticks) - Math.min(...ticks)).toBeGreaterThan(0.1);
  });

  test('markers stand in the key under their names', () => {
    const svg = lines({
      ...base,
      xMarker: { at: 1.12, label: 'true L0' },
      yMarker: { at: 0.5, label: 'fully erased' },
    });
    expect(svg).toContain('>true L0<');
    expect(svg).toContain('>fully erased<');
  });

  test('no finite point, an x below 0 on a log scale and no alt are refused', () => {
    expect(() => lines({ ...base, series: [one(1, NaN)] })).toThrow('at least one finite point');
    expect(() => lines({ ...base, xScale: 'log', series: [one(0, 1)] })).toThrow('positive x');
    expect(() => lines({ ...base, alt: '' })).toThrow('lines: expected alt text');
  });
});

describe('barsWithCeiling', () => {
  test('an interval is printed behind the mean and drawn from its low to its high end', () => {
    const svg = barsWithCeiling({
      title: 'Full absorption',
      alt: 'Half.',
      xLabel: 'rate',
      parents: [{ label: 'p' }],
      bars: [{ parent: 'p', architecture: 'A', seeds: [0.4, 0.6], interval: [0.4, 0.6] }],
      intervalLabel: 'smallest, largest',
    });
    expect(svg).toContain('<title>A, p: 0.50 [0.40, 0.60]</title>');
    expect(svg).toContain('mean [smallest, largest]');
  });
});

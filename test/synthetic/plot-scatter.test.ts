import { describe, expect, test } from 'vitest';
import { scatter, type Scatter } from '../../synthetic/plots.ts';

const point = (x: number, y: number, label: string, kind = 'parent') => ({ x, y, label, kind });
const base: Scatter = {
  title: 'BatchTopK',
  alt: 'Parents lose recall.',
  xLabel: 'recall',
  yLabel: 'precision',
  kinds: ['parent', 'child'],
  points: [point(0.4, 1, 'a'), point(0.9, 0.8, 'b')],
};
const titles = (svg: string): string[] =>
  [...svg.matchAll(/<title>(.*?)<\/title>/g)]
    .map(([, text]) => text)
    .filter((t) => t.includes(':'));
const dots = (svg: string): string[] =>
  [...svg.matchAll(/<circle[^>]* r="([\d.]+)"[^>]*><title>/g)].map(([, r]) => r);

describe('scatter', () => {
  test('every dot says what it is and where', () => {
    expect(titles(scatter(base))).toEqual(['a: 0.400, 1.000', 'b: 0.900, 0.800']);
  });

  test('dots on one another become one that names some and counts the rest', () => {
    const many = Array.from({ length: 9 }, (_, i) => point(0.5, 0.5, `l${i}`));
    // The eighth kind is drawn as a circle, whose radius can be read.
    const kinds = ['1', '2', '3', '4', '5', '6', '7', 'parent'];
    const svg = scatter({ ...base, kinds, points: [...many, point(0.9, 0.9, 'alone')] });
    expect(titles(svg)).toEqual([
      'l0, l1, l2, l3, l4, l5 and 3 more: 0.500, 0.500',
      'alone: 0.900, 0.900',
    ]);
    // Nine times the area is three times the radius.
    const [small, large] = dots(svg)
      .map(Number)
      .sort((a, b) => a - b)
      .slice(-2);
    expect(large / small).toBeCloseTo(3, 1);
  });

  test('two kinds in one place stay two dots', () => {
    const points = [point(0.5, 0.5, 'a'), point(0.5, 0.5, 'b', 'child')];
    expect(titles(scatter({ ...base, points }))).toHaveLength(2);
  });

  test('a kind without points is not in the key', () => {
    expect(scatter(base)).not.toContain('>child<');
  });

  test('points that are not finite or of an unknown kind are refused by name', () => {
    expect(() => scatter({ ...base, points: [point(NaN, 0, 'x')] })).toThrow('for x');
    expect(() => scatter({ ...base, points: [point(0, 0, 'x', 'leaf')] })).toThrow(
      'one of parent, child',
    );
  });
});

import { describe, expect, test } from 'vitest';
import { forest, type Forest } from '../../synthetic/plots.ts';

const base: Forest = {
  title: 'The world',
  alt: 'One family and a leaf.',
  features: [
    { label: 'A', probability: 0.4 },
    { label: 'Aa', probability: 0.1 },
    { label: 'Ab', probability: 0.1 },
    { label: 'leaf', probability: 0.05 },
  ],
  edges: [
    { parent: 0, child: 1 },
    { parent: 0, child: 2 },
  ],
  exclusive: [0],
  given: (child) => (child === 1 || child === 2 ? 0.25 : null),
};
const families = (count: number, children: number): Forest => ({
  ...base,
  features: Array.from({ length: count * (children + 1) }, (_, f) => ({
    label: `f${f}`,
    probability: 0.1,
  })),
  edges: Array.from({ length: count * children }, (_, c) => ({
    parent: Math.floor(c / children),
    child: count + c,
  })),
  exclusive: [],
});
/** Radius by the feature's hover text. */
const radii = (svg: string): Map<string, number> =>
  new Map(
    [...svg.matchAll(/<circle[^>]* r="([\d.]+)"[^>]*><title>(.*?):/g)].map(([, r, label]) => [
      label,
      Number(r),
    ]),
  );
const drawn = (svg: string): number => radii(svg).size;

describe('forest', () => {
  test('every feature is a dot with its probability, given its parent where it has one', () => {
    const svg = forest(base);
    expect(svg).toContain('<title>A: P = 0.4</title>');
    expect(svg).toContain('<title>Aa: P = 0.1, 0.25 given its parent</title>');
    expect(drawn(svg)).toBe(4);
  });

  test('areas are in proportion to the probabilities', () => {
    const r = radii(forest(base));
    expect((r.get('A')! / r.get('Aa')!) ** 2).toBeCloseTo(4, 1);
  });

  test('siblings that exclude one another have a thick stem, others a thin one', () => {
    expect(forest(base)).toContain('stroke-width="4"');
    expect(forest(base)).toContain('at most one at a time');
    expect(forest({ ...base, exclusive: [] })).not.toContain('stroke-width="4"');
  });

  test('a forest that is too large is cut between trees and says how much is missing', () => {
    // 36 rows hold 12 families of three leaves, of 20.
    const svg = forest(families(20, 3));
    expect(drawn(svg)).toBe(12 * 4);
    expect(svg).toContain('and 32 more features, not drawn');
  });

  test('one tree that is too large is cut inside and says so at the parent', () => {
    const svg = forest(families(1, 50));
    expect(drawn(svg)).toBe(37);
    expect(svg).toContain('(+14)');
    expect(svg).toContain('and 14 more features, not drawn');
  });

  test('a forest that fits says nothing of missing features', () => {
    expect(forest(base)).not.toContain('not drawn');
  });

  test('grandchildren stand right of children', () => {
    const chain: Forest = {
      ...base,
      edges: [
        { parent: 0, child: 1 },
        { parent: 1, child: 2 },
      ],
      exclusive: [],
    };
    const x = (label: string): number =>
      Number(
        new RegExp(`<circle[^>]* cx="([\\d.]+)"[^>]*><title>${label}:`).exec(forest(chain))?.[1],
      );
    expect(x('A')).toBeLessThan(x('Aa'));
    expect(x('Aa')).toBeLessThan(x('Ab'));
  });

  test('no feature is refused', () => {
    expect(() => forest({ ...base, features: [], edges: [] })).toThrow('at least one feature');
  });
});

/**
 * A world's features as text: trees in box-drawing characters, then features on their own.
 * @module
 */
import type { ParentStatistics, World } from './world.ts';

/** One line for each feature: its name, P(on), and P(on | parent) or how its children go together. */
export function forestLines({ features, edges, statistics }: World): string[] {
  const below = new Map(statistics.parents.map((family) => [family.parent, family]));
  const children = new Set(edges.map(({ child }) => child));
  const lines: string[] = [];

  function draw(feature: number, head: string, indent: string, given: number | null): void {
    const family = below.get(feature);
    const facts = [
      `P ${three(statistics.marginals[feature])}`,
      ...(given === null ? [] : [`given parent ${three(given)}`]),
      ...(family && excludeEachOther(family) ? ['children exclude each other'] : []),
      ...(family ? [`no child ${three(family.noChild)}`] : []),
    ];
    lines.push(`${head}${features[feature]}  ${facts.join(', ')}`);
    family?.children.forEach((child, c) => {
      const last = c === family.children.length - 1;
      draw(
        child,
        `${indent}${last ? '└─ ' : '├─ '}`,
        `${indent}${last ? '   ' : '│  '}`,
        family.givenParent[c],
      );
    });
  }

  const roots = [...features.keys()].filter((f) => !children.has(f));
  const trees = roots.filter((f) => below.has(f));
  for (const f of [...trees, ...roots.filter((root) => !below.has(root))]) draw(f, '', '', null);
  return lines;
}

/** True of two or more children of which never two are on: none, or exactly one. */
export function excludeEachOther({ givenParent, noChild }: ParentStatistics): boolean {
  const oneOrNone = givenParent.reduce((sum, p) => sum + p, noChild);
  return givenParent.length > 1 && Math.abs(oneOrNone - 1) < 1e-9;
}

const three = (p: number): string => String(Number(p.toPrecision(3)));

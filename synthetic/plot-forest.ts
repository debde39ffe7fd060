/**
 * A world's features as trees from left to right: a dot per feature, its area the probability, and the lines along
 * which a child depends on its parent. Large forests are cut and say by how much.
 * @module
 */
import * as Plot from '@observablehq/plot';
import { formatNumber } from './page.ts';
import { draw, frame, linesAt, textAt, textWidth, titleBlock, wrapText } from './plot-frame.ts';

export interface Forest {
  readonly title: string;
  readonly alt: string;
  readonly features: readonly { readonly label: string; readonly probability: number }[];
  readonly edges: readonly { readonly parent: number; readonly child: number }[];
  /** Features whose children exclude one another. */
  readonly exclusive: readonly number[];
  /** P(child on | parent on), for hover text; left out where it is not known. */
  readonly given?: (child: number) => number | null;
  /** Rows drawn at most, over all columns; 36 if left out. */
  readonly rows?: number;
}

/** A feature with the children that are drawn. */
interface Node {
  readonly feature: number;
  readonly children: readonly Node[];
  readonly cutChildren: number;
}

interface Placed {
  readonly feature: number;
  readonly x: number;
  readonly y: number;
  readonly text: string;
  readonly children: readonly Placed[];
}

const ROW = 21;
const GAP = 8;
const WIDTH = 720;
const LABEL_LIMIT = 130;
const LARGEST = 9;

/** @throws {@link RangeError} if there is no feature or `alt` is empty. */
export function forest(input: Forest): string {
  const { features } = input;
  if (features.length === 0) throw new RangeError('forest: expected at least one feature, got 0');
  const trees = cutTrees(input);
  const label = (node: Node): string => labelOf(input, node);
  const all = trees.flatMap(nodesOf);
  const labelWidth = Math.ceil(
    Math.min(LABEL_LIMIT, Math.max(...all.map((node) => textWidth(label(node))))),
  );
  const step = labelWidth + 2 * LARGEST + 22;
  const depth = Math.max(...trees.map(depthOf));
  const columnWidth = depth * step + 16;
  const rows = trees.reduce((sum, tree) => sum + rowsOf(tree), 0);
  const columns = Math.max(
    1,
    Math.min(Math.floor(WIDTH / columnWidth), Math.ceil(rows / 8), trees.length),
  );

  const heading = titleBlock(input.title, Math.max(columns * columnWidth, 320));
  const keyTop = heading.height + 10;
  const top = keyTop + 24;
  const { placed, height: drawn } = place(trees, columns, columnWidth, step, top, label);
  const width = Math.max(columns * columnWidth, 320);
  const left = trees.length === 0 ? 0 : features.length - all.length;
  const more = left === 0 ? '' : `and ${left} more features, not drawn`;
  const height = top + drawn + (more === '' ? 6 : 28);

  const dots = placed.flatMap(flat);
  const likeliest = Math.max(...features.map(({ probability }) => probability));
  const drawing = draw({
    width,
    height,
    margin: 0,
    x: { domain: [0, width], axis: null },
    y: { domain: [0, height], range: [0, height], axis: null },
    r: { type: 'identity' },
    marks: [
      Plot.dot(dots, {
        x: 'x',
        y: 'y',
        r: ({ feature }: Placed) => radius(features[feature].probability / likeliest),
        fill: 'currentColor',
        title: ({ feature }: Placed) => hoverText(input, feature),
      }),
    ],
  });
  const exclusive = new Set(input.exclusive);
  const furniture =
    heading.markup +
    key(keyTop, exclusive.size > 0, input.edges.length > 0) +
    dots.map((node) => branches(node, exclusive.has(node.feature))).join('') +
    dots
      .map(({ x, y, text, feature }) => {
        const [shown] = wrapText(text, labelWidth, 12, 1);
        return textAt(x + LARGEST + 5, y, shown, { title: hoverText(input, feature) });
      })
      .join('') +
    linesAt(2, height - 12, more === '' ? [] : [more], { size: 11 });
  return frame('forest', drawing, { alt: input.alt, width, height, furniture });
}

/** Trees with children first, then features of their own, until the rows are used up. */
function cutTrees({ features, edges, rows = 36 }: Forest): Node[] {
  const children = new Map<number, number[]>();
  for (const { parent, child } of edges) {
    children.set(parent, [...(children.get(parent) ?? []), child]);
  }
  const isChild = new Set(edges.map(({ child }) => child));
  const roots = [...features.keys()].filter((feature) => !isChild.has(feature));
  let left = rows;
  const grow = (feature: number): Node => {
    const own = children.get(feature) ?? [];
    const kept: Node[] = [];
    for (const [i, child] of own.entries()) {
      if (i > 0 && left <= 0) break;
      if (i > 0) left--;
      kept.push(grow(child));
    }
    return { feature, children: kept, cutChildren: own.length - kept.length };
  };
  const leaves = (feature: number): number =>
    children.get(feature)?.reduce((sum, child) => sum + leaves(child), 0) ?? 1;
  const trees: Node[] = [];
  for (const root of [
    ...roots.filter((feature) => children.has(feature)),
    ...roots.filter((feature) => !children.has(feature)),
  ]) {
    // A tree is drawn whole or not at all, but the first even if it must be cut.
    if (trees.length > 0 && leaves(root) > left) break;
    left--;
    trees.push(grow(root));
  }
  return trees;
}

function labelOf({ features }: Forest, { feature, cutChildren }: Node): string {
  const { label, probability } = features[feature];
  const cut = cutChildren === 0 ? '' : ` (+${cutChildren})`;
  return `${label} · ${formatNumber(Number(probability.toPrecision(3)))}${cut}`;
}

function nodesOf(node: Node): Node[] {
  return [node, ...node.children.flatMap(nodesOf)];
}

function rowsOf({ children }: Node): number {
  return children.length === 0 ? 1 : children.reduce((sum, child) => sum + rowsOf(child), 0);
}

function depthOf({ children }: Node): number {
  return 1 + Math.max(0, ...children.map(depthOf));
}

/** Trees in columns of about equal height, never one tree in two columns. */
function place(
  trees: readonly Node[],
  columns: number,
  columnWidth: number,
  step: number,
  top: number,
  label: (node: Node) => string,
): { placed: Placed[]; height: number } {
  const total = trees.reduce((sum, tree) => sum + rowsOf(tree) * ROW + GAP, 0);
  let column = 0;
  let y = 0;
  let height = 0;
  let done = 0;
  const placed = trees.map((tree) => {
    const own = rowsOf(tree) * ROW + (tree.children.length > 0 ? GAP : 0);
    if (column < columns - 1 && y > 0 && done + own / 2 > (total * (column + 1)) / columns) {
      column++;
      y = 0;
    }
    const at = placeTree(tree, column * columnWidth + LARGEST + 2, top + y, step, label);
    y += own;
    done += rowsOf(tree) * ROW + GAP;
    height = Math.max(height, y);
    return at;
  });
  return { placed, height };
}

function placeTree(
  node: Node,
  x: number,
  top: number,
  step: number,
  label: (node: Node) => string,
): Placed {
  let y = top;
  const children = node.children.map((child) => {
    const at = placeTree(child, x + step, y, step, label);
    y += rowsOf(child) * ROW;
    return at;
  });
  const middle =
    children.length === 0 ? top + ROW / 2 : (children[0].y + children[children.length - 1].y) / 2;
  return { feature: node.feature, x, y: middle, text: label(node), children };
}

function flat(node: Placed): Placed[] {
  return [node, ...node.children.flatMap(flat)];
}

/** Area in proportion to the share of the likeliest feature's probability; never too small to point at. */
function radius(share: number): number {
  return Math.max(2, LARGEST * Math.sqrt(share || 0));
}

/** From beside the parent's label to its children; a thick stem where they exclude one another. */
function branches({ x, y, text, children }: Placed, exclusive: boolean): string {
  if (children.length === 0) return '';
  const stem = children[0].x - LARGEST - 12;
  const first = children[0].y;
  const last = children[children.length - 1].y;
  const arms = children.map((child) => `M${stem},${child.y}H${child.x - LARGEST - 2}`).join('');
  const thin = 'fill="none" stroke="currentColor" stroke-opacity="0.45"';
  return (
    `<path d="M${Math.min(x + LARGEST + 9 + textWidth(text), stem - 6)},${y}H${stem}${arms}" ${thin}/>` +
    `<path d="M${stem},${first - 4}V${last + 4}" ${exclusive ? STEM : thin}/>`
  );
}

const STEM = 'fill="none" stroke="currentColor" stroke-width="4"';

function key(y: number, exclusive: boolean, edges: boolean): string {
  const dot = `<circle cx="8" cy="${y}" r="${radius(0.4)}"/>`;
  const area = textAt(20, y, edges ? 'area: P(on); lines: on only with its parent' : 'area: P(on)');
  if (!exclusive) return dot + area;
  const x = 34 + textWidth('area: P(on); lines: on only with its parent');
  return (
    dot +
    area +
    `<path d="M${x},${y - 8}v16" ${STEM}/>` +
    textAt(x + 10, y, 'at most one at a time')
  );
}

function hoverText({ features, given }: Forest, feature: number): string {
  const { label, probability } = features[feature];
  const conditional = given?.(feature) ?? null;
  return (
    `${label}: P = ${formatNumber(probability)}` +
    (conditional === null ? '' : `, ${formatNumber(conditional)} given its parent`)
  );
}

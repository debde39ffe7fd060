/**
 * RAVEL: can one attribute be changed and another left alone? An attribute is a group of siblings of which at most one
 * is on, its value the one that is. What the latents of one attribute write in a base row is replaced by what they write
 * in a source row in which both attributes have other values. Cause: probes now read the source's value of that
 * attribute. Isolation: they still read the base's value of the other.
 *
 * Definition: SAEBench 0.6.0, ravel/README.md, with siblings for attributes, their features' probes for the classifier,
 * and each value's strongest latents for the learned mask. As there, the SAE's error is left out: what probes read is
 * the reconstruction.
 *
 * Absorption does not show: a child's latent that writes its parent too is exchanged for another that does.
 * @module
 */
import { dot, row, type Matrix } from '../../reference/matrix.ts';
import { columnsOf, type SparseRows } from '../sparse-rows.ts';
import type { Edge } from '../worlds/world.ts';
import type { Code } from './code.ts';
import {
  latentEffects,
  strongestLatents,
  type ConceptProbe,
  type ReadProbes,
} from './concept-probe.ts';
import { meanDefined } from './mean.ts';

/** Latents moved for each value of an attribute. */
export const RAVEL_LATENTS = 1;
/** Two attributes need as many rows that have both and trained none of their probes. */
export const FEWEST_RAVEL_ROWS = 10;
/** Groups that are judged, those of the first parents: every two of them of different trees. */
const GROUPS = 10;
/** Rows of two attributes, at most: each is a base with every other as its source. */
const ROWS = 256;

/** A group of siblings, by the places of their probes. */
interface Attribute {
  readonly root: number;
  readonly probes: readonly number[];
  /** Place in `probes` of the value of each row: (samples), -1 where none is on. */
  readonly value: Int32Array;
}

/**
 * Mean over pairs of attributes of (cause + isolation of the one + cause + isolation of the other) / 4.
 * @param reconstruction - (samples, d_in).
 * @param features - (samples, features).
 * @returns in [0, 1]; null without two groups of at least two probed siblings, in different trees, that are on together
 *   in {@link FEWEST_RAVEL_ROWS} rows and there vary. Siblings that are on together in some row are no group.
 */
export function ravel(
  code: Code,
  reconstruction: Matrix,
  features: SparseRows,
  edges: readonly Edge[],
  { probes, reads }: ReadProbes,
): number | null {
  const attributes = attributesOf(features, edges, probes);
  const scores: (number | null)[] = [];
  for (let second = 1; second < attributes.length; second++) {
    for (let first = 0; first < second; first++) {
      const pair = [attributes[first], attributes[second]];
      if (pair[0].root === pair[1].root) continue;
      const rows = rowsOfBoth(pair, probes);
      if (rows.length < FEWEST_RAVEL_ROWS) continue;
      const judged = pair.flatMap((attribute) => attribute.probes);
      const clean = tableOf(judged, rows, (p, n) => {
        const { intercept, weights } = probes[p];
        return intercept + dot(weights, row(reconstruction, n));
      });
      const [ofFirst, ofSecond] = pair.map((moved, i) => {
        const latents = new Set(
          moved.probes.flatMap((p) =>
            strongestLatents(latentEffects(code, probes[p], reads[p]), RAVEL_LATENTS),
          ),
        );
        const written = tableOf(judged, rows, (p, n) =>
          writtenIn(code.latents, n, latents, reads[p]),
        );
        return exchange(rows, moved, pair[1 - i], clean, written);
      });
      scores.push(meanDefined([ofFirst, ofSecond]));
    }
  }
  return meanDefined(scores);
}

/** A figure for each of some probes in each of some rows: by place of the probe, then of the row. */
type Table = ReadonlyMap<number, readonly number[]>;

function tableOf(
  probes: readonly number[],
  rows: readonly number[],
  figure: (p: number, n: number) => number,
): Table {
  return new Map(probes.map((p) => [p, rows.map((n) => figure(p, n))]));
}

/** Groups of at least two probed siblings that are never on together, in order of the parent. */
function attributesOf(
  features: SparseRows,
  edges: readonly Edge[],
  probes: readonly ConceptProbe[],
): Attribute[] {
  const parentOf = new Map(edges.map(({ parent, child }) => [child, parent]));
  const rootOf = (feature: number): number => {
    const parent = parentOf.get(feature);
    return parent === undefined ? feature : rootOf(parent);
  };
  const byFeature = columnsOf(features);
  const placeOf = new Map(probes.map(({ task }, place) => [task.feature, place]));
  const parents = [...new Set(edges.map(({ parent }) => parent))].sort((a, b) => a - b);
  const attributes: Attribute[] = [];
  for (const parent of parents) {
    const children = edges.filter((edge) => edge.parent === parent).map(({ child }) => child);
    const own = children.filter((child) => placeOf.has(child));
    if (own.length < 2 || attributes.length === GROUPS) continue;
    const value = new Int32Array(features.rows).fill(-1);
    let exclusive = true;
    own.forEach((child, place) => {
      for (let i = byFeature.start[child]; i < byFeature.start[child + 1]; i++) {
        if (value[byFeature.index[i]] >= 0) exclusive = false;
        value[byFeature.index[i]] = place;
      }
    });
    if (!exclusive) continue;
    attributes.push({
      root: rootOf(parent),
      probes: own.map((child) => placeOf.get(child)!),
      value,
    });
  }
  return attributes;
}

/** Rows with a value of every attribute that trained none of their probes. */
function rowsOfBoth(attributes: readonly Attribute[], probes: readonly ConceptProbe[]): number[] {
  const trained = new Set(
    attributes.flatMap((attribute) => attribute.probes.flatMap((p) => [...probes[p].task.train])),
  );
  const rows: number[] = [];
  for (let n = 0; n < attributes[0].value.length && rows.length < ROWS; n++) {
    if (attributes.every(({ value }) => value[n] >= 0) && !trained.has(n)) rows.push(n);
  }
  return rows;
}

/** What these latents add in row n to what a probe reads. */
function writtenIn(
  latents: SparseRows,
  n: number,
  which: ReadonlySet<number>,
  reads: Float64Array,
): number {
  let sum = 0;
  for (let e = latents.start[n]; e < latents.start[n + 1]; e++) {
    const l = latents.index[e];
    if (which.has(l)) sum += latents.value[e] * reads[l];
  }
  return sum;
}

/**
 * (cause + isolation) / 2 over all bases and sources that differ in both attributes; null if there are none.
 * @param clean - what probes read of each row's reconstruction.
 * @param written - what the moved attribute's latents add to it.
 */
function exchange(
  rows: readonly number[],
  moved: Attribute,
  kept: Attribute,
  clean: Table,
  written: Table,
): number | null {
  let pairs = 0;
  let caused = 0;
  let isolated = 0;
  for (let base = 0; base < rows.length; base++) {
    for (let source = 0; source < rows.length; source++) {
      const [n, m] = [rows[base], rows[source]];
      if (moved.value[n] === moved.value[m] || kept.value[n] === kept.value[m]) continue;
      pairs++;
      const read = (p: number): number =>
        clean.get(p)![base] - written.get(p)![base] + written.get(p)![source];
      if (highest(moved.probes, read) === moved.value[m]) caused++;
      if (highest(kept.probes, read) === kept.value[n]) isolated++;
    }
  }
  return pairs === 0 ? null : (caused + isolated) / (2 * pairs);
}

/** Place of the probe that reads most, the first of equals. */
function highest(probes: readonly number[], read: (probe: number) => number): number {
  let best = 0;
  let most = -Infinity;
  probes.forEach((p, place) => {
    const value = read(p);
    if (value > most) [best, most] = [place, value];
  });
  return best;
}

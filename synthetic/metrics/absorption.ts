/**
 * Absorption: a parent feature is on, its own latent is silent, and another latent stands in for it.
 *
 * SAEBench's definition (0.6.0, absorption/feature_absorption_calculator.py) with its probe replaced by the truth: the
 * probe's direction by the parent's true direction, its value by the parent's true contribution to x, its test inputs
 * by the samples where the parent is on. The parent's main latent is its partner in the one-to-one matching; SAEBench's
 * own choice of them, several for a split feature, is the option `main: 'probe'`.
 * An undertrained SAE scores falsely low, since nothing absorbs where nothing fires: read the main latent's recall
 * beside every number here.
 * @module
 */
import type { Matrix } from '../../reference/matrix.ts';
import { norm, row } from '../../reference/matrix.ts';
import { columnCounts, columnsOf, valueAt, type SparseRows } from '../sparse-rows.ts';
import type { Edge, World } from '../worlds/world.ts';
import type { Code } from './code.ts';
import type { Matching } from './mcc.ts';
import { mainLatents, meanSize, trainingRows } from './main-latents.ts';
import { mean, meanDefined } from './mean.ts';

/** SAEBench's constants as its code has them; its paper prints others for the fraction. */
export interface AbsorptionLimits {
  /** The main latent is silent below this. */
  readonly silent: number;
  /** Least cosine of the one absorber of a full absorption. */
  readonly fullCosine: number;
  /** Least cosine of an absorber counted in the fraction. */
  readonly partCosine: number;
  /** Least share of the parent's contribution that absorbers must supply. */
  readonly share: number;
  /** Absorbers counted in the fraction, at most. */
  readonly absorbers: number;
  /** A rate over fewer samples is null. */
  readonly samples: number;
}

export const saebenchLimits: AbsorptionLimits = {
  silent: 1e-8,
  fullCosine: 0.025,
  partCosine: 0.1,
  share: 0.4,
  absorbers: 3,
  samples: 20,
};

export interface AbsorptionOptions {
  /** SAEBench's constants if left out. */
  readonly limits?: AbsorptionLimits;
  /**
   * Whose silence counts. `matched`, the default: the partner in the pairing, judged on all samples. `probe`: the
   * latents that tell the parent best in the first half of the samples, see {@link mainLatents}, judged on the second;
   * all of them must be silent, and their parts add up. A child's latent that absorbs its parent can be one of them:
   * then it counts as a split and no longer as absorption.
   */
  readonly main?: 'matched' | 'probe';
}

/** One parent's figures; null where too few samples, or no latent, leave them undefined. */
export interface ParentAbsorption {
  readonly parent: number;
  /** The main latent, the best of several, or -1: unrepresented, and then every rate is null. */
  readonly latent: number;
  /** Samples with the parent on, among those that judge. */
  readonly samples: number;
  /** Share of those samples with a child on: the ceiling of absorption by children. */
  readonly childRate: number | null;
  /** Full absorption rate, in [0, 1]. */
  readonly full: number | null;
  /** Mean absorption fraction, in [0, 1]. */
  readonly fraction: number | null;
  /** Share of the parent's samples in which the main latent is active. */
  readonly recall: number | null;
  /** Recall without any child minus recall with the child, mean over children: 1 is full absorption, 0 none. */
  readonly cleanGap: number | null;
  /** Recall without the child minus recall with it, siblings ignored, mean over children. */
  readonly edgeGap: number | null;
  /** The main latent is active in no sample: gaps of 0 then mean nothing. */
  readonly mainDead: boolean;
}

/** Means over parents, each null if no parent has a value. */
export interface Absorption {
  readonly full: number | null;
  readonly fraction: number | null;
  readonly recall: number | null;
  readonly cleanGap: number | null;
  /** Mean over edges. */
  readonly edgeGap: number | null;
  /** Mean number of main latents of those that have any: 1 where they are matched. */
  readonly splits: number | null;
  /** Main latents of each of `parents`, the best first; none where it is unrepresented. */
  readonly mains: readonly (readonly number[])[];
  /** Parents without a latent: counted here, never as absorbed. */
  readonly unrepresented: number;
  readonly parents: readonly ParentAbsorption[];
}

/**
 * @param features - A, (samples, features), on where > 0.
 * @param world - directions G, (features, d_in), and edges; parents are their own set.
 * @param cosine - (d_sae, features), of decoder rows with directions.
 * @throws {@link RangeError} if the numbers of samples differ.
 */
export function absorption(
  code: Code,
  features: SparseRows,
  { directions, edges }: Pick<World, 'directions' | 'edges'>,
  cosine: Matrix,
  matching: Matching,
  { limits = saebenchLimits, main = 'matched' }: AbsorptionOptions = {},
): Absorption {
  if (code.latents.rows !== features.rows) {
    throw new RangeError(
      `absorption: expected as many rows of features as of latents, got ${features.rows} and ${code.latents.rows}`,
    );
  }
  const childrenOf = new Map<number, number[]>();
  for (const { parent, child } of edges) {
    childrenOf.set(parent, [...(childrenOf.get(parent) ?? []), child]);
  }
  const byFeature = columnsOf(features);
  const active = columnCounts(code.latents);
  const order = [...childrenOf.keys()].sort((a, b) => a - b);
  const mains =
    main === 'probe'
      ? mainLatents(code.latents, features, order)
      : order.map((parent) => [matching.latentOf[parent]].filter((latent) => latent >= 0));
  const firstJudged = main === 'probe' ? trainingRows(features.rows) : 0;
  const judged = order.map((parent, i) => {
    const on = byFeature.index.subarray(byFeature.start[parent], byFeature.start[parent + 1]);
    const subject: Subject = {
      parent,
      mains: mains[i],
      children: childrenOf.get(parent) ?? [],
      samples: firstJudged === 0 ? on : on.filter((n) => n >= firstJudged),
      length: norm(row(directions, parent)),
      cosineToParent: Float64Array.from(
        { length: cosine.rows },
        (_, l) => cosine.data[l * cosine.cols + parent],
      ),
      mainDead: mains[i].length > 0 && mains[i].every((latent) => active[latent] === 0),
    };
    return judgeParent(code.latents, features, subject, limits);
  });
  const parents = judged.map(({ figures }) => figures);
  return {
    full: meanDefined(parents.map((p) => p.full)),
    fraction: meanDefined(parents.map((p) => p.fraction)),
    recall: meanDefined(parents.map((p) => p.recall)),
    cleanGap: meanDefined(parents.map((p) => p.cleanGap)),
    edgeGap: meanDefined(judged.flatMap(({ edgeGaps }) => edgeGaps)),
    splits: meanSize(mains),
    mains,
    unrepresented: parents.filter((p) => p.latent < 0).length,
    parents,
  };
}

/** Mean full absorption of parents that have no parent themselves, what published runs on forests report; null if none has a value. */
export function rootAbsorption(
  parents: readonly ParentAbsorption[],
  edges: readonly Edge[],
): number | null {
  const children = new Set(edges.map(({ child }) => child));
  return meanDefined(parents.filter(({ parent }) => !children.has(parent)).map(({ full }) => full));
}

interface Subject {
  readonly parent: number;
  readonly mains: readonly number[];
  readonly children: readonly number[];
  /** Samples with the parent on. */
  readonly samples: Int32Array;
  /** |g_p|. */
  readonly length: number;
  /** (d_sae). */
  readonly cosineToParent: Float64Array;
  readonly mainDead: boolean;
}

interface Judged {
  readonly figures: ParentAbsorption;
  readonly edgeGaps: readonly (number | null)[];
}

function judgeParent(
  latents: SparseRows,
  features: SparseRows,
  subject: Subject,
  limits: AbsorptionLimits,
): Judged {
  const { parent, mains, children } = subject;
  const on = (n: number, feature: number): boolean => valueAt(features, n, feature) > 0;
  const samples = [...subject.samples];
  const withChild = samples.filter((n) => children.some((child) => on(n, child)));
  const enough = samples.length >= limits.samples;
  const childRate = enough ? withChild.length / samples.length : null;
  if (mains.length === 0) {
    return {
      figures: {
        parent,
        latent: -1,
        samples: samples.length,
        childRate,
        full: null,
        fraction: null,
        recall: null,
        cleanGap: null,
        edgeGap: null,
        mainDead: false,
      },
      edgeGaps: children.map(() => null),
    };
  }

  const told = (n: number): boolean => mains.some((latent) => valueAt(latents, n, latent) !== 0);
  const recall = (cell: readonly number[]): number | null =>
    cell.length < limits.samples ? null : cell.filter(told).length / cell.length;
  const childless = recall(samples.filter((n) => !children.some((child) => on(n, child))));
  const given = children.map((child) => recall(samples.filter((n) => on(n, child))));
  const without = children.map((child) => recall(samples.filter((n) => !on(n, child))));
  const edgeGaps = children.map((_, c) => difference(without[c], given[c]));

  // A direction of length 0 adds nothing to x that could be absorbed (SAEBench divides by zero there).
  const verdicts =
    enough && subject.length > 0
      ? samples.map((n) => judgeSample(latents, features, n, subject, limits))
      : [];
  return {
    figures: {
      parent,
      latent: mains[0],
      samples: samples.length,
      childRate,
      full: mean(verdicts.map((v) => (v.full ? 1 : 0))),
      fraction: mean(verdicts.map((v) => v.fraction)),
      recall: recall(samples),
      cleanGap: meanDefined(given.map((recallGiven) => difference(childless, recallGiven))),
      edgeGap: meanDefined(edgeGaps),
      mainDead: subject.mainDead,
    },
    edgeGaps,
  };
}

/** One sample with the parent on. A projection is z_l cos(w_l, g_p), what latent l adds along the parent. */
function judgeSample(
  latents: SparseRows,
  features: SparseRows,
  n: number,
  subject: Subject,
  limits: AbsorptionLimits,
): { full: boolean; fraction: number } {
  const { mains, cosineToParent } = subject;
  const needed = valueAt(features, n, subject.parent) * subject.length;
  let silent = true;
  let mainProjection = 0;
  for (const latent of mains) {
    const value = valueAt(latents, n, latent);
    if (value >= limits.silent) silent = false;
    mainProjection += value * cosineToParent[latent];
  }
  // Only latents that add something along the parent can absorb it.
  const others: { readonly cosine: number; readonly projection: number }[] = [];
  for (let e = latents.start[n]; e < latents.start[n + 1]; e++) {
    const cosine = cosineToParent[latents.index[e]];
    const projection = latents.value[e] * cosine;
    if (projection > 0 && !mains.includes(latents.index[e])) others.push({ cosine, projection });
  }
  others.sort((a, b) => b.projection - a.projection);

  const largest = others[0] ?? { cosine: 0, projection: 0 };
  const full =
    silent &&
    largest.projection > mainProjection &&
    largest.cosine >= limits.fullCosine &&
    largest.projection >= limits.share * needed;

  const absorbers = others
    .filter(({ cosine }) => cosine >= limits.partCosine)
    .slice(0, limits.absorbers);
  const supplied = absorbers.reduce((sum, { projection }) => sum + projection, 0);
  return { full, fraction: fractionOf(mainProjection, supplied, needed, limits.share) };
}

/** Share of the parent's contribution that comes from absorbers, once they supply enough of it. */
function fractionOf(main: number, supplied: number, needed: number, share: number): number {
  if (main >= needed || supplied / needed < share) return 0;
  if (main <= 0) return 1;
  const absorbed = Math.min(supplied, needed - main);
  return Math.min(Math.max(absorbed / (absorbed + main), 0), 1);
}

function difference(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a - b;
}

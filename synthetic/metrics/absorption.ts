/**
 * Absorption: a parent feature is on, its own latent is silent, and another latent stands in for it.
 *
 * SAEBench's definition (0.6.0, absorption/feature_absorption_calculator.py) with its probe replaced by the truth: the
 * probe's direction by the parent's true direction, its value by the parent's true contribution to x, its test inputs
 * by the samples where the parent is on. The parent's main latent is its partner in the one-to-one matching.
 * An undertrained SAE scores falsely low, since nothing absorbs where nothing fires: read the main latent's recall
 * beside every number here.
 * @module
 */
import type { Matrix } from '../../reference/matrix.ts';
import { norm, row } from '../../reference/matrix.ts';
import { columnCounts, columnsOf, valueAt, type SparseRows } from '../sparse-rows.ts';
import type { World } from '../worlds/world.ts';
import type { Code } from './code.ts';
import type { Matching } from './mcc.ts';
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

/** One parent's figures; null where too few samples, or no latent, leave them undefined. */
export interface ParentAbsorption {
  readonly parent: number;
  /** The main latent, or -1: unrepresented, and then every rate is null. */
  readonly latent: number;
  /** Samples with the parent on. */
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
  limits: AbsorptionLimits = saebenchLimits,
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
  const judged = [...childrenOf.keys()]
    .sort((a, b) => a - b)
    .map((parent) => {
      const latent = matching.latentOf[parent];
      const subject: Subject = {
        parent,
        latent,
        children: childrenOf.get(parent) ?? [],
        samples: byFeature.index.subarray(byFeature.start[parent], byFeature.start[parent + 1]),
        length: norm(row(directions, parent)),
        cosineToParent: Float64Array.from(
          { length: cosine.rows },
          (_, l) => cosine.data[l * cosine.cols + parent],
        ),
        mainDead: latent >= 0 && active[latent] === 0,
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
    unrepresented: parents.filter((p) => p.latent < 0).length,
    parents,
  };
}

interface Subject {
  readonly parent: number;
  readonly latent: number;
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
  const { parent, latent, children } = subject;
  const on = (n: number, feature: number): boolean => valueAt(features, n, feature) > 0;
  const samples = [...subject.samples];
  const withChild = samples.filter((n) => children.some((child) => on(n, child)));
  const enough = samples.length >= limits.samples;
  const childRate = enough ? withChild.length / samples.length : null;
  if (latent < 0) {
    return {
      figures: {
        parent,
        latent,
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

  const z = (n: number): number => valueAt(latents, n, latent);
  const recall = (cell: readonly number[]): number | null =>
    cell.length < limits.samples ? null : cell.filter((n) => z(n) !== 0).length / cell.length;
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
      latent,
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
  const { latent, cosineToParent } = subject;
  const needed = valueAt(features, n, subject.parent) * subject.length;
  const main = valueAt(latents, n, latent);
  // Only latents that add something along the parent can absorb it.
  const others: { readonly cosine: number; readonly projection: number }[] = [];
  for (let e = latents.start[n]; e < latents.start[n + 1]; e++) {
    const cosine = cosineToParent[latents.index[e]];
    const projection = latents.value[e] * cosine;
    if (projection > 0 && latents.index[e] !== latent) others.push({ cosine, projection });
  }
  others.sort((a, b) => b.projection - a.projection);

  const mainProjection = main * cosineToParent[latent];
  const largest = others[0] ?? { cosine: 0, projection: 0 };
  const full =
    main < limits.silent &&
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

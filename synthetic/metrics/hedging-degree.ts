/**
 * Hedging degree: how far an SAE's latents move towards what it could not tell before, once it is given latents for it.
 * Train an SAE, then go on twice from there, equally long: as it is (control), and with n latents added (extended). An
 * SAE too narrow for its features mixes what it lacks into what it has; the added latents take it over, and the old
 * rows lose it. What they lose lies in the span of the new rows, more of it than in random directions.
 *
 * The closed-form part of the paper's measure (arXiv 2505.11756; github.com/chanind/feature-hedging-paper,
 * hedging_paper/evals/hedging_eval.py::calculate_hedging_stats). The training before it is the caller's: the figure
 * grows with n and with its length, so only equal ones compare. The common start is in neither formula. Cheaper, and
 * without training: the hedge component in child-leak.ts.
 * @module
 */
import { dot, norm, row, type Matrix } from '../../reference/matrix.ts';
import type { Rng } from '../rng.ts';
import { rowNorms } from './code.ts';
import { mean } from './mean.ts';

/** Random subspaces that tell what chance gives, if not said otherwise. */
export const CHANCE_SUBSPACES = 50;
/** What is left of a vector after projection, as a share of it, below which it adds no dimension. */
const NO_DIMENSION = 1e-9;

export interface HedgingDegree {
  /** max(0, (projected - chance) / (1 - chance)), in [0, ∞), usually below 1; null if chance is 1 or more. */
  readonly degree: number | null;
  /** Mean length of the old rows' change within the span of the new rows, over the mean length of the control's rows. */
  readonly projected: number;
  /** The same within random subspaces of as many dimensions, mean over them. */
  readonly chance: number;
  /** Dimensions of the span: fewer than n where new rows depend on one another. */
  readonly dimensions: number;
}

/**
 * @param control - (d_sae, d_in), its decoder after training on as it is.
 * @param extended - (d_sae + n, d_in), after training on with n latents added behind. Of both decoders only the
 *   directions of rows count, as in the source; a zero row stays zero.
 * @param rng - of the random subspaces: a sub-stream is taken, nothing is drawn.
 * @returns null without latents, without added latents, or where all rows of the control are zero.
 * @throws {@link RangeError} if the widths of rows differ, or `extended` has fewer rows than `control`.
 */
export function hedgingDegree(
  control: Matrix,
  extended: Matrix,
  rng: Rng,
  subspaces: number = CHANCE_SUBSPACES,
): HedgingDegree | null {
  if (control.cols !== extended.cols || extended.rows < control.rows) {
    throw new RangeError(
      `hedgingDegree: expected ${control.rows} or more rows of ${control.cols}, the control's, got ${extended.rows} of ${extended.cols}`,
    );
  }
  if (!Number.isInteger(subspaces) || subspaces < 1) {
    throw new RangeError(
      `hedgingDegree: expected a whole number of subspaces >= 1, got ${subspaces}`,
    );
  }
  const before = unitRows(control);
  const after = unitRows(extended);
  const length = mean(before.map(norm));
  if (length === null || length === 0 || after.length === before.length) return null;

  const changes = before.map((old, l) => old.map((value, i) => after[l][i] - value));
  const within = (basis: readonly Float64Array[]): number =>
    mean(changes.map((change) => Math.hypot(...basis.map((axis) => dot(axis, change)))))! / length;
  const span = orthonormal(after.slice(before.length));
  const projected = within(span);
  const draws = rng.split('hedging degree');
  const chance = mean(
    Array.from({ length: subspaces }, () =>
      within(
        orthonormal(
          span.map(() => Float64Array.from({ length: control.cols }, () => draws.normal())),
        ),
      ),
    ),
  )!;
  return {
    degree: chance < 1 ? Math.max(0, (projected - chance) / (1 - chance)) : null,
    projected,
    chance,
    dimensions: span.length,
  };
}

function unitRows(decoder: Matrix): Float64Array[] {
  const norms = rowNorms(decoder);
  return [...norms].map((length, l) => row(decoder, l).map((value) => value / length));
}

/** An orthonormal basis of what the vectors span (Gram and Schmidt, each vector twice: once leaves rounding behind). */
function orthonormal(vectors: readonly Float64Array[]): Float64Array[] {
  const basis: Float64Array[] = [];
  for (const vector of vectors) {
    let left = vector.slice();
    for (let pass = 0; pass < 2; pass++) {
      for (const axis of basis) {
        const along = dot(axis, left);
        left = left.map((value, i) => value - along * axis[i]);
      }
    }
    const length = norm(left);
    if (length > NO_DIMENSION * norm(vector)) basis.push(left.map((value) => value / length));
  }
  return basis;
}

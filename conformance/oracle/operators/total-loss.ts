/**
 * The whole loss as a function of the parameters: reconstruction of every prefix, auxiliary losses, penalty.
 *
 * Which latents are selected and which dead ones are chosen is taken from the reference and held to the exact scores;
 * everything after it is judged on that choice. A detached residual and the auxiliary loss's factor are constants.
 * @module
 */
import type { LevelAuxk } from '../../../reference/auxk.ts';
import type { Forward } from '../../../reference/gradients.ts';
import type { Matrix } from '../../../reference/matrix.ts';
import type { Refinement } from '../../../reference/refine.ts';
import type { Penalty } from '../../../reference/penalty.ts';
import type { Judge } from '../judge.ts';
import type { Oracle } from '../oracle.ts';
import type { Reference } from '../reference.ts';
import { compare, mul, real, sign, sum, surely, zero, type Real } from '../real.ts';
import {
  difference,
  inner,
  range,
  realMatrix,
  realParams,
  type RealMatrix,
  type RealParams,
} from '../real-matrix.ts';
import { auxkCount, auxkOf, judgeChoice, levelsOf, type RealAuxk } from './auxk.ts';
import { decodePrefix } from './decode.ts';
import { hasZeroRow } from './decoder-norm.ts';
import { positiveParts, preActivations } from './encode.ts';
import { lossCases, type LossCase } from './loss-cases.ts';
import { levelCoefficients, levelErrors, levelLoss, levelWeights } from './loss.ts';
import { penaltyOf, type RealPenalty } from './penalty.ts';
import { refined, type RealRefinement } from './refine.ts';
import { judgeSelection, selectionCount, selectionScores } from './select.ts';

/** What the reference's operators make of a case, one after the other. */
export interface ReferenceForward {
  readonly forward: Forward & { readonly penalty: { penalty: Penalty; coefficient: number } };
  readonly auxk: readonly LevelAuxk[];
  readonly acts: Matrix;
  readonly reconstructions: readonly Matrix[];
  readonly losses: Float64Array;
  readonly coefficients: Float64Array;
  readonly l0: number;
  readonly loss: number;
}

export function referenceForward(given: LossCase, reference: Reference): ReferenceForward {
  const { x, params, k, prefixes, weights, dead, alpha, coefficient, dialect } = given;
  const { encode, select, decode, loss } = reference;
  const latentsOf = (pre: Matrix): Matrix => {
    const acts = encode.relu(pre);
    const scores = select.selectionScores(acts, params.W_dec, dialect);
    return {
      batch: () => select.batchTopK(acts, k, scores),
      row: () => select.topK(acts, k, scores),
      all: () => acts,
      jump: () => reference.jumpRelu.jumpRelu(pre, params.threshold!),
    }[given.selection]();
  };
  const encoded = encode.preActivations(x, params, dialect);
  const refinement =
    dialect.encode.refinement === 0
      ? null
      : reference.refine.refine(encoded, latentsOf(encoded), x, params, dialect);
  const pre = refinement?.pre ?? encoded;
  const acts = encode.relu(pre);
  const latents = latentsOf(pre);
  const reconstructions = decode.decodePrefixes(latents, params, prefixes);
  const errors = loss.levelErrors(x, params.b_dec, reconstructions);
  const losses = loss.levelLosses(errors, dialect.loss.tilt);
  const coefficients = loss.levelCoefficients(weights, x.cols, dialect);
  const auxk = reference.auxk.auxkOfLevels(
    x,
    reconstructions,
    dialect.auxk.values === 'acts' ? acts : pre,
    params.W_dec,
    dead,
    prefixes,
    alpha,
    dialect,
  );
  const countsLatents = params.threshold === undefined || dialect.jumpRelu.counts === 'latents';
  const l0 = countedPerRow(countsLatents ? latents : pre, params.threshold);
  const penalty = reference.penalty.sparsityPenalty(
    latents,
    params.W_dec,
    prefixes,
    l0,
    given.targetL0,
    dialect,
  );
  const total =
    loss.reconstructionLoss(losses, coefficients) +
    alpha * auxk.reduce((terms, term) => terms + term.loss, 0) +
    coefficient * penalty.loss;
  return {
    forward: { x, pre, latents, errors, auxk, refinement, penalty: { penalty, coefficient } },
    auxk,
    acts,
    reconstructions,
    losses,
    coefficients,
    l0,
    loss: total,
  };
}

/** Mean number per row of values above their threshold, or above 0. */
function countedPerRow(values: Matrix, threshold: Float64Array | undefined): number {
  const above = values.data.filter((value, i) => value > (threshold?.[i % values.cols] ?? 0));
  return above.length / values.rows;
}

/** Choices of the forward pass, and what is constant to the gradient. */
export interface Forced {
  /** Where the first latents are their pre-activations, if there is a refinement. */
  readonly first: readonly boolean[] | null;
  /** Where a latent is its pre-activation and not 0 by choice. */
  readonly selected: readonly boolean[];
  /** Where a latent is not 0: of JumpReLU a pre-activation of 0 may be selected, and counts as none to a penalty. */
  readonly present: readonly boolean[];
  /** Where an act is. */
  readonly positive: readonly boolean[];
  readonly l0: number;
  readonly terms: readonly ForcedTerm[];
  /** Of each level, where the loss is tilted: as the parameters of the case make them. */
  readonly rowWeights?: readonly (readonly Real[] | null)[];
}

export interface ForcedTerm {
  readonly level: number;
  readonly dead: Uint8Array;
  readonly chosen: Uint8Array;
  /** Where it is detached: as the parameters of the case leave it. */
  readonly residual?: RealMatrix;
  /** As the parameters of the case make it. */
  readonly factor?: Real;
  /** Whether it decodes anything, as the parameters of the case do. */
  readonly decodes?: boolean;
}

export interface RealForward {
  readonly x: RealMatrix;
  /** Before a refinement. */
  readonly encoded: RealMatrix;
  readonly refinement: RealRefinement | null;
  readonly pre: RealMatrix;
  readonly latents: RealMatrix;
  readonly levels: readonly RealMatrix[];
  /** E_0..E_G. */
  readonly errors: readonly RealMatrix[];
  readonly rowWeights: readonly (readonly Real[] | null)[];
  readonly losses: readonly Real[];
  readonly coefficients: readonly Real[];
  readonly auxk: readonly (RealAuxk & { readonly level: number })[];
  readonly penalty: RealPenalty;
  readonly loss: Real;
}

/** @throws {@link Unbounded} where an auxiliary loss has no value. */
export function exactForward(given: LossCase, params: RealParams, forced: Forced): RealForward {
  const { prefixes, alpha, dialect } = given;
  const x = realMatrix(given.x);
  const encoded = preActivations(x, params, dialect);
  const masked = (values: RealMatrix, mask: readonly boolean[]): RealMatrix => ({
    ...values,
    data: values.data.map((value, i) => (mask[i] ? value : zero)),
  });
  const refinement =
    forced.first && refined(encoded, masked(encoded, forced.first), x, params, dialect);
  const pre = refinement?.pre ?? encoded;
  const latents = masked(pre, forced.present);
  const levels = [0, ...prefixes].map((width) => decodePrefix(latents, params, width));
  const errors = levelErrors(x, levels);
  const rowWeights = forced.rowWeights ?? errors.map((error) => levelWeights(error, dialect));
  const losses = errors.map((error, g) => levelLoss(error, rowWeights[g]));
  const coefficients = levelCoefficients(given.weights, x.cols, dialect);
  const values = dialect.auxk.values === 'acts' ? masked(pre, forced.positive) : pre;
  const auxk = forced.terms.map((term) => {
    const residual = term.residual ?? difference(x, levels[term.level]);
    const exact = auxkOf({ ...term, residual, values, W_dec: params.W_dec, alpha }, dialect);
    return { ...surely(exact), level: term.level };
  });
  const penalty = penaltyOf(
    latents,
    params.W_dec,
    prefixes,
    real(forced.l0),
    given.targetL0,
    dialect,
  );
  const loss = sum([
    inner(coefficients, losses),
    mul(real(alpha), sum(auxk.map((term) => term.loss))),
    mul(real(given.coefficient), penalty.loss),
  ]);
  return {
    x,
    encoded,
    refinement,
    pre,
    latents,
    levels,
    errors,
    rowWeights,
    losses,
    coefficients,
    auxk,
    penalty,
    loss,
  };
}

/**
 * The reference's forward pass and the exact one on its choices, each choice held to the exact scores.
 * @returns null where the loss has no value, after the reference has been seen to refuse.
 */
export function judgedForward(
  given: LossCase,
  reference: Reference,
  judge: Judge,
): { readonly got: ReferenceForward; readonly forced: Forced; readonly exact: RealForward } | null {
  const { params, dialect, prefixes, dead } = given;
  const exactParams = realParams(params);
  const rescales = dialect.select.score === 'acts-times-decoder-norm';
  if (rescales && hasZeroRow(exactParams.W_dec)) {
    judge.refused('a zero row', () => referenceForward(given, reference));
    return null;
  }
  const fitted = levelsOf(prefixes, dead, dialect).some((term) => term.dead.includes(1));
  if (fitted && dialect.auxk.scale === 'dead-fraction' && given.x.cols === 1) {
    // Nothing is divided where nothing decodes; which it is depends on the choice.
    if (dialect.auxk.whenNothingDecodes === 'is-zero') surely(null);
    judge.refused('half a dimension', () => referenceForward(given, reference));
    return null;
  }
  const got = referenceForwardOrNull(given, reference);
  // The only refusal left is of a residual without variance, and whether it has any is not sure in its own error.
  const forced = forcedBy(given, { ...surely(got), ...surely(got).forward });
  const exact = exactForward(given, exactParams, forced);
  judgeChoices(given, exact, forced, judge);
  return { got: surely(got), forced, exact };
}

/** The choices that a forward pass shows. */
export function forcedBy(
  { params, selection, prefixes, dead, dialect }: LossCase,
  shown: {
    readonly pre: Matrix;
    readonly acts: Matrix;
    readonly latents: Matrix;
    readonly l0: number;
    readonly auxk: readonly LevelAuxk[];
    readonly refinement?: Refinement | null;
  },
): Forced {
  const { pre, latents } = shown;
  const { refinement = null } = shown;
  return {
    first: refinement && [...refinement.first.data].map((latent) => latent !== 0),
    present: [...latents.data].map((latent) => latent !== 0),
    // A pre-activation of 0 passes a threshold below 0, and its latent does not show it.
    selected: [...latents.data].map((latent, i) =>
      selection === 'jump' ? pre.data[i] > params.threshold![i % pre.cols] : latent !== 0,
    ),
    positive: [...shown.acts.data].map((act) => act > 0),
    l0: shown.l0,
    terms: levelsOf(prefixes, dead, dialect).map((term, place) => ({
      ...term,
      chosen: shown.auxk[place].chosen,
    })),
  };
}

function referenceForwardOrNull(given: LossCase, reference: Reference): ReferenceForward | null {
  try {
    return referenceForward(given, reference);
  } catch (error) {
    if (error instanceof RangeError && error.message.includes('no variance')) return null;
    throw error;
  }
}

/** Holds every choice to the exact scores. */
export function judgeChoices(
  given: LossCase,
  exact: RealForward,
  forced: Forced,
  judge: Judge,
): void {
  const { selection, k, params, dialect } = given;
  const { pre } = exact;
  const acts = positiveParts(pre);
  forced.positive.forEach((positive, i) => {
    const expected = sign(pre.data[i]);
    if (expected === null) judge.open();
    else judge.same(`act ${i} is positive`, positive, expected === 1);
  });
  const W_dec = realMatrix(params.W_dec);
  const judgeTop = (mask: readonly boolean[], { data }: RealMatrix): void => {
    if (selection === 'batch') {
      judgeSelection('batch', judge, mask, data, selectionCount(k, pre.rows));
    } else {
      range(pre.rows).forEach((b) => {
        const [start, end] = [b * pre.cols, (b + 1) * pre.cols];
        judgeSelection('row', judge, mask.slice(start, end), data.slice(start, end), k);
      });
    }
  };
  const ranks = selection === 'batch' || selection === 'row';
  const first = positiveParts(exact.encoded);
  forced.first?.forEach((selected, i) => {
    const expected = sign(exact.encoded.data[i]);
    if (expected === null) judge.open();
    else if (selected || !ranks) judge.same(`first act ${i}`, selected, expected === 1);
  });
  if (ranks && forced.first !== null) {
    judgeTop(forced.first, selectionScores(first, W_dec, dialect));
  }
  if (ranks) {
    judgeTop(forced.selected, selectionScores(acts, W_dec, dialect));
  } else if (selection === 'jump') {
    forced.selected.forEach((selected, i) => {
      const order = compare(pre.data[i], real(params.threshold![i % pre.cols]));
      if (order === null) judge.open();
      else judge.same(`latent ${i} passes`, selected, order === 1);
      if (!selected || forced.present[i]) return;
      judge.same(`latent ${i} may be 0`, Math.abs(pre.data[i].approx) <= pre.data[i].error, true);
      judge.open();
    });
  }
  const values = dialect.auxk.values === 'acts' ? acts : pre;
  const ranked = selectionScores(values, W_dec, dialect);
  for (const { dead, chosen } of forced.terms) {
    judgeChoice(judge, chosen, ranked, dead, auxkCount(dead, given.x.cols, dialect));
  }
}

export const totalLoss: Oracle<LossCase> = {
  name: 'total loss',
  holds: [],
  cases: lossCases,
  check(given, reference, judge) {
    const judged = judgedForward(given, reference, judge);
    if (judged === null) return;
    const { got, exact } = judged;
    judge.allNear('latents', got.forward.latents, exact.latents);
    got.reconstructions.forEach((level, g) =>
      judge.allNear(`x̂_${g + 1}`, level, exact.levels[g + 1]),
    );
    judge.allNear('L', got.losses, exact.losses);
    exact.auxk.forEach((term, i) => judge.near(`auxk_${i}`, got.auxk[i].loss, term.loss));
    judge.near('penalty', got.forward.penalty.penalty.loss, exact.penalty.loss);
    judge.near('total', got.loss, exact.loss);
  },
};

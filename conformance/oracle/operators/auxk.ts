/**
 * The auxiliary loss: what chosen dead latents leave of a residual, mean over rows of ‖ê - e‖² times a constant.
 * @module
 */
import fc from 'fast-check';
import type { Dialect } from '../../../reference/dialect.ts';
import type { Matrix } from '../../../reference/matrix.ts';
import { actsOf, dialect, flags, matrixOf, positiveValues, prefixesOf, sizes } from '../cases.ts';
import type { Judge } from '../judge.ts';
import type { Oracle } from '../oracle.ts';
import {
  compare,
  div,
  min,
  mul,
  one,
  real,
  sign,
  sub,
  sum,
  surely,
  zero,
  type Real,
} from '../real.ts';
import {
  at,
  build,
  columnOf,
  difference,
  inner,
  meanSquaredLength,
  range,
  realMatrix,
  rowOf,
  type RealMatrix,
} from '../real-matrix.ts';
import { hasZeroRow } from './decoder-norm.ts';
import { selectionScores } from './select.ts';

export interface RealAuxk {
  readonly loss: Real;
  readonly latents: RealMatrix;
  /** Of alpha · loss at ê. */
  readonly gradient: RealMatrix;
}

/** floor(d_in / 2) or a number, but no more than there are dead latents. */
export function auxkCount(dead: Uint8Array, d_in: number, { auxk }: Dialect): number {
  const limit = auxk.k === 'half-d_in' ? Math.floor(d_in / 2) : auxk.k;
  return Math.min(limit, countDead(dead));
}

/** What the mean squared error is multiplied by, a constant to the gradient; null where it is divided by 0. */
export function auxkFactor(residual: RealMatrix, dead: Uint8Array, { auxk }: Dialect): Real | null {
  let factor = auxk.overDimensions === 'mean' ? div(one, real(residual.cols)) : one;
  const half = Math.floor(residual.cols / 2);
  if (auxk.scale === 'dead-fraction') {
    if (half === 0) return null;
    factor = mul(factor, min(div(real(countDead(dead)), real(half)), one));
  }
  if (auxk.normaliser === 'none') return factor;
  const rows = real(residual.rows);
  const means = range(residual.cols).map((i) => div(sum(columnOf(residual, i)), rows));
  const centred = build(residual.rows, residual.cols, (b, i) => sub(at(residual, b, i), means[i]));
  const variance = meanSquaredLength(centred);
  return surely(sign(variance)) === 0 ? null : div(factor, variance);
}

/** ê: the chosen values decoded, without b_dec. */
export function decodeDead(latents: RealMatrix, W_dec: RealMatrix): RealMatrix {
  return build(latents.rows, W_dec.cols, (b, i) => inner(rowOf(latents, b), columnOf(W_dec, i)));
}

/** What an auxiliary loss is computed from, its choice made. */
export interface AuxkTerm {
  /** e, (rows, d_in). */
  readonly residual: RealMatrix;
  /** Acts or pre-activations, (rows, d_sae). */
  readonly values: RealMatrix;
  readonly W_dec: RealMatrix;
  readonly dead: Uint8Array;
  /** 1 where chosen, (rows · d_sae). */
  readonly chosen: Uint8Array;
  readonly alpha: number;
  /** What the squared error is multiplied by, where it is a constant of other parameters. */
  readonly factor?: Real;
  /** Whether ê counts as something, where that is decided already. */
  readonly decodes?: boolean;
}

/** Whether ê is surely 0, or surely not. */
export function decodesNothing(latents: RealMatrix, W_dec: RealMatrix): boolean {
  return decodeDead(latents, W_dec).data.every((value) => surely(sign(value)) === 0);
}

/** null where the loss has no value. */
export function auxkOf(term: AuxkTerm, dialect: Dialect): RealAuxk | null {
  const { residual, values, W_dec, dead, chosen, alpha } = term;
  const latents = { ...values, data: values.data.map((v, i) => (chosen[i] === 1 ? v : zero)) };
  const isNothing =
    dialect.auxk.whenNothingDecodes === 'is-zero' &&
    !(term.decodes ?? !decodesNothing(latents, W_dec));
  if (countDead(dead) === 0 || isNothing) {
    return { loss: zero, latents, gradient: { ...residual, data: residual.data.map(() => zero) } };
  }
  const factor = term.factor ?? auxkFactor(residual, dead, dialect);
  if (factor === null) return null;
  const miss = difference(decodeDead(latents, W_dec), residual);
  const slope = div(mul(mul(real(2), real(alpha)), factor), real(residual.rows));
  return {
    loss: mul(factor, meanSquaredLength(miss)),
    latents,
    gradient: { ...miss, data: miss.data.map((value) => mul(value, slope)) },
  };
}

/** Holds a choice of `count` dead latents in each row to their scores; equal ones by place. */
export function judgeChoice(
  judge: Judge,
  chosen: Uint8Array,
  scores: RealMatrix,
  dead: Uint8Array,
  count: number,
): void {
  const candidates = range(scores.cols).filter((j) => dead[j] === 1);
  for (let b = 0; b < scores.rows; b++) {
    const isChosen = (j: number): boolean => chosen[b * scores.cols + j] === 1;
    const inRow = range(scores.cols).filter(isChosen);
    judge.same(`number chosen in row ${b}`, inRow.length, count);
    const alive = inRow.some((j) => dead[j] === 0);
    judge.same(`a living latent chosen in row ${b}`, alive, false);
    const left = candidates.filter((j) => !isChosen(j));
    for (const [i, j] of inRow.flatMap((i) => left.map((j) => [i, j] as const))) {
      const order = compare(at(scores, b, i), at(scores, b, j));
      if (order === null) judge.open();
      judge.same(`choice ${i} before ${j}`, order === -1 || (order === 0 && i > j), false);
    }
  }
}

function countDead(dead: Uint8Array): number {
  return dead.reduce((count, flag) => count + flag, 0);
}

interface AuxkCase {
  readonly x: Matrix;
  readonly reconstructions: readonly Matrix[];
  readonly residual: Matrix;
  readonly values: Matrix;
  readonly W_dec: Matrix;
  readonly dead: Uint8Array;
  readonly prefixes: readonly number[];
  readonly alpha: number;
  readonly dialect: Dialect;
}

export const auxk: Oracle<AuxkCase> = {
  name: 'auxiliary loss',
  holds: ['auxk.auxkCount', 'auxk.auxk', 'auxk.auxkOfLevels'],
  cases: fc
    .tuple(
      sizes.chain((size) => fc.integer({ min: 1, max: 4 }).map((d_in) => ({ ...size, d_in }))),
      dialect,
    )
    .chain(([{ rows, d_in, d_sae }, dialect]) =>
      prefixesOf(d_sae).chain((prefixes) =>
        fc.record({
          x: matrixOf(rows, d_in),
          reconstructions: fc.array(matrixOf(rows, d_in), {
            minLength: prefixes.length,
            maxLength: prefixes.length,
          }),
          residual: matrixOf(rows, d_in),
          values: dialect.auxk.values === 'acts' ? actsOf(rows, d_sae) : matrixOf(rows, d_sae),
          W_dec: matrixOf(d_sae, d_in),
          dead: flags(d_sae),
          prefixes: fc.constant(prefixes),
          alpha: fc.oneof(
            fc.constantFrom(1 / 32, 1),
            positiveValues(1).map(([value]) => value),
          ),
          dialect: fc.constant(dialect),
        }),
      ),
    ),
  check(given, { auxk }, judge) {
    const { x, reconstructions, residual, values, W_dec, dead, prefixes, alpha, dialect } = given;
    const [exactValues, decoder] = [realMatrix(values), realMatrix(W_dec)];
    const rescales = dialect.select.score === 'acts-times-decoder-norm';
    const zeroRow = rescales && hasZeroRow(decoder);
    const refuses = (e: RealMatrix, own: Uint8Array): boolean => {
      if (countDead(own) === 0) return false;
      if (zeroRow) return true;
      if (auxkFactor(e, own, dialect) !== null) return false;
      // Nothing divides where nothing decodes; which it is depends on the choice.
      return dialect.auxk.whenNothingDecodes === 'counts' || surely<boolean>(null);
    };
    const compareTerm = (where: string, e: RealMatrix, own: Uint8Array, got: AuxkResult): void => {
      const scores =
        countDead(own) === 0 ? exactValues : selectionScores(exactValues, decoder, dialect);
      judgeChoice(judge, got.chosen, scores, own, auxkCount(own, e.cols, dialect));
      const exact = auxkOf(
        { residual: e, values: exactValues, W_dec: decoder, dead: own, chosen: got.chosen, alpha },
        dialect,
      );
      if (exact === null) throw new Error('auxk: a case that is to be refused was compared');
      judge.near(`${where} loss`, got.loss, exact.loss);
      judge.allNear(`${where} latents`, got.latents, exact.latents);
      judge.allNear(`${where} gradient`, got.gradient, exact.gradient);
    };
    const count = auxk.auxkCount(dead, residual.cols, dialect);
    judge.same('count', count, auxkCount(dead, residual.cols, dialect));
    const single = (): AuxkResult => auxk.auxk(residual, values, W_dec, dead, alpha, dialect);
    const e = realMatrix(residual);
    if (refuses(e, dead)) judge.refused('auxk', single);
    else compareTerm('auxk', e, dead, single());

    const levels = levelsOf(prefixes, dead, dialect).map((term) => ({
      ...term,
      residual: difference(realMatrix(x), realMatrix(reconstructions[term.level - 1])),
    }));
    const every = (): ReturnType<typeof auxk.auxkOfLevels> =>
      auxk.auxkOfLevels(x, reconstructions, values, W_dec, dead, prefixes, alpha, dialect);
    if (levels.some((term) => refuses(term.residual, term.dead))) {
      judge.refused('levels', every);
      return;
    }
    const terms = every();
    judge.same(
      'levels',
      terms.map(({ level }) => level).join(),
      levels.map(({ level }) => level).join(),
    );
    levels.forEach((term, place) => {
      compareTerm('level', term.residual, term.dead, terms[place]);
    });
  },
};

interface AuxkResult {
  readonly loss: number;
  readonly chosen: Uint8Array;
  readonly latents: Matrix;
  readonly gradient: Matrix;
}

/** Levels with an auxiliary loss, and which latents count as dead in each. */
export function levelsOf(
  prefixes: readonly number[],
  dead: Uint8Array,
  { auxk }: Dialect,
): { readonly level: number; readonly dead: Uint8Array }[] {
  if (auxk.values === 'none') return [];
  if (auxk.levels === 'last') return [{ level: prefixes.length, dead }];
  return prefixes.map((width, g) => {
    const start = g === 0 ? 0 : prefixes[g - 1];
    return { level: g + 1, dead: dead.map((flag, j) => (j >= start && j < width ? flag : 0)) };
  });
}

/**
 * Derivatives of the exact loss by central differences, of the choices that the reference made.
 * @module
 */
import { valuesOf, type SaeParams } from '../../../reference/params.ts';
import type { Judge } from '../judge.ts';
import { approximately, big, type Real } from '../real.ts';
import { difference, range, realParams, type RealMatrix, type RealParams } from '../real-matrix.ts';
import { auxkCount, auxkFactor, decodeDead, decodesNothing } from './auxk.ts';
import { names } from './clip.ts';
import { positiveParts } from './encode.ts';
import type { LossCase } from './loss-cases.ts';
import { selectionCount, selectionScores } from './select.ts';
import { exactForward, type Forced, type RealForward } from './total-loss.ts';

/** The case's choices with everything that is constant to the gradient held as it is. */
function held(given: LossCase, params: RealParams, forward: RealForward, forced: Forced): Forced {
  const { dialect } = given;
  return {
    ...forced,
    rowWeights: forward.rowWeights,
    terms: forced.terms.map((term, t) => {
      const residual = difference(forward.x, forward.levels[term.level]);
      const factor = auxkFactor(residual, term.dead, dialect);
      return {
        ...term,
        decodes: !decodesNothing(forward.auxk[t].latents, params.W_dec),
        ...(dialect.auxk.residual === 'detached' ? { residual } : {}),
        ...(factor === null ? {} : { factor }),
      };
    }),
  };
}

/** The choices that exact values make, as text: equal ones by place. */
function choices(
  given: LossCase,
  params: RealParams,
  forward: RealForward,
  forced: Forced,
): string {
  const { selection, k, dialect } = given;
  const { pre } = forward;
  const acts = positiveParts(pre);
  const top = (values: RealMatrix, places: readonly number[], count: number): number[] =>
    [...places]
      .sort((i, j) => values.data[j].value.cmp(values.data[i].value) || i - j)
      .slice(0, count);
  const positives = (values: RealMatrix): number[] =>
    range(pre.data.length).filter((i) => values.data[i].value.gt(0));
  const positive = positives(pre);
  const row = (b: number): number[] => range(pre.cols).map((j) => b * pre.cols + j);
  const selectedFrom = (from: RealMatrix): number[] => {
    const scores = selectionScores(positiveParts(from), params.W_dec, dialect);
    const candidates = positives(from);
    return {
      batch: () => top(scores, candidates, selectionCount(k, pre.rows)),
      row: () =>
        range(pre.rows).flatMap((b) =>
          top(
            scores,
            row(b).filter((i) => candidates.includes(i)),
            k,
          ),
        ),
      all: () => candidates,
      jump: () =>
        range(pre.data.length).filter((i) =>
          from.data[i].value.gt(big(given.params.threshold![i % pre.cols])),
        ),
    }[selection]();
  };
  const first = forward.refinement === null ? [] : selectedFrom(forward.encoded);
  const values = selectionScores(
    dialect.auxk.values === 'acts' ? acts : pre,
    params.W_dec,
    dialect,
  );
  const chosen = forced.terms.map(({ dead }) =>
    range(pre.rows).flatMap((b) =>
      top(
        values,
        row(b).filter((i) => dead[i % pre.cols] === 1),
        auxkCount(dead, given.x.cols, dialect),
      ),
    ),
  );
  const sorted = [first, selectedFrom(pre), positive, ...chosen].map((places) =>
    places.sort((i, j) => i - j),
  );
  const decodes = forward.auxk.map(({ latents }) =>
    decodeDead(latents, params.W_dec).data.some(({ value }) => !value.isZero()),
  );
  return JSON.stringify([sorted, decodes]);
}

/** One entry of one parameter moved by a step. */
function moved(params: RealParams, name: (typeof names)[number], at: number, by: Real): RealParams {
  const change = (values: readonly Real[]): Real[] =>
    values.map((value, i) => (i === at ? approximately(value.value.add(by.value)) : value));
  switch (name) {
    case 'W_enc':
    case 'W_dec':
      return { ...params, [name]: { ...params[name], data: change(params[name].data) } };
    case 'b_enc':
    case 'b_dec':
      return { ...params, [name]: change(params[name]) };
  }
}

/** One parameter's numbers. */
function valuesOfReal(params: RealParams, name: (typeof names)[number]): readonly Real[] {
  const param = params[name];
  return 'data' in param ? param.data : param;
}

/**
 * What a parameter's step is measured in: the largest of the parameter, or of the row where its norm may count. The loss
 * is quadratic in it otherwise, so that any step would do.
 */
function sizeOf(params: SaeParams, name: (typeof names)[number], at: number): number {
  const values = valuesOf(params, name);
  const d_in = params.W_dec.cols;
  const start = Math.floor(at / d_in) * d_in;
  const beside = name === 'W_dec' ? values.subarray(start, start + d_in) : values;
  const largest = Math.max(...beside.map(Math.abs));
  return largest > 2 ** -200 ? largest : 1;
}

/**
 * Central differences of one entry of each parameter.
 * @param answer - the reference's gradients.
 * @param closed - their bounds.
 */
export function judgeDifferences(
  given: LossCase,
  made: Forced,
  exact: RealForward,
  answer: SaeParams,
  closed: RealParams,
  judge: Judge,
): void {
  const params = realParams(given.params);
  const forced = held(given, params, exact, made);
  const here = choices(given, params, exact, forced);
  names.forEach((name, n) => {
    const got = valuesOf(answer, name);
    const bounds: readonly Real[] = valuesOfReal(closed, name);
    const entry = Math.floor(given.picks[n] * got.length);
    // A power of ten: with more digits its sum with a parameter would not fit into 64.
    const exponent = Math.floor(Math.log10(sizeOf(given.params, name, entry)));
    const step = approximately(big(10).pow(exponent - 20));
    const [before, after] = [step.value.neg(), step.value].map((by) => {
      const there = moved(params, name, entry, approximately(by));
      const forward = exactForward(given, there, forced);
      // A kink within the step, or right here: the reference's choice decides which derivative is meant.
      if (choices(given, there, forward, forced) !== here) judge.open();
      return forward.loss;
    });
    const slope = after.value.sub(before.value).div(step.value.mul(2));
    // What 64 digits leave open, as a share of what float64's 16 do, with three to spare.
    const noise = ((before.error + after.error) * 1e-45) / (2 * step.approx);
    const { error } = bounds[entry];
    const resolved = noise <= error * 2 ** -20;
    const where = `difference by ${name}[${entry}]`;
    if (resolved && error > 0) {
      judge.near(where, got[entry], {
        value: slope,
        approx: slope.toNumber(),
        error: error + noise,
      });
    } else {
      const apart = big(got[entry]).sub(slope).abs().toNumber();
      judge.same(`${where}: within the noise of 64 digits`, apart <= error + noise, true);
      if (error > 0) judge.unresolved();
    }
  });
}

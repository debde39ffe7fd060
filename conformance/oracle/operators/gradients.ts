/**
 * Gradients of the total loss: in closed form, which gives the bound, and by central differences of the exact loss, which
 * know nothing of the closed form.
 *
 * The loss of given choices is a polynomial of each parameter (but for logarithms and norms in penalties), so that a
 * central difference is its derivative up to the 64 digits. JumpReLU's straight-through gradients are defined, not
 * derived: of them only the closed form is compared.
 * @module
 */
import type { Dialect } from '../../../reference/dialect.ts';
import type { Oracle } from '../oracle.ts';
import { add, div, isZero, mul, real, sub, sum, zero, type Real } from '../real.ts';
import {
  at,
  build,
  columnOf,
  inner,
  range,
  realParams,
  reals,
  rowOf,
  type RealMatrix,
  type RealParams,
} from '../real-matrix.ts';
import { judgeDifferences } from './differences.ts';
import { encoderInput } from './encode.ts';
import { receivedThrough } from './refine.ts';
import { straightThrough } from './jump-relu.ts';
import { lossCases, type LossCase } from './loss-cases.ts';
import { judgedForward, type Forced, type RealForward } from './total-loss.ts';

/** T_0..T_G: what b_dec and the latents of each group receive from reconstructions. */
export function suffixSums(
  errors: readonly RealMatrix[],
  coefficients: readonly Real[],
  attached: readonly { readonly level: number; readonly gradient: RealMatrix }[],
  innerLevels: 'attached' | 'detached' = 'attached',
  rowWeights: readonly (readonly Real[] | null)[] = [],
): RealMatrix[] {
  const hears = (g: number, level: number): boolean =>
    level === g || (level > g && (innerLevels === 'attached' || g === 0));
  const slope = (g: number, b: number): Real => {
    const twice = mul(real(2), coefficients[g]);
    const weights = rowWeights[g] ?? null;
    return weights === null ? div(twice, real(errors[g].rows)) : mul(twice, weights[b]);
  };
  return errors.map((first, g) =>
    build(first.rows, first.cols, (b, i) =>
      sum([
        ...range(errors.length)
          .filter((h) => hears(g, h))
          .map((h) => mul(slope(h, b), at(errors[h], b, i))),
        ...attached
          .filter(({ level }) => hears(g, level))
          .map(({ gradient }) => at(gradient, b, i)),
      ]),
    ),
  );
}

/** In closed form. */
export function closedForm(
  given: LossCase,
  params: RealParams,
  forward: RealForward,
  forced: Forced,
): RealParams {
  const { dialect, prefixes } = given;
  const { latents, auxk, penalty } = forward;
  const { rows, cols } = latents;
  const coefficient = real(given.coefficient);
  const attached = dialect.auxk.residual === 'attached' ? auxk : [];
  const sums = suffixSums(
    forward.errors,
    forward.coefficients,
    attached,
    dialect.loss.innerLevels,
    forward.rowWeights,
  );
  const levelOf = (j: number): RealMatrix => sums[1 + prefixes.findIndex((width) => j < width)];
  const passes = (i: number): boolean =>
    dialect.auxk.values === 'pre-activations' || forced.positive[i];
  const chosen = (term: number, b: number, j: number): boolean =>
    forced.terms[term].chosen[b * cols + j] === 1 && passes(b * cols + j);

  const thresholds = given.params.threshold;
  const everywhere = thresholds !== undefined;
  const received = build(rows, cols, (b, j) =>
    everywhere || forced.selected[b * cols + j]
      ? add(
          inner(rowOf(levelOf(j), b), rowOf(params.W_dec, j)),
          mul(coefficient, at(penalty.latents, b, j)),
        )
      : zero,
  );
  const gated =
    thresholds === undefined
      ? { input: received }
      : throughGate(given, forward, received, reals(thresholds), mul(coefficient, penalty.count));
  const atPre = build(rows, cols, (b, j) =>
    sum([
      at(gated.input, b, j),
      ...auxk.map((term, t) =>
        chosen(t, b, j) ? inner(rowOf(term.gradient, b), rowOf(params.W_dec, j)) : zero,
      ),
    ]),
  );

  const { refinement } = forward;
  const again = refinement && receivedThrough(atPre, refinement, params, dialect);
  const delta = again?.pre ?? atPre;
  const b_enc = range(cols).map((j) => sum(columnOf(delta, j)));
  const input = encoderInput(forward.x, params, dialect);
  return {
    W_enc: build(input.cols, cols, (i, j) => {
      const own = inner(columnOf(input, i), columnOf(delta, j));
      return again === null ? own : add(own, at(again.W_enc, i, j));
    }),
    b_enc: dialect.encode.usesEncoderBias ? b_enc : b_enc.map(() => zero),
    W_dec: build(cols, input.cols, (j, i) =>
      sum([
        ...range(rows).map((b) => mul(at(latents, b, j), at(levelOf(j), b, i))),
        mul(coefficient, at(penalty.W_dec, j, i)),
        again === null ? zero : at(again.W_dec, j, i),
        ...auxk.flatMap((term, t) =>
          range(rows).map((b) =>
            chosen(t, b, j) ? mul(at(term.latents, b, j), at(term.gradient, b, i)) : zero,
          ),
        ),
      ]),
    ),
    b_dec: range(input.cols).map((i) => {
      const direct = sum(columnOf(sums[0], i));
      if (!dialect.encode.subtractsDecoderBias) return direct;
      const own = sub(direct, inner(rowOf(params.W_enc, i), b_enc));
      return again === null ? own : add(own, again.b_dec[i]);
    }),
    ...('threshold' in gated ? { threshold: gated.threshold } : {}),
  };
}

/** JumpReLU: straight through the gate, and through the counts of an L0 penalty. */
function throughGate(
  given: LossCase,
  { pre, latents }: RealForward,
  received: RealMatrix,
  thresholds: readonly Real[],
  atCount: Real,
): { input: RealMatrix; threshold: readonly Real[] } {
  const { dialect } = given;
  if (isZero(atCount)) return straightThrough('gate', pre, thresholds, received, dialect);
  const ofLatents = dialect.jumpRelu.counts === 'latents';
  const counted = ofLatents ? latents : pre;
  const upstream = build(pre.rows, pre.cols, () => atCount);
  const count = straightThrough('step', counted, thresholds, upstream, dialect);
  const plus = (a: RealMatrix, b: RealMatrix): RealMatrix => ({
    ...a,
    data: a.data.map((value, i) => add(value, b.data[i])),
  });
  const upstreamOfGate = ofLatents ? plus(received, count.input) : received;
  const gate = straightThrough('gate', pre, thresholds, upstreamOfGate, dialect);
  return {
    input: ofLatents ? gate.input : plus(gate.input, count.input),
    threshold: gate.threshold.map((value, j) => add(value, count.threshold[j])),
  };
}

/** Whether what a parameter receives is a derivative at all. */
function isDerivative({ params }: LossCase, { jumpRelu, loss }: Dialect): boolean {
  if (loss.innerLevels === 'detached') return false;
  return params.threshold === undefined || jumpRelu.inputGradient === 'gate';
}

export const gradients: Oracle<LossCase> = {
  name: 'gradients',
  holds: ['gradients.gradients', 'gradients.suffixSums'],
  cases: lossCases,
  check(given, reference, judge) {
    const judged = judgedForward(given, reference, judge);
    if (judged === null) return;
    const { got, forced, exact } = judged;
    const params = realParams(given.params);
    const { prefixes, dialect } = given;
    const sums = reference.gradients.suffixSums(got.forward.errors, got.coefficients, dialect.loss);
    const { innerLevels } = dialect.loss;
    const exactSums = suffixSums(
      exact.errors,
      exact.coefficients,
      [],
      innerLevels,
      exact.rowWeights,
    );
    exactSums.forEach((level, g) => judge.allNear(`T_${g}`, sums[g], level));
    const answer = reference.gradients.gradients(
      got.forward,
      given.params,
      prefixes,
      got.coefficients,
      dialect,
    );
    const closed = closedForm(given, params, exact, forced);
    judge.allNear('W_enc', answer.W_enc, closed.W_enc);
    judge.allNear('b_enc', answer.b_enc, closed.b_enc);
    judge.allNear('W_dec', answer.W_dec, closed.W_dec);
    judge.allNear('b_dec', answer.b_dec, closed.b_dec);
    judge.same('thresholds', answer.threshold === undefined, closed.threshold === undefined);
    if (answer.threshold !== undefined && closed.threshold !== undefined) {
      judge.allNear('threshold', answer.threshold, closed.threshold);
    }
    // A latent of 0 that passed its gate counts as none to a penalty: the definition, and no derivative.
    const isNone = forced.selected.some((selected, i) => selected && !forced.present[i]);
    if (isNone) judge.open();
    else if (isDerivative(given, dialect)) {
      judgeDifferences(given, forced, exact, answer, closed, judge);
    }
  },
};

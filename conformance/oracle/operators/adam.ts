/**
 * Adam: m ← m + (1 - β1)(g - m), v ← β2 v + (1 - β2) g², w ← w - η/(1 - β1^t) m / (√v/√(1 - β2^t) + ε).
 * @module
 */
import fc from 'fast-check';
import type { Dialect } from '../../../reference/dialect.ts';
import { valuesOf, type SaeParams } from '../../../reference/params.ts';
import { dialect, paramsOf, positiveValues, sizes } from '../cases.ts';
import type { Oracle } from '../oracle.ts';
import { add, div, mul, one, power, real, sqrt, sub, sum, type Real } from '../real.ts';
import { names } from './clip.ts';

export interface AdamEntry {
  readonly m: Real;
  readonly v: Real;
  readonly w: Real;
}

/** One entry's update. @param t - counted from 1. */
export function adamEntry(
  { m, v, w }: AdamEntry,
  g: Real,
  t: number,
  rate: Real,
  { beta1, beta2, epsilon }: Dialect['adam'],
): AdamEntry {
  const nextM = add(m, mul(sub(one, real(beta1)), sub(g, m)));
  const nextV = add(mul(real(beta2), v), mul(mul(sub(one, real(beta2)), g), g));
  const correction1 = sub(one, power(real(beta1), t));
  const correction2 = sqrt(sub(one, power(real(beta2), t)));
  const scale = add(div(sqrt(nextV), correction2), real(epsilon));
  return {
    m: nextM,
    v: nextV,
    w: sub(w, div(mul(div(rate, correction1), nextM), scale)),
  };
}

interface AdamCase {
  readonly params: SaeParams;
  readonly gradients: SaeParams;
  readonly m: SaeParams;
  /** Its square root is of the gradients' kind, as in training. */
  readonly v: SaeParams;
  readonly step: number;
  readonly rate: number;
  readonly dialect: Dialect;
}

export const adamUpdate: Oracle<AdamCase> = {
  name: 'Adam',
  holds: ['adam.adamUpdate', 'adam.power'],
  cases: sizes.chain((size) => {
    const squares = paramsOf(size).map((p) => ({
      W_enc: { ...p.W_enc, data: p.W_enc.data.map((value) => value * value) },
      b_enc: p.b_enc.map((value) => value * value),
      W_dec: { ...p.W_dec, data: p.W_dec.data.map((value) => value * value) },
      b_dec: p.b_dec.map((value) => value * value),
    }));
    return fc.record({
      params: paramsOf(size),
      gradients: paramsOf(size),
      m: paramsOf(size),
      v: squares,
      step: fc.oneof(fc.constant(0), fc.nat(20), fc.nat(100_000)),
      rate: fc.oneof(
        fc.constantFrom(0, 3e-4, 0.03),
        positiveValues(1).map(([value]) => value),
      ),
      dialect,
    });
  }),
  check({ params, gradients, m, v, step, rate, dialect }, { adam }, judge) {
    const { beta1 } = dialect.adam;
    judge.near('β1^t', adam.power(beta1, step + 1), power(real(beta1), step + 1));
    const got = adam.adamUpdate(params, gradients, m, v, step, rate, dialect);
    for (const name of names) {
      valuesOf(gradients, name).forEach((g, i) => {
        const before = {
          m: real(valuesOf(m, name)[i]),
          v: real(valuesOf(v, name)[i]),
          w: real(valuesOf(params, name)[i]),
        };
        const after = adamEntry(before, real(g), step + 1, real(rate), dialect.adam);
        judge.near(`m ${name}[${i}]`, valuesOf(got.m, name)[i], after.m);
        judge.near(`v ${name}[${i}]`, valuesOf(got.v, name)[i], after.v);
        judge.near(`${name}[${i}]`, valuesOf(got.params, name)[i], sum([after.w]));
      });
    }
  },
};

/**
 * θ ← decay θ + (1 - decay) τ, τ the smallest selected score.
 * @module
 */
import fc from 'fast-check';
import type { Dialect } from '../../../reference/dialect.ts';
import type { Matrix } from '../../../reference/matrix.ts';
import { actsOf, dialect, number, sizes } from '../cases.ts';
import type { Oracle } from '../oracle.ts';
import { add, mul, one, real, sub, zero, type Real } from '../real.ts';

/** A moving average's next value. */
export function average(old: Real, value: Real, decay: number): Real {
  return add(mul(real(decay), old), mul(sub(one, real(decay)), value));
}

interface ThresholdCase {
  readonly threshold: number;
  readonly smallest: number | null;
  readonly latents: Matrix;
  readonly scores: Matrix;
  readonly dialect: Dialect;
}

export const threshold: Oracle<ThresholdCase> = {
  name: 'threshold',
  holds: ['threshold.smallestSelected', 'threshold.updateThreshold'],
  cases: sizes.chain(({ rows, d_sae }) =>
    fc.record({
      threshold: fc.oneof(number, fc.constantFrom(-1, 0)),
      smallest: fc.oneof(number.map(Math.abs), fc.constant(null)),
      latents: actsOf(rows, d_sae),
      scores: actsOf(rows, d_sae),
      dialect,
    }),
  ),
  check({ threshold: old, smallest, latents, scores, dialect }, { threshold }, judge) {
    const selected = scores.data.filter((_, i) => latents.data[i] > 0);
    const least = selected.length === 0 ? null : [...selected].sort((a, b) => a - b)[0];
    judge.same('smallest selected', threshold.smallestSelected(latents, scores), least);

    const { first, decay, whenEmpty } = dialect.threshold;
    const update = (): number => threshold.updateThreshold(old, smallest, dialect);
    if (first === 'assign' && old < 0) {
      if (smallest === null) judge.refused('first update', update);
      else judge.same('first update', update(), smallest);
    } else if (smallest === null && whenEmpty === 'keep') {
      judge.same('kept', update(), old);
    } else {
      const value = smallest === null ? zero : real(smallest);
      judge.near('average', update(), average(real(old), value, decay));
    }
  },
};

/**
 * Warm-up, constant or half a cosine, decay.
 * @module
 */
import fc from 'fast-check';
import type { Dialect } from '../../../reference/dialect.ts';
import type { Schedule } from '../../../reference/adam.ts';
import { dialect } from '../cases.ts';
import type { Oracle } from '../oracle.ts';
import { add, cos, div, mul, one, pi, real, sub, type Real } from '../real.ts';

/** Rate of update `step` = 0, 1, ... */
export function learningRate(step: number, schedule: Schedule, dialect: Dialect): Real {
  const { steps, warmupSteps, decayStart, cosineTo } = schedule;
  const rate = real(schedule.learningRate);
  if (step < warmupSteps) {
    const done = dialect.learningRate.warmup === 't-over-w' ? step : step + 1;
    return mul(rate, div(real(done), real(warmupSteps)));
  }
  if (decayStart !== null && step >= decayStart) {
    const from = cosineTo === null ? rate : real(cosineTo);
    return mul(from, decayShare(step, steps, decayStart, dialect));
  }
  if (cosineTo === null) return rate;
  const share = div(real(step - warmupSteps), real((decayStart ?? steps) - warmupSteps));
  const above = mul(sub(rate, real(cosineTo)), add(one, cos(mul(pi, share))));
  return add(real(cosineTo), div(above, real(2)));
}

function decayShare(step: number, steps: number, start: number, dialect: Dialect): Real {
  if (dialect.learningRate.decay === 'linear-to-zero') {
    return div(real(steps - step), real(steps - start));
  }
  const passed = real(Math.min(step - start, start));
  return sub(one, div(mul(real(0.9), passed), add(real(steps - start), real(0.01))));
}

interface RateCase {
  readonly step: number;
  readonly schedule: Schedule;
  readonly dialect: Dialect;
}

const rates = fc.oneof(
  fc.constantFrom(3e-4, 2e-4, 3e-2, 1),
  fc.double({ min: 1e-6, max: 1, noNaN: true }),
);

export const learningRates: Oracle<RateCase> = {
  name: 'learning rate',
  holds: ['adam.learningRate'],
  cases: fc
    .tuple(fc.nat(50), fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 200 }))
    .chain(([warmupSteps, constant, decay]) => {
      const steps = warmupSteps + constant + decay;
      return fc.record({
        step: fc.nat(steps - 1),
        schedule: fc.record({
          learningRate: rates,
          steps: fc.constant(steps),
          warmupSteps: fc.constant(warmupSteps),
          decayStart: fc.constantFrom(null, warmupSteps + constant),
          cosineTo: fc.option(rates),
        }),
        dialect,
      });
    }),
  check({ step, schedule, dialect }, { adam }, judge) {
    const got = adam.learningRate(step, schedule, dialect);
    judge.near('rate', got, learningRate(step, schedule, dialect));
  },
};

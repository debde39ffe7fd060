/**
 * What a run's settings are where it gives none: rate, decay, warm-up of the penalty, level weights.
 * @module
 */
import fc from 'fast-check';
import type { Dialect } from '../../../reference/dialect.ts';
import { dialect } from '../cases.ts';
import type { Oracle } from '../oracle.ts';
import { big, div, mul, one, real, sqrt, sub } from '../real.ts';
import { forSelection } from './loss-cases.ts';

interface SettingsCase {
  readonly d_sae: number;
  readonly steps: number;
  readonly dialect: Dialect;
}

export const runSettings: Oracle<SettingsCase> = {
  name: 'run settings',
  holds: ['trainConfig.trainConfig'],
  cases: fc.record({
    d_sae: fc.oneof(fc.integer({ min: 1, max: 100_000 }), fc.constantFrom(1, 2 ** 14, 2 ** 16)),
    steps: fc.integer({ min: 3, max: 100_000 }),
    dialect: dialect.map((given) => ({
      ...forSelection(given, given.defaults.selection),
      defaults: {
        ...given.defaults,
        warmupSteps: 0,
        // A share of the run below 1, else a whole number.
        sparsityWarmup:
          given.defaults.sparsityWarmup < 1
            ? given.defaults.sparsityWarmup
            : Math.round(given.defaults.sparsityWarmup),
      },
    })),
  }),
  check({ d_sae, steps, dialect }, { trainConfig }, judge) {
    const { learningRate, defaults } = dialect;
    const linear = learningRate.decay === 'linear-to-zero';
    const got = trainConfig.trainConfig({
      dialect,
      d_in: 1,
      d_sae,
      k: 1,
      steps,
      prefixes: [...new Set([Math.ceil(d_sae / 3), d_sae])],
      // A linear decay starts with a whole step, which a share of a run seldom is.
      ...(linear ? { decayStart: 2 } : {}),
    });
    const { base, scalesWithWidth } = learningRate;
    const rate = scalesWithWidth
      ? div(real(base), sqrt(div(real(d_sae), real(2 ** 14))))
      : real(base);
    judge.near('learning rate', got.learningRate, rate);
    if (!linear && defaults.decayFraction !== 0) {
      const kept = mul(sub(one, real(defaults.decayFraction)), real(steps));
      judge.near('decay start', got.decayStart ?? NaN, kept);
    } else judge.same('decay start', got.decayStart, linear ? 2 : null);
    const share = defaults.sparsityWarmup < 1;
    const warmup = share
      ? Math.trunc(big(defaults.sparsityWarmup).mul(steps).toNumber())
      : defaults.sparsityWarmup;
    judge.same('sparsity warm-up', got.sparsityWarmupSteps, warmup);
    const count = got.prefixes.length;
    const weight = dialect.loss.defaultWeight === 'one' ? one : div(one, real(count));
    judge.allNear(
      'level weights',
      Float64Array.from(got.levelWeights),
      got.prefixes.map(() => weight),
    );
  },
};

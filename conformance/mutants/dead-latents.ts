/**
 * Wrong counts of tokens since latents fired.
 * @module
 */
import type { Call } from '../kernel.ts';
import { fromVector, numberOf } from '../tensors.ts';
import type { Mutant } from './mutant.ts';

interface Counting {
  /** The new count of latent j. */
  readonly next: (count: number, column: Float64Array, call: Call) => number;
  readonly dead: (next: number, before: number, limit: number) => boolean;
}

const published: Counting = {
  next: (count, column) => (column.some((latent) => latent > 0) ? 0 : count + column.length),
  dead: (next, _, limit) => next >= limit,
};

/** The published count and test, with what is replaced. */
function counting(wrong: Partial<Counting>): Mutant['run'] {
  const { next, dead } = { ...published, ...wrong };
  return (call) => {
    const { since_fired, latents } = call.inputs;
    const counts = since_fired.data.map((count, j) => {
      const column = latents.data.filter((_, i) => i % since_fired.data.length === j);
      return next(count, column, call);
    });
    const limit = numberOf(call, 'dead_after');
    return {
      since_fired: fromVector(counts),
      dead: fromVector(counts.map((count, j) => Number(dead(count, since_fired.data[j], limit)))),
    };
  };
}

const fires = (column: Float64Array): boolean => column.some((latent) => latent > 0);

/** Laws that tell what is wrong. */
const law = {
  ages: 'a latent that is positive in any row gets 0, every other one ages by the number of rows',
  dead: 'a latent is dead when its new count is dead_after or more',
} as const;

export const mutants: readonly Mutant[] = [
  {
    operator: 'since-fired',
    name: 'steps counted instead of tokens',
    imitates: 'bartbussmann/matryoshka_sae and SAELens: += 1',
    diagnosis: [law.ages],
    run: counting({ next: (count, column) => (fires(column) ? 0 : count + 1) }),
  },
  {
    operator: 'since-fired',
    name: 'a latent of 0 counts as fired',
    imitates: "dictionary_learning's TopKTrainer: every selected index fires, also with value 0",
    diagnosis: [law.ages],
    run: counting({
      next: (count, column) => (column.some((latent) => latent >= 0) ? 0 : count + column.length),
    }),
  },
  {
    operator: 'since-fired',
    name: 'dead only above dead_after',
    imitates:
      "SAELens: passes since fired > dead_feature_window; bartbussmann/matryoshka_sae's log",
    diagnosis: [law.dead],
    run: counting({ dead: (next, _, limit) => next > limit }),
  },
  {
    operator: 'since-fired',
    name: 'dead by the counts before this batch',
    imitates: 'SAELens: the mask lags one step behind',
    diagnosis: [law.dead],
    run: counting({ dead: (_, before, limit) => before >= limit }),
  },
  {
    operator: 'since-fired',
    name: 'fired latents restart at the number of rows',
    imitates: 'counters reset before the batch is added instead of after',
    diagnosis: [law.ages],
    run: counting({ next: (count, column) => (fires(column) ? 0 : count) + column.length }),
  },
  {
    operator: 'since-fired',
    name: 'only the last row counts as fired',
    imitates: 'a loop over rows that assigns what it should or',
    diagnosis: [law.ages],
    run: counting({
      next: (count, column) => (column[column.length - 1] > 0 ? 0 : count + column.length),
    }),
  },
  {
    operator: 'since-fired',
    name: 'fired only if positive in every row',
    imitates: 'all() for any()',
    diagnosis: [law.ages],
    run: counting({
      next: (count, column) => (column.every((latent) => latent > 0) ? 0 : count + column.length),
    }),
  },
  {
    operator: 'since-fired',
    name: 'counted in float16',
    imitates: 'counters in the dtype of the activations: from 2048 on they stop counting by ones',
    diagnosis: [law.ages],
    run: counting({
      next: (count, column) => {
        if (fires(column)) return 0;
        const sum = count + column.length;
        const unit = 2 ** Math.max(0, Math.floor(Math.log2(sum)) - 10);
        return Math.round(sum / unit) * unit;
      },
    }),
  },
];

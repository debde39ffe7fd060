/**
 * Counts since each latent fired, and which are dead. Whole numbers, so exact.
 * @module
 */
import fc from 'fast-check';
import type { Dialect } from '../../../reference/dialect.ts';
import type { Matrix } from '../../../reference/matrix.ts';
import { dialect, matrixOf, sizes } from '../cases.ts';
import type { Oracle } from '../oracle.ts';
import { range } from '../real-matrix.ts';

interface DeadCase {
  readonly counts: readonly number[];
  readonly latents: Matrix;
  readonly limit: number;
  readonly dialect: Dialect;
}

export const deadLatents: Oracle<DeadCase> = {
  name: 'dead latents',
  holds: ['deadLatents.updateSinceFired', 'deadLatents.deadMask'],
  cases: sizes.chain(({ rows, d_sae }) =>
    fc.record({
      counts: fc.array(fc.oneof(fc.nat(8), fc.nat(2 ** 30)), {
        minLength: d_sae,
        maxLength: d_sae,
      }),
      latents: matrixOf(rows, d_sae),
      // On, above and below counts that occur.
      limit: fc.oneof(
        fc.nat(10),
        fc.nat(20).map((n) => n / 2),
        fc.nat(2 ** 30),
      ),
      dialect,
    }),
  ),
  check({ counts, latents, limit, dialect }, { deadLatents }, judge) {
    const { unit, test } = dialect.deadLatents;
    const before = Float64Array.from(counts);
    const got = deadLatents.updateSinceFired(before, latents, dialect);
    counts.forEach((count, j) => {
      const fired = range(latents.rows).some((b) => latents.data[b * latents.cols + j] > 0);
      const passed = unit === 'tokens' ? latents.rows : 1;
      judge.same(`since fired[${j}]`, got[j], fired ? 0 : count + passed);
    });
    const dead = deadLatents.deadMask(before, limit, dialect);
    counts.forEach((count, j) => {
      const isDead = test === 'above' ? count > limit : count >= limit;
      judge.same(`dead[${j}]`, dead[j], isDead ? 1 : 0);
    });
  },
};

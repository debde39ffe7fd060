/**
 * Runs all laws of one operator for the tests of the suite itself.
 */
import { inject } from 'vitest';
import type { Profile } from '../../conformance/error-model.ts';
import type { KernelSpec, Operator } from '../../conformance/kernel.ts';
import { runLaws } from '../../conformance/run.ts';

/** Laws that an operator breaks, each with its message and seed; a law that ran fewer cases than asked counts. */
export async function brokenLaws(
  spec: KernelSpec,
  operator: Operator,
  profile: Profile,
  runs: number,
): Promise<string[]> {
  const kernels = {
    name: 'subject',
    dtype: profile.u_acc < 2 ** -40 ? ('float64' as const) : ('float32' as const),
    profile,
    operators: { [spec.name]: operator },
  };
  const results = await runLaws([spec], kernels, { runs, seed: inject('seed') });
  return results
    .filter(({ outcome, cases }) => outcome !== 'pass' || cases !== runs)
    .map(({ law, failure }) => `${law}: ${failure?.message} (seed ${failure?.seed})`);
}

/** Rounds to float32, subnormals to zero. */
export function flush(value: number): number {
  const narrow = Math.fround(value);
  return Math.abs(narrow) < 2 ** -126 ? 0 : narrow;
}

/**
 * The JSON record of a run: what ran, on what, and every verdict.
 * @module
 */
import { version } from '../reference/version.ts';
import type { Kernels } from './kernel.ts';
import { countOutcomes, type Counts, type LawResult, type Outcome } from './run.ts';

export interface Certificate {
  readonly version: string;
  /** Name of the kernels under test. */
  readonly backend: string;
  /** What computed, in words. */
  readonly device: string;
  readonly dtype: string;
  readonly seed: number;
  /** Cases asked for per law. */
  readonly runs: number;
  readonly verdict: 'pass' | 'fail';
  readonly kernels: readonly CertifiedLaw[];
  readonly counts: Counts;
}

export interface CertifiedLaw {
  readonly kernel: string;
  readonly law: string;
  readonly outcome: Outcome;
  readonly cases: number;
  readonly seconds: number;
  /** What was wrong, and the seed and path that repeat it. */
  readonly failure?: { readonly message: string; readonly seed: number; readonly path: string };
}

/** Verdict `pass`: at least one case ran, and no law failed, crashed or passed against expectation. */
export function certificate(
  results: readonly LawResult[],
  kernels: Kernels,
  device: string,
  options: { readonly seed: number; readonly runs: number },
): Certificate {
  const counts = countOutcomes(results);
  const cases = results.reduce((sum, result) => sum + result.cases, 0);
  const bad = counts.fail + counts.crashed + counts.unexpectedPass;
  return {
    version,
    backend: kernels.name,
    device,
    dtype: kernels.dtype,
    seed: options.seed,
    runs: options.runs,
    verdict: bad === 0 && cases > 0 ? 'pass' : 'fail',
    kernels: results.map(({ kernel, law, outcome, cases: ran, seconds, failure }) => ({
      kernel,
      law,
      outcome,
      cases: ran,
      seconds,
      ...(failure && {
        failure: { message: failure.message, seed: failure.seed, path: failure.path },
      }),
    })),
    counts,
  };
}

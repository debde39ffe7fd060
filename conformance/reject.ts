/**
 * Mutants against laws: a suite proves itself by rejecting kernels that are known to be wrong.
 * @module
 */
import { float32 } from './error-model.ts';
import type { KernelSpec } from './kernel.ts';
import type { Mutant } from './mutants/mutant.ts';
import { runLaw, type LawResult, type RunOptions } from './run.ts';

export interface Rejection {
  readonly mutant: Mutant;
  /** The first law that rejects it; null if it survives them all. */
  readonly by: LawResult | null;
  /** Cases run until then, over all laws. */
  readonly cases: number;
}

/** Runs the laws of the mutant's operator, in order, until one rejects it. */
export async function rejectMutant(
  mutant: Mutant,
  specs: readonly KernelSpec[],
  options: RunOptions,
): Promise<Rejection> {
  const spec = specs.find(({ name }) => name === mutant.operator);
  if (spec === undefined) throw new Error(`mutant ${mutant.name}: no operator ${mutant.operator}`);
  const kernels = {
    name: mutant.name,
    dtype: 'float32' as const,
    profile: float32,
    operators: { [mutant.operator]: mutant.run },
  };
  let cases = 0;
  for (const law of spec.laws) {
    const result = await runLaw(spec, law, kernels, options);
    cases += result.cases;
    if (result.outcome !== 'pass') return { mutant, by: result, cases };
  }
  return { mutant, by: null, cases };
}

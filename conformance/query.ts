/**
 * Choosing laws: `batch-topk`, `batch-topk: is idempotent`, or any part of `kernel: law`.
 * @module
 */
import type { KernelSpec } from './kernel.ts';

/**
 * The specs with only the laws a query names: all laws of a kernel named exactly, else laws whose `kernel: law`
 * contains it. Several queries add up; none selects everything.
 * @throws {@link RangeError} for a query that matches nothing, listing the kernels.
 */
export function selectLaws(specs: readonly KernelSpec[], queries: readonly string[]): KernelSpec[] {
  if (queries.length === 0) return [...specs];
  const names = specs.map((spec) => spec.name);
  const matches = (query: string, kernel: string, law: string): boolean =>
    names.includes(query) ? kernel === query : `${kernel}: ${law}`.includes(query);
  for (const query of queries) {
    if (!specs.some((spec) => spec.laws.some((law) => matches(query, spec.name, law.name)))) {
      throw new RangeError(
        `--only: nothing matches ${JSON.stringify(query)}; kernels are ${names.join(', ')} (--list shows their laws)`,
      );
    }
  }
  return specs
    .map((spec) => ({
      ...spec,
      laws: spec.laws.filter((law) => queries.some((query) => matches(query, spec.name, law.name))),
    }))
    .filter((spec) => spec.laws.length > 0);
}

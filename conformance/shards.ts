/**
 * A run in parts: units of at most a thousand cases of one law, which shards divide among them and `merge` puts together
 * again. A unit's cases depend on the run's seed and its own place alone, so parts add up exactly to the whole.
 * @module
 */
import type { KernelSpec, Law } from './kernel.ts';
import type { LawResult } from './run.ts';

/** The `index`-th of `count` parts, counted from 1. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

/** Some cases of one law. */
export interface Unit {
  readonly spec: KernelSpec;
  readonly law: Law;
  /** Which thousand of the law's cases. */
  readonly chunk: number;
  readonly runs: number;
  readonly seed: number;
}

/** One unit's result. */
export interface UnitResult extends LawResult {
  readonly chunk: number;
}

const casesPerUnit = 1000;

/** @param text - such as 2/7. @throws {@link RangeError} unless it is i/n with 1 <= i <= n. */
export function shardOf(text: string): Shard {
  const [, index, count] = /^(\d+)\/(\d+)$/.exec(text)?.map(Number) ?? [];
  if (!(index >= 1 && index <= count)) {
    throw new RangeError(`--shard: expected i/n with 1 <= i <= n, such as 2/7, got ${text}`);
  }
  return { index, count };
}

/** Every unit of a run, in order. */
export function unitsOf(specs: readonly KernelSpec[], runs: number, seed: number): Unit[] {
  return specs.flatMap((spec) =>
    spec.laws.flatMap((law) =>
      Array.from({ length: Math.ceil(runs / casesPerUnit) }, (_, chunk) => ({
        spec,
        law,
        chunk,
        runs: Math.min(casesPerUnit, runs - chunk * casesPerUnit),
        // Distinct seeds far apart; a first chunk's is the run's own, so that short runs repeat by it.
        seed: (seed + Math.imul(chunk, 0x9e3779b9)) | 0,
      })),
    ),
  );
}

/** The units of one shard: every count-th, so that slow operators are spread. */
export function unitsOfShard(units: readonly Unit[], { index, count }: Shard): Unit[] {
  return units.filter((_, at) => at % count === index - 1);
}

/** Laws from their units: cases up to the first unit that is not a pass, and that unit's outcome. */
export function lawResults(units: readonly UnitResult[]): LawResult[] {
  const byLaw = new Map<string, UnitResult[]>();
  for (const unit of units) {
    const key = `${unit.kernel}: ${unit.law}`;
    byLaw.set(key, [...(byLaw.get(key) ?? []), unit]);
  }
  return [...byLaw.values()].map((own) => {
    const inOrder = own.toSorted((a, b) => a.chunk - b.chunk);
    const bad = inOrder.findIndex(({ outcome }) => outcome !== 'pass');
    const counted = bad === -1 ? inOrder : inOrder.slice(0, bad + 1);
    const last = counted[counted.length - 1];
    const sum = (of: (unit: UnitResult) => number): number =>
      counted.reduce((total, unit) => total + of(unit), 0);
    return {
      kernel: last.kernel,
      law: last.law,
      outcome: last.outcome,
      cases: sum(({ cases }) => cases),
      seconds: sum(({ seconds }) => seconds),
      ...(last.failure && { failure: last.failure }),
      ...(last.reason !== undefined && { reason: last.reason }),
    };
  });
}

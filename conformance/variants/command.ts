/**
 * Every law on every variant: how many cases, and how many false alarms.
 * @module
 */
import type { KernelSpec } from '../kernel.ts';
import { runUnits, type LawResult } from '../run.ts';
import { lawResults, unitsOf, unitsOfShard, type Shard } from '../shards.ts';
import { operators, variants } from './all.ts';
import { variantKernels, type Variant } from './variant.ts';

/** One operator in one arithmetic. */
export interface VariantRow {
  readonly variant: string;
  readonly operator: string;
  readonly cases: number;
  readonly seconds: number;
  /** Laws that rejected it: false alarms. */
  readonly failures: readonly LawResult[];
}

export interface VariantOptions {
  /** Cases per law. */
  readonly runs: number;
  readonly seed: number;
  readonly shard?: Shard;
}

/** Runs every law of one operator on one variant; null if it has no such operator. */
export async function measureVariant(
  variant: Variant,
  spec: KernelSpec,
  { runs, seed, shard }: VariantOptions,
): Promise<VariantRow | null> {
  if (operators[spec.name] === undefined) return null;
  const units = unitsOf([spec], runs, seed);
  const own = shard === undefined ? units : unitsOfShard(units, shard);
  const results = lawResults(await runUnits(own, variantKernels(variant, operators), {}));
  const sum = (of: (result: LawResult) => number): number =>
    results.reduce((total, result) => total + of(result), 0);
  return {
    variant: variant.name,
    operator: spec.name,
    cases: sum(({ cases }) => cases),
    seconds: sum(({ seconds }) => seconds),
    failures: results.filter(({ outcome }) => outcome !== 'pass'),
  };
}

/**
 * Prints cases and failures of each variant and operator.
 * @param options - `only`: names of the variants to run; all if left out. `json`: one line of JSON for each row.
 * @returns 0 if there was a case and no false alarm, else 1.
 */
export async function runVariants(
  chosen: readonly KernelSpec[],
  seed: number,
  options: Omit<VariantOptions, 'seed'> & {
    readonly only?: readonly string[];
    readonly json?: boolean;
  },
): Promise<number> {
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  let cases = 0;
  let failures = 0;
  for (const variant of variants) {
    if (options.only !== undefined && !options.only.includes(variant.name)) continue;
    for (const spec of chosen) {
      const row = await measureVariant(variant, spec, { ...options, seed });
      if (row === null) continue;
      cases += row.cases;
      failures += row.failures.length;
      if (options.json === true) say(JSON.stringify(row));
      else rowLines(row).forEach(say);
    }
  }
  if (options.json !== true) say(`${cases} cases, ${failures} false alarms, seed ${seed}`);
  return cases > 0 && failures === 0 ? 0 : 1;
}

function rowLines({ variant, operator, cases, seconds, failures }: VariantRow): string[] {
  const found = failures.length === 0 ? 'no failure' : `${failures.length} failed`;
  const head = [variant.padEnd(10), operator.padEnd(16), String(cases).padStart(8), found];
  return [
    `${head.join('  ')}, ${seconds.toFixed(1)} s`,
    ...failures.map(
      ({ law, failure }) =>
        `  ${law}: ${failure?.message} (seed ${failure?.seed}, path ${failure?.path})`,
    ),
  ];
}

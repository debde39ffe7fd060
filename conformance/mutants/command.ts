/**
 * matryoshka conformance --mutants: kernels broken on purpose, each rejected for the right reason, or the suite fails.
 * @module
 */
import { dirname } from 'node:path';
import { requireWritableFolder, writeTextAtomically } from '../../training/atomic-file.ts';
import { colours } from '../../training/colours.ts';
import { specs } from '../kernels/all.ts';
import { describeSize, isSmall, measureMutant, type MutantRow } from '../reject.ts';
import { mutants } from './all.ts';

interface Options {
  /** Cases per law. */
  readonly runs: number;
  /** How often each mutant is tried, with another seed each time. */
  readonly seeds: number;
  readonly json?: string;
}

/** @returns the exit status: 0 if every mutant of these operators, held to all their laws, is rejected and rightly diagnosed with every seed. */
export async function runMutants(
  operators: readonly string[],
  seed: number,
  { runs, seeds, json }: Options,
): Promise<number> {
  if (json !== undefined) await requireWritableFolder(dirname(json), '--json');
  const tried = mutants.filter(({ operator }) => operators.includes(operator));
  const each = Array.from({ length: seeds }, (_, i) => (seed + Math.imul(i, 0x61c88647)) >>> 1);
  if (seeds === 1) each[0] = seed;
  console.log(
    `${tried.length} mutants, ${runs} cases a law, --seed ${seed}, seeds ${each.join(', ')}`,
  );
  const rows: MutantRow[] = [];
  for (const mutant of tried) {
    const row = await measureMutant(mutant, specs, { runs, seeds: each });
    rows.push(row);
    print(row);
  }
  if (json !== undefined) await writeTextAtomically(json, record(rows, { runs, seeds: each }));
  return summarise(rows);
}

function print(row: MutantRow): void {
  const { mutant, rejectedBy, diagnosedBy, medianCases, worstCases, size } = row;
  const name = `${mutant.operator}: ${mutant.name}`;
  if (rejectedBy.length === 0) console.log(colours.red(`✗ ${name}: survives`));
  else if (!row.isRight) {
    console.log(colours.red(`✗ ${name}: rejected, but taken for “${diagnosedBy.join('”, “')}”`));
  } else {
    const effort = `${medianCases} case${medianCases === 1 ? '' : 's'}, at worst ${worstCases}`;
    console.log(
      `${colours.green('✓')} ${name}: ${effort}, ${describeSize(size)}: “${diagnosedBy.join('”, “')}”`,
    );
  }
  console.log(colours.dim(`    imitates ${mutant.imitates}`));
}

function summarise(rows: readonly MutantRow[]): number {
  const rejected = rows.filter(({ rejectedBy }) => rejectedBy.length > 0);
  const right = rejected.filter(({ isRight }) => isRight).length;
  const cases = rejected.map(({ medianCases }) => medianCases).sort((a, b) => a - b);
  const small = rejected.filter(({ size }) => isSmall(size)).length;
  const good = right === rows.length && rows.length > 0;
  console.log(
    `\n${good ? colours.green(verdict()) : colours.red(verdict())}; median ${cases[Math.floor(cases.length / 2)] ?? '-'} cases, at worst ${Math.max(0, ...rejected.map(({ worstCases }) => worstCases))}; ${small} of ${rejected.length} counterexamples have at most 2 rows, 4 latents, 2 dims`,
  );
  return good ? 0 : 1;

  function verdict(): string {
    return `${rejected.length} of ${rows.length} mutants rejected, ${right} for the right reason`;
  }
}

/** The table as JSON: one object a mutant. `medianCases` and `worstCases` are null for a survivor. */
function record(
  rows: readonly MutantRow[],
  settings: { readonly runs: number; readonly seeds: readonly number[] },
): string {
  const mutantRows = rows.map(({ mutant: { operator, name, imitates }, ...row }) => ({
    operator,
    name,
    imitates,
    ...row,
  }));
  return `${JSON.stringify({ ...settings, mutants: mutantRows }, null, 2)}\n`;
}

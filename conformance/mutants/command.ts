/**
 * matryoshka conformance --mutants: kernels broken on purpose, each rejected for the right reason, or the suite fails.
 * @module
 */
import { dirname } from 'node:path';
import { SingleBar } from 'cli-progress';
import { requireWritableFolder, writeTextAtomically } from '../../training/atomic-file.ts';
import { colours } from '../../training/colours.ts';
import { duration } from '../../training/progress.ts';
import { specs } from '../kernels/all.ts';
import { describeSize, isSmall, measureMutant, type MutantRow } from '../reject.ts';
import { mutants } from './all.ts';
import type { Mutant } from './mutant.ts';

interface Options {
  /** Cases per law. */
  readonly runs: number;
  /** How often each mutant is tried, with another seed each time. */
  readonly seeds: number;
  readonly json?: string;
}

/** What --json writes. */
export interface MutantFile {
  /** Cases per law. */
  readonly runs: number;
  readonly seeds: readonly number[];
  readonly mutants: readonly (Pick<Mutant, 'operator' | 'name' | 'imitates'> &
    Omit<MutantRow, 'mutant' | 'medianCases' | 'worstCases'> & {
      /** Null where that seed lets it survive. */
      readonly medianCases: number | null;
      readonly worstCases: number | null;
    })[];
}

/** @returns the exit status: 0 if every mutant of these operators, held to all their laws, is rejected and rightly diagnosed with every seed. */
export async function runMutants(
  operators: readonly string[],
  seed: number,
  { runs, seeds, json }: Options,
): Promise<number> {
  if (json !== undefined) await requireWritableFolder(dirname(json), '--json');
  const tried = mutants.filter(({ operator }) => operators.includes(operator));
  const others = Array.from(
    { length: seeds - 1 },
    (_, i) => (seed ^ Math.imul(i + 1, 0x61c88647)) >>> 1,
  );
  const each = [seed, ...others];
  console.log(
    `${tried.length} mutants, ${runs} cases a law, --seed ${seed}, seeds ${each.join(', ')}`,
  );
  const rows: MutantRow[] = [];
  const bar = process.stdout.isTTY ? barOn(process.stdout) : null;
  const started = performance.now();
  for (const [done, mutant] of tried.entries()) {
    const secondsEach = (performance.now() - started) / 1000 / done; // NaN before the first is done
    bar?.start(tried.length, done, { left: duration(secondsEach * (tried.length - done)) });
    const row = await measureMutant(mutant, specs, { runs, seeds: each });
    bar?.stop();
    rows.push(row);
    print(row);
  }
  if (json !== undefined) await writeTextAtomically(json, record(rows, { runs, seeds: each }));
  return summarise(rows);
}

/** Stands below the rows, and makes way for the next. */
function barOn(stream: NodeJS.WriteStream): SingleBar {
  return new SingleBar({
    stream,
    format: '{bar} {value}/{total} mutants  ETA {left}',
    barsize: 20,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    gracefulExit: false, // it would take Ctrl-C for itself
    clearOnComplete: true,
    linewrap: false,
  });
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

function record(
  rows: readonly MutantRow[],
  settings: { readonly runs: number; readonly seeds: readonly number[] },
): string {
  const file: MutantFile = {
    ...settings,
    mutants: rows.map(({ mutant: { operator, name, imitates }, ...row }) => ({
      operator,
      name,
      imitates,
      ...row,
      medianCases: finite(row.medianCases),
      worstCases: finite(row.worstCases),
    })),
  };
  return `${JSON.stringify(file, null, 2)}\n`;
}

const finite = (cases: number): number | null => (Number.isFinite(cases) ? cases : null);

/**
 * matryoshka conformance --oracle: the reference itself, held against exact arithmetic.
 * @module
 */
import { writeTextAtomically } from '../../training/atomic-file.ts';
import { usage } from '../../training/usage-error.ts';
import { formatOracle, formatOracleFailures } from './format.ts';
import { runOracle, type OracleRow } from './run.ts';

export interface OracleCommand {
  readonly cases: number;
  readonly seed: number;
  /** Operators by name; all if empty. */
  readonly only: readonly string[];
  /** File for the rows. */
  readonly json?: string;
}

/** @param print - one line or table. @returns the exit status: 1 if the reference breaks a bound. */
export async function oracleCommand(
  { cases, seed, only, json }: OracleCommand,
  print: (text: string) => void,
): Promise<number> {
  print(`reference against exact arithmetic, ${cases} cases an operator, --seed ${seed}`);
  let rows: OracleRow[];
  try {
    rows = await runOracle({
      cases,
      seed,
      ...(only.length > 0 && { only }),
      onProgress: ({ operator, failure }) =>
        print(`${failure === undefined ? '✓' : '✗'} ${operator}`),
    });
  } catch (error) {
    return usage(() => {
      throw error;
    });
  }
  print(`\n${formatOracle(rows)}`);
  const failed = rows.filter(({ failure }) => failure !== undefined);
  if (failed.length > 0) print(`\n${formatOracleFailures(rows)}`);
  if (json !== undefined) {
    const record = { seed, cases, verdict: failed.length === 0 ? 'pass' : 'fail', rows };
    await writeTextAtomically(json, `${JSON.stringify(record, null, 2)}\n`);
  }
  const judged = rows.reduce((sum, row) => sum + row.cases, 0);
  print(
    failed.length === 0
      ? `\nPASS reference: ${rows.length} operators within their bounds; ${judged.toLocaleString('en')} cases`
      : `\nFAIL reference: ${failed.length} of ${rows.length} operators break a bound`,
  );
  return failed.length === 0 ? 0 : 1;
}

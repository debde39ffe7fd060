/**
 * matryoshka preflight: the main job.
 * @module
 */
import { join } from 'node:path';
import type { Command } from 'commander';
import { colours } from '../training/colours.ts';
import { computeNamed } from '../gpu/choose.ts';
import { requireWritableFolder, writeTextAtomically } from '../training/atomic-file.ts';
import { wholeNumber } from '../training/option-values.ts';
import { createListener } from './listener.ts';
import type { PreflightRecord } from './preflight.ts';

interface Flags {
  readonly backend: string;
  readonly out?: string;
  readonly seed: number;
  readonly seeds: number;
  readonly threads?: number;
  readonly json?: true;
}

export function addPreflightCommand(program: Command): void {
  program
    .command('preflight')
    .summary('the main job: is this machine ready for a full-scale run?')
    .description(
      'Diagnoses backends, certifies the chosen one, shows reduced absorption on a known tree, trains briefly on real activations, and ends in GO or NO-GO.',
    )
    .option('--backend <name>', 'auto, threads, tensorflow, webgpu, wasm or cpu', 'auto')
    .option('--out <folder>', 'for preflight.json and report.html (default: runs/preflight-<date>)')
    .option('--seed <n>', 'seed of everything random', wholeNumber('--seed', 0), 0)
    .option('--seeds <n>', 'training seeds of the tree experiment', wholeNumber('--seeds', 1), 5)
    .option(
      '--threads <n>',
      'worker threads (default: one per processor)',
      wholeNumber('--threads', 1),
    )
    .option('--json', 'print the record as JSON; progress goes to stderr')
    .addHelpText('after', '\nExit status: 0 GO, 1 NO-GO, 2 wrong usage, 130 interrupted.')
    .action(async (flags: Flags) => {
      process.exitCode = await preflight(flags);
    });
}

async function preflight(flags: Flags): Promise<number> {
  const backend = computeNamed(flags.backend);
  const { seed } = flags;
  const out = flags.out ?? join('runs', `preflight-${dateStamp(new Date())}`);
  await requireWritableFolder(out, '--out');
  const stream = flags.json ? process.stderr : process.stdout;
  const print = (line: string): void => void stream.write(`${line}\n`);
  print(
    `matryoshka preflight --backend ${backend} --seed ${seed} --seeds ${flags.seeds} --out ${out}`,
  );

  const interrupt = new AbortController();
  const stop = (): void => interrupt.abort(new Error('interrupted'));
  process.once('SIGINT', stop);
  const listener = createListener(stream);
  try {
    // Loaded late: --help and a wrong flag need neither plots nor backends.
    const { runPreflight } = await import('./preflight.ts');
    const { preflightReport } = await import('./report.ts');
    const record = await runPreflight({
      backend,
      seed,
      seeds: flags.seeds,
      ...(flags.threads !== undefined && { threads: flags.threads }),
      signal: interrupt.signal,
      on: listener,
    });
    const command = `matryoshka preflight --backend ${backend} --seed ${seed} --seeds ${flags.seeds}`;
    const json = join(out, 'preflight.json');
    const report = join(out, 'report.html');
    await writeTextAtomically(json, `${JSON.stringify(record, null, 2)}\n`);
    await writeTextAtomically(report, preflightReport(record, command));
    listener.end();
    print(`\n${verdictTable(record)}\n\n${json}\n${report}`);
    if (flags.json) process.stdout.write(`${JSON.stringify(record)}\n`);
    return record.verdict === 'GO' ? 0 : 1;
  } catch (error) {
    listener.end();
    if (!interrupt.signal.aborted) throw error;
    print('interrupted; nothing was written');
    return 130;
  } finally {
    process.removeListener('SIGINT', stop);
  }
}

/** A line per check, then the verdict. */
function verdictTable({ checks, verdict, seconds }: PreflightRecord): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const paint = (text: 'GO' | 'NO-GO'): string =>
    (text === 'GO' ? colours.green : colours.red)(text.padEnd(5));
  return [
    ...checks.map(
      (check) =>
        `${check.name.padEnd(width)}  ${paint(check.verdict)}  ${check.reason} ${colours.dim(`(${check.seconds.toFixed(0)} s)`)}`,
    ),
    '',
    `${colours.bold(paint(verdict).trimEnd())} in ${Math.round(seconds)} s`,
  ].join('\n');
}

/** `2026-01-31-235959`, local time. */
function dateStamp(date: Date): string {
  const local = new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString();
  return local.slice(0, 19).replace('T', '-').replaceAll(':', '');
}

/**
 * matryoshka merge and matryoshka verify: certificates put together, and checked again.
 * @module
 */
import type { Command } from 'commander';
import { colours } from '../../training/colours.ts';
import { usage, UsageError } from '../../training/usage-error.ts';
import { readCertificate } from './certificate-file.ts';
import { summary, warn, writeRecords } from '../command.ts';
import { specs } from '../kernels/all.ts';
import { mergeShards } from './merge.ts';
import { openKernels } from '../open-kernels.ts';
import { selectLaws } from '../query.ts';
import { runLaws } from '../run.ts';
import { sameResults, verifyCertificate } from './verify.ts';

export function addMergeCommand(program: Command): void {
  program
    .command('merge')
    .summary('put the certificates of a run’s shards together')
    .description(
      'Puts the certificates that “matryoshka conformance --shard i/n --json” wrote together: the result is that of the whole run, times aside.',
    )
    .argument('<certificates...>', 'one for each shard, in any order')
    .option('--json <file>', 'write the certificate of the whole run')
    .option('--junit <file>', 'write its results as JUnit XML')
    .addHelpText(
      'after',
      '\nExit status: 0 all laws hold, 1 a law failed, 2 wrong usage or a shard missing.',
    )
    .action(async (paths: readonly string[], options: { json?: string; junit?: string }) => {
      const read = await Promise.all(
        paths.map(async (path) => [path, await readCertificate(path)] as const),
      );
      if (new Set(paths).size !== paths.length) {
        throw new UsageError('merge: expected each file once');
      }
      const record = mergeShards(new Map(read), specs);
      await writeRecords(record, options);
      console.log(summary(record));
      process.exitCode = record.verdict === 'pass' ? 0 : 1;
    });
}

interface VerifyOptions {
  readonly kernel?: string;
  readonly backend?: string;
  readonly json?: true;
}

export function addVerifyCommand(program: Command): void {
  program
    .command('verify')
    .summary('check a certificate again')
    .description(
      'Checks that a certificate was not changed, that its verdict follows from its results, and that this copy of the suite draws the same cases under its seed. With --kernel or --backend it runs everything again and compares.',
    )
    .argument('<certificate>')
    .option('--kernel <command>', 'run these kernels again, in another process')
    .option('--backend <name>', 'run the kernels of this backend again')
    .option('--json', 'print the checks as JSON')
    .addHelpText('after', '\nExit status: 0 everything holds, 1 something does not, 2 wrong usage.')
    .action(async (path: string, options: VerifyOptions) => {
      const record = await readCertificate(path);
      const checks = verifyCertificate(record, specs);
      if (options.kernel !== undefined || options.backend !== undefined) {
        const names = new Set(record.kernels.map(({ kernel }) => kernel));
        const chosen = usage(() => selectLaws(specs, [...names]));
        const opened = await openKernels(
          {
            backend: options.backend ?? 'auto',
            timeLimit: 10,
            ...(options.kernel !== undefined && { kernel: options.kernel, dtype: record.dtype }),
          },
          chosen,
          warn,
        );
        try {
          checks.push(sameResults(record, await runLaws(chosen, opened.kernels, record)));
        } finally {
          opened.close();
        }
      }
      const holds = checks.every(({ wrong }) => wrong === null);
      if (options.json) console.log(JSON.stringify({ certificate: path, holds, checks }, null, 2));
      else {
        for (const { what, wrong } of checks) {
          console.log(
            wrong === null ? colours.green(`✓ ${what}`) : colours.red(`✗ ${what}: ${wrong}`),
          );
        }
        const verdict = `${record.verdict.toUpperCase()} ${record.backend}, ${record.dtype}, --seed ${record.seed}`;
        console.log(
          holds
            ? `\n${verdict}: the certificate holds`
            : colours.red('\nthe certificate does not hold'),
        );
      }
      process.exitCode = holds ? 0 : 1;
    });
}

/**
 * matryoshka merge, verify and compare: certificates put together, checked again, and laid side by side.
 * @module
 */
import { dirname } from 'node:path';
import type { Command } from 'commander';
import { requireWritableFolder, writeTextAtomically } from '../../training/atomic-file.ts';
import { colours } from '../../training/colours.ts';
import { usage, UsageError } from '../../training/usage-error.ts';
import type { Certificate } from './certificate.ts';
import { readCertificate } from './certificate-file.ts';
import { summary, warn, writeRecords } from '../certify-command.ts';
import { specs } from '../kernels/all.ts';
import { compareLines, comparePage } from './compare.ts';
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
      const record = mergeShards(await readAll('merge', paths), specs);
      await writeRecords(record, options);
      console.log(summary(record));
      process.exitCode = record.verdict === 'pass' ? 0 : 1;
    });
}

/** Certificates by file. @throws {@link UsageError} on a file named twice, and as {@link readCertificate}. */
async function readAll(
  command: string,
  paths: readonly string[],
): Promise<ReadonlyMap<string, Certificate>> {
  if (new Set(paths).size !== paths.length) {
    throw new UsageError(`${command}: expected each file once`);
  }
  const read = paths.map(async (path) => [path, await readCertificate(path)] as const);
  return new Map(await Promise.all(read));
}

export function addCompareCommand(program: Command): void {
  program
    .command('compare')
    .summary('lay certificates side by side: kernels × laws × dtypes')
    .description(
      'Lays certificates side by side, of several kernels or of several dtypes of one: what does not hold, and for each certificate how it ends.',
    )
    .argument('<certificates...>')
    .option('--html <file>', 'write a page to look at, with filters')
    .addHelpText(
      'after',
      '\nExit status: 0 every certificate passes, 1 one does not, 2 wrong usage.\nExample: matryoshka conformance --kernel ./kernels --dtype all --json runs/k.json; matryoshka compare runs/k.*.json --html runs/k.html',
    )
    .action(async (paths: readonly string[], { html }: { html?: string }) => {
      if (html !== undefined) await requireWritableFolder(dirname(html), '--html');
      const certificates = await readAll('compare', paths);
      for (const line of compareLines(certificates)) console.log(line);
      if (html !== undefined)
        await writeTextAtomically(
          html,
          comparePage(certificates, `matryoshka compare ${paths.join(' ')}`),
        );
      const passes = [...certificates.values()].every(({ verdict }) => verdict === 'pass');
      process.exitCode = passes ? 0 : 1;
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
            dtype: options.kernel === undefined ? [] : [record.dtype],
            ...(options.kernel !== undefined && { kernel: options.kernel }),
          },
          chosen,
          warn,
        );
        try {
          checks.push(sameResults(record, await runLaws(chosen, opened.kernels[0], record)));
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

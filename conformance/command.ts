/**
 * matryoshka conformance: holds kernels against the reference and says where they differ.
 * @module
 */
import { randomInt } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join, parse } from 'node:path';
import type { Command } from 'commander';
import { requireWritableFolder, writeTextAtomically } from '../training/atomic-file.ts';
import { colours } from '../training/colours.ts';
import { wholeNumber } from '../training/option-values.ts';
import { fileError } from '../training/file-error.ts';
import { usage } from '../training/usage-error.ts';
import { certificate, type Certificate } from './records/certificate.ts';
import {
  forgetFailure,
  savedFailures,
  saveFailure,
  type SavedFailure,
} from './records/counterexample.ts';
import {
  expectationFor,
  expectationsOf,
  judged,
  staleExpectations,
  type Expectation,
} from './records/expectations.ts';
import { formatFailure, formatResult } from './format.ts';
import { conformanceReport } from './records/html-report.ts';
import { junit } from './records/junit.ts';
import type { KernelSpec } from './kernel.ts';
import { specs } from './kernels/all.ts';
import { runMutants } from './mutants/command.ts';
import { openKernels, type Under } from './open-kernels.ts';
import { selectLaws } from './query.ts';
import { runUnits, type LawResult } from './run.ts';
import { lawResults, shardOf, unitsOf, unitsOfShard, type Shard } from './shards.ts';

interface Options extends Under {
  readonly only: readonly string[];
  readonly runs: number;
  readonly seed?: number;
  readonly path?: string;
  readonly shard?: Shard;
  readonly skips?: string;
  readonly xfails?: string;
  readonly failures?: string;
  readonly json?: string;
  readonly junit?: string;
  readonly html?: string;
  readonly mutants?: true;
  readonly variants?: true;
  readonly oracle?: true;
  readonly seeds: number;
  readonly cases: number;
  readonly list?: true;
}

export const defaultRuns = 200;

/** The value of --shard. @throws {@link UsageError} unless it is i/n. */
function shard(text: string): Shard {
  return usage(() => shardOf(text));
}

export function addConformanceCommand(program: Command): void {
  program
    .command('conformance')
    .summary('certify kernels against the reference')
    .description(
      'Holds every kernel against the float64 reference by laws over generated cases. A bound comes from the kernel’s declared arithmetic, never from what passes.',
    )
    .option(
      '--backend <name>',
      'auto, threads, tensorflow, webgpu, wasm, cpu, or reference',
      'auto',
    )
    .option(
      '--kernel <command>',
      'kernels in another process, in any language: see docs/certify.md',
    )
    .option(
      '--dtype <name>',
      'one of those the kernel offers, or all: one run for each (default: its first)',
    )
    .option(
      '--time-limit <seconds>',
      'longest that one call to --kernel may take',
      wholeNumber('--time-limit', 1),
      10,
    )
    .option(
      '--only <query>',
      'a kernel, or part of "kernel: law"; may be repeated',
      (query: string, before: readonly string[]) => [...before, query],
      [],
    )
    .option('--runs <n>', 'generated cases per law', wholeNumber('--runs', 1), defaultRuns)
    .option(
      '--seed <n>',
      'seed of the generated cases (default: random, printed)',
      wholeNumber('--seed', 0),
    )
    .option('--path <path>', 'replay one case: the path a failure printed')
    .option(
      '--shard <i/n>',
      'run one of n parts; put their certificates together with “matryoshka merge”',
      shard,
    )
    .option('--skips <file>', 'laws not to run, each under a comment with its reason')
    .option(
      '--xfails <file>',
      'laws that are expected to fail, likewise; one that passes fails the run',
    )
    .option('--failures <folder>', 'save failing cases there, and try first what is saved there')
    .option('--json <file>', 'write the certificate')
    .option('--junit <file>', 'write the results as JUnit XML')
    .option('--html <file>', 'write a page to look at: laws, and pictures of what failed')
    .option('--mutants', 'run the laws on kernels broken on purpose: all must be rejected')
    .option(
      '--variants',
      'run the laws on right kernels that compute otherwise: none may be rejected',
    )
    .option(
      '--seeds <n>',
      'with --mutants: runs of each, with seeds of their own',
      wholeNumber('--seeds', 1),
      1,
    )
    .option('--oracle', 'hold the reference itself against exact arithmetic')
    .option('--cases <n>', 'with --oracle: cases per operator', wholeNumber('--cases', 1), 100)
    .option('--list', 'list kernels with their tensors and laws')
    .addHelpText(
      'after',
      '\nExit status: 0 all laws hold, 1 a law failed or nothing was run, 2 wrong usage.\nExample: matryoshka conformance --backend wasm --only batch-topk --runs 1000',
    )
    .action(async (options: Options) => {
      if (options.oracle) {
        process.exitCode = await runOracleAgainst(options);
        return;
      }
      const chosen = usage(() => selectLaws(specs, options.only));
      if (options.list) return list(chosen);
      const seed = options.seed ?? randomInt(2 ** 31);
      if (options.variants) {
        const { runVariants } = await import('./variants/command.ts');
        process.exitCode = await runVariants(chosen, seed, {
          runs: options.runs,
          ...(options.shard && { shard: options.shard }),
        });
        return;
      }
      process.exitCode = options.mutants
        ? await runMutants(
            chosen.map(({ name }) => name),
            seed,
            options,
          )
        : await certifyEach(chosen, seed, options);
    });
}

/** Loaded only here: exact arithmetic takes a while to. */
async function runOracleAgainst({ json, ...options }: Options): Promise<number> {
  const { oracleCommand } = await import('./oracle/command.ts');
  if (json !== undefined) await requireWritableFolder(dirname(json), '--json');
  const seed = options.seed ?? randomInt(2 ** 31);
  return oracleCommand({ ...options, seed, ...(json !== undefined && { json }) }, console.log);
}

/** With --dtype all, one run and one set of files for each dtype. */
async function certifyEach(
  chosen: readonly KernelSpec[],
  seed: number,
  options: Options,
): Promise<number> {
  if (options.dtype !== 'all') return certify(chosen, seed, options);
  const { dtypes, close } = await openKernels(options, chosen, warn);
  close();
  let worst = 0;
  for (const dtype of dtypes) {
    const own = Object.fromEntries(
      (['json', 'junit', 'html'] as const).flatMap((option) => {
        const path = options[option];
        return path === undefined ? [] : [[option, beforeExtension(path, dtype)]];
      }),
    );
    console.log(`\n${colours.bold(dtype)}`);
    worst = Math.max(worst, await certify(chosen, seed, { ...options, ...own, dtype }));
  }
  return worst;
}

/** runs/k.json and float32: runs/k.float32.json. */
function beforeExtension(path: string, part: string): string {
  const { dir, name, ext } = parse(path);
  return join(dir, `${name}.${part}${ext}`);
}

async function certify(
  chosen: readonly KernelSpec[],
  seed: number,
  options: Options,
): Promise<number> {
  for (const [option, path] of [
    ['--json', options.json],
    ['--junit', options.junit],
    ['--html', options.html],
  ] as const) {
    if (path !== undefined) await requireWritableFolder(dirname(path), option);
  }
  const skips = await readExpectations(options.skips);
  const xfails = await readExpectations(options.xfails);
  const opened = await openKernels(options, chosen, warn);
  const { kernels, device, files } = opened;
  for (const note of opened.notes) console.log(colours.dim(note));
  if (opened.skip !== undefined) warn(`nothing can run here: ${opened.skip}`);
  const part =
    options.shard === undefined ? '' : `, shard ${options.shard.index} of ${options.shard.count}`;
  console.log(
    `${kernels.name} (${device}), ${kernels.dtype}, ${options.runs} cases a law, --seed ${seed}${part}`,
  );
  try {
    const all = unitsOf(chosen, options.runs, seed);
    const mine = options.shard === undefined ? all : unitsOfShard(all, options.shard);
    const skipped = (kernel: string, law: string): string | undefined =>
      opened.skip ?? expectationFor(skips, kernel, law, kernels.dtype)?.reason;
    const expected = <T extends LawResult>(result: T): T =>
      judged(result, expectationFor(xfails, result.kernel, result.law, kernels.dtype));
    const saved = options.failures === undefined ? [] : await savedFailures(options.failures);
    const ran = await runUnits(mine, kernels, {
      ...(options.path !== undefined && { path: options.path }),
      onResult: (result) => printResult(expected(result)),
      skipped,
      first: (kernel, law) =>
        saved.find(
          (known) => known.kernel === kernel && known.law === law && known.dtype === kernels.dtype,
        ),
    });
    const units = ran.map(expected);
    const results = lawResults(units);
    for (const result of results) {
      const spec = chosen.find(({ name }) => name === result.kernel)!;
      if (result.outcome === 'skip') continue;
      const failure = formatFailure(result, spec, commandOf(options));
      if (failure !== '') console.log(`\n${colours.red(failure)}`);
      if (options.failures !== undefined) {
        await keepFailure(options.failures, result, spec, kernels.dtype, saved, options.kernel);
      }
    }
    const stale = staleExpectations([...skips, ...xfails], specs).map(({ id }) => id);
    for (const id of stale) console.log(colours.red(`stale: no law is called “${id}”`));
    const record = certificate(results, kernels, specs, {
      device,
      seed,
      runs: options.runs,
      stale,
      ...(files && { files }),
      ...(options.shard && { shard: options.shard, units }),
    });
    await writeRecords(record, options);
    if (options.html !== undefined) {
      const page = conformanceReport(record, results, chosen, commandOf(options));
      await writeTextAtomically(options.html, page);
    }
    console.log(`\n${summary(record)}`);
    return record.verdict === 'pass' ? 0 : 1;
  } finally {
    opened.close();
  }
}

/** @throws {@link UsageError} if the file cannot be read, or an entry has no reason. */
async function readExpectations(path: string | undefined): Promise<Expectation[]> {
  if (path === undefined) return [];
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw fileError(error, path);
  }
  return usage(() => expectationsOf(text, path));
}

/** Saves a failure, or forgets one that was saved and is gone. */
async function keepFailure(
  folder: string,
  result: LawResult,
  spec: KernelSpec,
  dtype: string,
  saved: readonly SavedFailure[],
  command: string | undefined,
): Promise<void> {
  if (result.failure !== undefined) {
    const file = await saveFailure(folder, result, result.failure, spec, dtype, command);
    console.log(`  saved: ${file}`);
    return;
  }
  const known = saved.find(
    ({ kernel, law, dtype: of }) => kernel === result.kernel && law === result.law && of === dtype,
  );
  if (known === undefined) return;
  await forgetFailure(known);
  console.log(colours.green(`mended: “${known.kernel}: ${known.law}”, saved before, holds now`));
}

/** The command that repeats this one, as far as the kernels under test go. */
function commandOf({ kernel, backend, dtype }: Options): string {
  const under =
    kernel === undefined ? `--backend ${backend}` : `--kernel ${JSON.stringify(kernel)}`;
  return `matryoshka conformance ${under}${dtype === undefined ? '' : ` --dtype ${dtype}`}`;
}

/** Writes the certificate wherever the options ask for it. */
export async function writeRecords(
  record: Certificate,
  { json, junit: xml }: { readonly json?: string; readonly junit?: string },
): Promise<void> {
  if (json !== undefined) await writeTextAtomically(json, `${JSON.stringify(record, null, 2)}\n`);
  if (xml !== undefined) await writeTextAtomically(xml, junit(record));
}

function list(chosen: readonly KernelSpec[]): void {
  for (const spec of chosen) {
    console.log(`${colours.bold(spec.name)}  ${spec.summary}`);
    for (const [kind, entries] of [
      ['in', spec.inputs],
      ['config', spec.config],
      ['out', spec.outputs],
    ] as const) {
      for (const [name, meaning] of Object.entries(entries))
        console.log(`  ${kind} ${name}: ${meaning}`);
    }
    for (const law of spec.laws) console.log(`  law ${law.name}`);
  }
  const laws = chosen.reduce((sum, spec) => sum + spec.laws.length, 0);
  console.log(`\n${chosen.length} kernels, ${laws} laws`);
}

function printResult(result: LawResult): void {
  const line = formatResult(result);
  if (result.outcome === 'pass') console.log(line.replace('✓', colours.green('✓')));
  else console.log(result.outcome === 'skip' ? colours.yellow(line) : colours.red(line));
}

/** A warning, in the middle of a run. */
export function warn(warning: string): void {
  console.log(colours.yellow(warning));
}

export function summary({ verdict, counts, kernels, backend }: Certificate): string {
  const cases = kernels.reduce((sum, { cases: ran }) => sum + ran, 0);
  if (cases === 0) return colours.red(`FAIL ${backend}: no case was run, so nothing is shown`);
  const told = Object.entries(counts)
    .filter(([outcome, count]) => count > 0 || outcome === 'pass' || outcome === 'fail')
    .map(([outcome, count]) => `${count} ${outcome}`)
    .join(', ');
  const line = `${verdict === 'pass' ? 'PASS' : 'FAIL'} ${backend}: ${told}; ${cases.toLocaleString('en')} cases`;
  return verdict === 'pass' ? colours.green(line) : colours.red(line);
}

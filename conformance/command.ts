/**
 * matryoshka conformance: holds kernels against the reference and says where they differ.
 * @module
 */
import { randomInt } from 'node:crypto';
import { dirname } from 'node:path';
import type { Command } from 'commander';
import { requireWritableFolder } from '../training/atomic-file.ts';
import { colours } from '../training/colours.ts';
import { wholeNumber } from '../training/option-values.ts';
import { usage } from '../training/usage-error.ts';
import { certify, type CertifyOptions } from './certify-command.ts';
import type { KernelSpec } from './kernel.ts';
import { specs } from './kernels/all.ts';
import { runMutants } from './mutants/command.ts';
import { selectLaws } from './query.ts';
import { shardOf, type Shard } from './shards.ts';

interface Options extends Omit<CertifyOptions, 'seed'> {
  readonly seed?: number;
  readonly only: readonly string[];
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

/** The values of an option that may be given several times. */
function repeated(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
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
      'one of those the kernel offers, or all; may be repeated (default: its first)',
      repeated,
      [],
    )
    .option(
      '--time-limit <seconds>',
      'longest that one call to --kernel may take',
      wholeNumber('--time-limit', 1),
      10,
    )
    .option('--only <query>', 'a kernel, or part of "kernel: law"; may be repeated', repeated, [])
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
        : await certify(chosen, { ...options, seed });
    });
}

/** Loaded only here: exact arithmetic takes a while to. */
async function runOracleAgainst({ json, ...options }: Options): Promise<number> {
  const { oracleCommand } = await import('./oracle/command.ts');
  if (json !== undefined) await requireWritableFolder(dirname(json), '--json');
  const seed = options.seed ?? randomInt(2 ** 31);
  return oracleCommand({ ...options, seed, ...(json !== undefined && { json }) }, console.log);
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

/**
 * matryoshka conformance: holds kernels against the reference and says where they differ.
 * @module
 */
import { randomInt } from 'node:crypto';
import type { Command } from 'commander';
import { colours } from '../training/colours.ts';
import { backendNamed } from '../gpu/backend.ts';
import { portKernels } from '../gpu/kernels.ts';
import { dirname } from 'node:path';
import { requireWritableFolder, writeTextAtomically } from '../training/atomic-file.ts';
import { wholeNumber } from '../training/option-values.ts';
import { usage, UsageError } from '../training/usage-error.ts';
import { certificate, type Certificate } from './certificate.ts';
import { formatFailure, formatResult } from './format.ts';
import { openKernelProcess } from './kernel-process.ts';
import type { Kernels, KernelSpec } from './kernel.ts';
import { specs } from './kernels/all.ts';
import { mutants } from './mutants/all.ts';
import { selectLaws } from './query.ts';
import { processKernels } from './process-kernels.ts';
import { referenceKernels } from './reference-kernels.ts';
import { rejectMutant } from './reject.ts';
import { runLaws, type LawResult } from './run.ts';

interface Options {
  readonly backend: string;
  readonly kernel?: string;
  readonly dtype?: string;
  readonly timeLimit: number;
  readonly only: readonly string[];
  readonly runs: number;
  readonly seed?: number;
  readonly path?: string;
  readonly json?: string;
  readonly mutants?: true;
  readonly list?: true;
}

export const defaultRuns = 200;

export function addConformanceCommand(program: Command): void {
  program
    .command('conformance')
    .summary('certify kernels against the reference')
    .description(
      'Holds every kernel against the float64 reference by laws over generated cases. A bound comes from the kernel’s declared arithmetic, never from what passes.',
    )
    .option('--backend <name>', 'auto, tensorflow, webgpu, wasm, cpu, or reference', 'auto')
    .option(
      '--kernel <command>',
      'kernels in another process, in any language: see docs/certify.md',
    )
    .option('--dtype <name>', 'one of those the kernel offers (default: its first)')
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
    .option('--json <file>', 'write the certificate')
    .option('--mutants', 'run the laws on kernels broken on purpose: all must be rejected')
    .option('--list', 'list kernels with their tensors and laws')
    .addHelpText(
      'after',
      '\nExit status: 0 all laws hold, 1 a law failed or nothing was run, 2 wrong usage.\nExample: matryoshka conformance --backend wasm --only batch-topk --runs 1000',
    )
    .action(async (options: Options) => {
      const chosen = usage(() => selectLaws(specs, options.only));
      if (options.list) return list(chosen);
      const seed = options.seed ?? randomInt(2 ** 31);
      process.exitCode = options.mutants
        ? await runMutants(chosen, seed, options)
        : await certify(chosen, seed, options);
    });
}

async function certify(
  chosen: readonly KernelSpec[],
  seed: number,
  options: Options,
): Promise<number> {
  if (options.json !== undefined) await requireWritableFolder(dirname(options.json), '--json');
  const opened = await openKernels(options, chosen);
  const { kernels, device } = opened;
  for (const note of opened.notes) console.log(colours.dim(note));
  console.log(
    `${kernels.name} (${device}), ${kernels.dtype}, ${options.runs} cases a law, --seed ${seed}`,
  );
  try {
    const results = await runLaws(chosen, kernels, { ...options, seed }, (result) =>
      printResult(result),
    );
    for (const result of results) {
      const spec = chosen.find(({ name }) => name === result.kernel)!;
      const failure = formatFailure(result, spec, commandOf(options));
      if (failure !== '') console.log(`\n${colours.red(failure)}`);
    }
    const record = certificate(results, kernels, device, { seed, runs: options.runs });
    if (options.json !== undefined) {
      await writeTextAtomically(options.json, `${JSON.stringify(record, null, 2)}\n`);
    }
    console.log(`\n${summary(record)}`);
    return record.verdict === 'pass' ? 0 : 1;
  } finally {
    opened.close();
  }
}

/** The command that repeats this one, as far as the kernels under test go. */
function commandOf({ kernel, backend, dtype }: Options): string {
  const under =
    kernel === undefined ? `--backend ${backend}` : `--kernel ${JSON.stringify(kernel)}`;
  return `matryoshka conformance ${under}${dtype === undefined ? '' : ` --dtype ${dtype}`}`;
}

async function runMutants(
  chosen: readonly KernelSpec[],
  seed: number,
  options: Options,
): Promise<number> {
  const tried = mutants.filter(({ operator }) => chosen.some(({ name }) => name === operator));
  console.log(`${tried.length} mutants, ${options.runs} cases a law, --seed ${seed}`);
  let survivors = 0;
  for (const mutant of tried) {
    const { by, cases } = await rejectMutant(mutant, chosen, { ...options, seed });
    if (by === null) {
      survivors++;
      console.log(colours.red(`✗ ${mutant.operator}: ${mutant.name}: survives ${cases} cases`));
    } else {
      console.log(
        `${colours.green('✓')} ${mutant.operator}: ${mutant.name}: rejected at case ${cases} by “${by.law}”`,
      );
    }
    console.log(colours.dim(`    imitates ${mutant.imitates}`));
  }
  const verdict = `${tried.length - survivors} of ${tried.length} mutants rejected`;
  console.log(
    `\n${survivors === 0 && tried.length > 0 ? colours.green(verdict) : colours.red(verdict)}`,
  );
  return survivors === 0 && tried.length > 0 ? 0 : 1;
}

interface Opened {
  readonly kernels: Kernels;
  readonly device: string;
  /** What a user should know: which backends were passed over and why, what a kernel printed. */
  readonly notes: readonly string[];
  readonly close: () => void;
}

/** The kernels under test: a process's, a backend's, or the reference. */
export async function openKernels(
  options: Pick<Options, 'backend' | 'kernel' | 'dtype' | 'timeLimit'>,
  chosen: readonly KernelSpec[],
): Promise<Opened> {
  const { kernel, backend } = options;
  if (kernel !== undefined) return openProcess(kernel, options, chosen);
  if (options.dtype !== undefined) {
    throw new UsageError('--dtype: expected with --kernel only; a backend has one dtype');
  }
  const close = (): void => {};
  if (backend === 'reference') {
    const device = `Node ${process.version}, plain TypeScript`;
    return { kernels: referenceKernels, device, notes: [], close };
  }
  return { ...(await portKernels(usage(() => backendNamed(backend)))), close };
}

async function openProcess(
  command: string,
  { dtype, timeLimit }: Pick<Options, 'dtype' | 'timeLimit'>,
  chosen: readonly KernelSpec[],
): Promise<Opened> {
  let strays = 0;
  const opened = await openKernelProcess(command, {
    timeLimit: timeLimit * 1000,
    startLimit: 60_000,
    onStray: (text, bytes) => {
      if (strays++ > 0) return; // told once: a kernel that prints does so in every call
      console.log(
        colours.yellow(
          `the kernel printed ${bytes} bytes on standard output, where answers belong (print on standard error): ${JSON.stringify(text)}`,
        ),
      );
    },
  });
  const { hello } = opened;
  const format = hello.dtypes.find((offered) => offered === (dtype ?? hello.dtypes[0]));
  if (format === undefined) {
    opened.close();
    throw new UsageError(
      `--dtype: ${hello.name} offers ${hello.dtypes.join(', ')}, got ${JSON.stringify(dtype)}`,
    );
  }
  const known = new Set(specs.map(({ name }) => name));
  const unknown = hello.operators.filter((name) => !known.has(name));
  return {
    kernels: processKernels(opened, format, chosen),
    device: hello.device,
    notes: unknown.map((name) => `${hello.name} offers ${name}, which this suite does not know`),
    close: () => opened.close(),
  };
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

function summary({ verdict, counts, kernels, backend }: Certificate): string {
  const cases = kernels.reduce((sum, { cases: ran }) => sum + ran, 0);
  if (cases === 0) return colours.red(`FAIL ${backend}: no case was run, so nothing is shown`);
  const told = Object.entries(counts)
    .filter(([outcome, count]) => count > 0 || outcome === 'pass' || outcome === 'fail')
    .map(([outcome, count]) => `${count} ${outcome}`)
    .join(', ');
  const line = `${verdict === 'pass' ? 'PASS' : 'FAIL'} ${backend}: ${told}; ${cases.toLocaleString('en')} cases`;
  return verdict === 'pass' ? colours.green(line) : colours.red(line);
}

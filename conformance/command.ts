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
import { usage } from '../training/usage-error.ts';
import { certificate, type Certificate } from './certificate.ts';
import { formatFailure, formatResult } from './format.ts';
import type { Kernels, KernelSpec } from './kernel.ts';
import { specs } from './kernels/all.ts';
import { mutants } from './mutants/all.ts';
import { selectLaws } from './query.ts';
import { referenceKernels } from './reference-kernels.ts';
import { rejectMutant } from './reject.ts';
import { runLaws, type LawResult } from './run.ts';

interface Options {
  readonly backend: string;
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
  const { kernels, device, notes } = await openKernels(options.backend);
  for (const note of notes) console.log(colours.dim(note));
  console.log(
    `${kernels.name} (${device}), ${kernels.dtype}, ${options.runs} cases a law, --seed ${seed}`,
  );
  const results = await runLaws(chosen, kernels, { ...options, seed }, (result) =>
    printResult(result),
  );
  for (const result of results) {
    const spec = chosen.find(({ name }) => name === result.kernel)!;
    const failure = formatFailure(
      result,
      spec,
      `matryoshka conformance --backend ${options.backend}`,
    );
    if (failure !== '') console.log(`\n${colours.red(failure)}`);
  }
  const record = certificate(results, kernels, device, { seed, runs: options.runs });
  if (options.json !== undefined) {
    await writeTextAtomically(options.json, `${JSON.stringify(record, null, 2)}\n`);
  }
  console.log(`\n${summary(record)}`);
  return record.verdict === 'pass' ? 0 : 1;
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

/** The kernels of a backend, what computes them, and why no better backend was taken. */
export async function openKernels(
  name: string,
): Promise<{ kernels: Kernels; device: string; notes: readonly string[] }> {
  if (name === 'reference') {
    return {
      kernels: referenceKernels,
      device: `Node ${process.version}, plain TypeScript`,
      notes: [],
    };
  }
  const wanted = usage(() => backendNamed(name));
  return portKernels(wanted);
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

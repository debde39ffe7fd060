/**
 * Kernels held against the reference, in each dtype that is asked for: what is printed, what is written, and the verdict.
 * @module
 */
import { readFile } from 'node:fs/promises';
import { dirname, join, parse } from 'node:path';
import { requireWritableFolder, writeTextAtomically } from '../training/atomic-file.ts';
import { colours } from '../training/colours.ts';
import { fileError } from '../training/file-error.ts';
import { usage } from '../training/usage-error.ts';
import { formatFailure, formatResult } from './format.ts';
import type { Kernels, KernelSpec } from './kernel.ts';
import { specs } from './kernels/all.ts';
import { openKernels, type Opened, type Under } from './open-kernels.ts';
import { certificate, type Certificate } from './records/certificate.ts';
import { compareLines, comparePage } from './records/compare.ts';
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
import { conformanceReport } from './records/html-report.ts';
import { junit } from './records/junit.ts';
import { runUnits, type LawResult } from './run.ts';
import { lawResults, unitsOf, unitsOfShard, type Shard } from './shards.ts';

/** Where records are written, if anywhere. */
interface Files {
  readonly json?: string;
  readonly junit?: string;
  readonly html?: string;
}

export interface CertifyOptions extends Under, Files {
  /** Cases per law. */
  readonly runs: number;
  readonly seed: number;
  /** Replays one case. */
  readonly path?: string;
  readonly shard?: Shard;
  readonly skips?: string;
  readonly xfails?: string;
  readonly failures?: string;
}

/** What every dtype of a run has in common. */
interface Run {
  readonly chosen: readonly KernelSpec[];
  readonly opened: Opened;
  readonly skips: readonly Expectation[];
  readonly xfails: readonly Expectation[];
  readonly options: CertifyOptions;
}

/**
 * Runs the laws of the chosen specs. Several dtypes have a set of files each, and one page side by side.
 * @returns the exit status: 0 if all laws hold in every dtype.
 */
export async function certify(
  chosen: readonly KernelSpec[],
  options: CertifyOptions,
): Promise<number> {
  const { json, junit: xml, html } = options;
  for (const [option, path] of Object.entries({ '--json': json, '--junit': xml, '--html': html })) {
    if (path !== undefined) await requireWritableFolder(dirname(path), option);
  }
  const skips = await readExpectations(options.skips);
  const xfails = await readExpectations(options.xfails);
  const opened = await openKernels(options, chosen, warn);
  for (const note of opened.notes) console.log(colours.dim(note));
  if (opened.skip !== undefined) warn(`nothing can run here: ${opened.skip}`);
  const run: Run = { chosen, opened, skips, xfails, options };
  try {
    const [first, ...others] = opened.kernels;
    if (others.length === 0) {
      const { verdict } = await certifyDtype(first, options, run);
      return verdict === 'pass' ? 0 : 1;
    }
    const records = new Map<string, Certificate>();
    for (const kernels of opened.kernels) {
      console.log();
      const files = filesFor(options, kernels.dtype);
      const record = await certifyDtype(kernels, files, run);
      records.set(files.json ?? kernels.dtype, record);
    }
    console.log(`\n${compareLines(records).join('\n')}`);
    if (html !== undefined) await writeTextAtomically(html, comparePage(records, again(options)));
    return [...records.values()].every(({ verdict }) => verdict === 'pass') ? 0 : 1;
  } finally {
    opened.close();
  }
}

/** One dtype's files among several: runs/k.json and float32 are runs/k.float32.json. */
function filesFor({ json, junit: xml, html }: Files, dtype: string): Files {
  const own = (path: string): string => {
    const { dir, name, ext } = parse(path);
    return join(dir, `${name}.${dtype}${ext}`);
  };
  return {
    ...(json !== undefined && { json: own(json) }),
    ...(xml !== undefined && { junit: own(xml) }),
    ...(html !== undefined && { html: own(html) }),
  };
}

async function certifyDtype(
  kernels: Kernels,
  files: Files,
  { chosen, opened, skips, xfails, options }: Run,
): Promise<Certificate> {
  const { runs, seed, shard, failures } = options;
  const part = shard === undefined ? '' : `, shard ${shard.index} of ${shard.count}`;
  console.log(
    `${kernels.name} (${opened.device}), ${kernels.dtype}, ${runs} cases a law, --seed ${seed}${part}`,
  );
  const all = unitsOf(chosen, runs, seed);
  const mine = shard === undefined ? all : unitsOfShard(all, shard);
  const expected = <T extends LawResult>(result: T): T =>
    judged(result, expectationFor(xfails, result.kernel, result.law, kernels.dtype));
  const saved = failures === undefined ? [] : await savedFailures(failures);
  const ran = await runUnits(mine, kernels, {
    ...(options.path !== undefined && { path: options.path }),
    onResult: (result) => printResult(expected(result)),
    skipped: (kernel, law) =>
      opened.skip ?? expectationFor(skips, kernel, law, kernels.dtype)?.reason,
    first: (kernel, law) =>
      saved.find(
        (known) => known.kernel === kernel && known.law === law && known.dtype === kernels.dtype,
      ),
  });
  const units = ran.map(expected);
  const results = lawResults(units);
  const command = commandOf(options, kernels.dtype);
  for (const result of results) {
    const spec = chosen.find(({ name }) => name === result.kernel)!;
    if (result.outcome === 'skip') continue;
    const failure = formatFailure(result, spec, command);
    if (failure !== '') console.log(`\n${colours.red(failure)}`);
    if (failures !== undefined) {
      await keepFailure(failures, result, spec, kernels.dtype, saved, options.kernel);
    }
  }
  const stale = staleExpectations([...skips, ...xfails], specs).map(({ id }) => id);
  for (const id of stale) console.log(colours.red(`stale: no law is called “${id}”`));
  const record = certificate(results, kernels, specs, {
    device: opened.device,
    seed,
    runs,
    stale,
    ...(opened.files && { files: opened.files }),
    ...(shard && { shard, units }),
  });
  await writeRecords(record, files);
  if (files.html !== undefined) {
    await writeTextAtomically(files.html, conformanceReport(record, results, chosen, command));
  }
  console.log(`\n${summary(record)}`);
  return record;
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

/** The command that tests these kernels in one dtype again; it is named where a choice was made. */
function commandOf({ kernel, backend, dtype: asked }: CertifyOptions, dtype: string): string {
  const under =
    kernel === undefined ? `--backend ${backend}` : `--kernel ${JSON.stringify(kernel)}`;
  return `matryoshka conformance ${under}${asked.length === 0 ? '' : ` --dtype ${dtype}`}`;
}

/** The command that does all of this again, in every dtype. */
function again(options: CertifyOptions): string {
  const dtypes = options.dtype.join(' --dtype ');
  return `${commandOf(options, dtypes)} --seed ${options.seed} --runs ${options.runs}`;
}

/** Writes the certificate wherever the options ask for it. */
export async function writeRecords(
  record: Certificate,
  { json, junit: xml }: { readonly json?: string; readonly junit?: string },
): Promise<void> {
  if (json !== undefined) await writeTextAtomically(json, `${JSON.stringify(record, null, 2)}\n`);
  if (xml !== undefined) await writeTextAtomically(xml, junit(record));
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

/**
 * matryoshka bench: training steps of ours and of the peers, timed side by side.
 * @module
 */
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import type { Command } from 'commander';
import { requireWritableFolder, writeTextAtomically } from '../../training/atomic-file.ts';
import { oneOf, realNumber, wholeNumber } from '../../training/option-values.ts';
import { UsageError } from '../../training/usage-error.ts';
import { benchShape, type BenchOptions, type ShapeResult } from './bench.ts';
import { benchBackends, type BenchBackend } from './engine.ts';
import { peerDevices, peerPrecisions, type PeerDevice, type PeerPrecision } from './messages.ts';
import { installation, parsePeers, peersPython } from './peers.ts';
import { benchProgress, type BenchProgress } from './progress.ts';
import { benchRecord, circumstances, thisMachine, type BenchRecord } from './record.ts';
import {
  growthShapes,
  parseShape,
  shapeName,
  standardShapes,
  type DialectName,
  type Shape,
} from './shape.ts';
import { benchLegend, benchTable } from './table.ts';

interface Flags {
  readonly shape?: readonly string[];
  readonly backend: readonly string[];
  readonly peers: readonly DialectName[];
  readonly peerDevice: PeerDevice;
  readonly peerPrecision: PeerPrecision;
  readonly seconds: number;
  readonly rounds: number;
  readonly threads: number;
  readonly seed: number;
  readonly auxk: boolean;
  readonly growth?: true;
  readonly json?: string;
  readonly svg?: string;
  readonly html?: string;
}

/** A shape to measure; of a growth run, which of its sizes grows. */
interface Planned {
  readonly shape: Shape;
  readonly axis: 'd_sae' | 'batch' | null;
}

/** Exit statuses of a process stopped by a signal: 128 + its number. */
const STATUS = { SIGINT: 130, SIGTERM: 143 } as const;

/** More would not be told apart in a figure. */
const MOST_BACKENDS = 2;

export function addBenchCommand(program: Command): void {
  program
    .command('bench')
    .summary('time training steps beside the published trainers')
    .description(
      'Times whole training steps (encode, BatchTopK, prefix losses, AuxK, backward, projection, clipping, Adam, decoder norm, threshold, dead counters) of ours and of dictionary_learning and SAELens, in turns, in one run on the same activations from the same start. Prints medians, quartiles and ratios; no ratio where losses do not agree.',
    )
    .option(
      '--shape <sizes...>',
      'd_in/d_sae/B/k (default: five, from 20/20/200/1 to 384/6144/2048/32)',
    )
    .option('--backend <name...>', `of ours, one or two: ${benchBackends.join(', ')}`, ['auto'])
    .option(
      '--peers <names>',
      `dictionary_learning, saelens, both between a comma, or none. First time: ${installation}`,
      parsePeers,
      parsePeers('dictionary_learning,saelens'),
    )
    .option(
      '--peer-device <name>',
      `where peers compute: ${peerDevices.join(', ')}`,
      oneOf('--peer-device', peerDevices),
      'cpu',
    )
    .option(
      '--peer-precision <name>',
      'of peers: fp32, tf32 (products), bf16 (autocast)',
      oneOf('--peer-precision', peerPrecisions),
      'fp32',
    )
    .option(
      '--seconds <n>',
      'for each shape, all sides together',
      realNumber('--seconds', 0, true),
      20,
    )
    .option('--rounds <n>', 'turns of every side at each shape', wholeNumber('--rounds', 1), 9)
    .option(
      '--threads <n>',
      'at most, for every side; a peer is timed on one and on all of them (default: one per processor)',
      wholeNumber('--threads', 1),
      availableParallelism(),
    )
    .option('--seed <n>', 'of activations and initial weights', wholeNumber('--seed', 0), 0)
    .option('--no-auxk', 'let no latent count as dead, so that AuxK is idle')
    .option(
      '--growth',
      'time against d_sae (1k to 64k) and against B (64 to 4096) at d_in 64, k 16',
    )
    .option('--json <file>', 'write everything that was measured')
    .option('--svg <file>', 'write the ratios as a figure, with --growth the times')
    .option('--html <file>', 'write a page with table and figures')
    .addHelpText(
      'after',
      '\nRun it on a machine that does nothing else. Exit status: 0 done, 2 wrong usage, 130 or 143 interrupted (prints what it has).',
    )
    .action(async (flags: Flags) => {
      process.exitCode = await bench(flags);
    });
}

async function bench(flags: Flags): Promise<number> {
  const backends = parseBackends(flags.backend);
  const plan = planned(flags);
  for (const option of ['json', 'svg', 'html'] as const) {
    const path = flags[option];
    if (path !== undefined) await requireWritableFolder(dirname(path), `--${option}`);
  }
  if (flags.svg !== undefined && flags.peers.length === 0 && flags.growth === undefined) {
    throw new UsageError('--svg: there is no ratio to draw with --peers none: add --growth');
  }
  const distinct = new Set(plan.map(({ shape }) => shapeName(shape)));
  const progress = benchProgress(process.stderr, distinct.size);
  const python = flags.peers.length > 0 ? await peersPython((line) => progress.note(line)) : null;
  const { record, stopped } = await measureAll(plan, flags, backends, python, progress);
  progress.stop();
  await write(record, flags);
  process.stdout.write(summary(record));
  return stopped === null ? 0 : STATUS[stopped];
}

/** One after the other until all are measured, or Ctrl-C (or SIGTERM). */
async function measureAll(
  plan: readonly Planned[],
  flags: Flags,
  backends: readonly BenchBackend[],
  python: string | null,
  progress: BenchProgress,
): Promise<{ record: BenchRecord; stopped: keyof typeof STATUS | null }> {
  const { peers, peerDevice, peerPrecision, threads, seconds, rounds, seed, auxk } = flags;
  const machine = thisMachine();
  const date = new Date().toISOString();
  const interrupt = new AbortController();
  let stopped: keyof typeof STATUS | null = null;
  const stop = (signal: NodeJS.Signals): void => {
    stopped = signal as keyof typeof STATUS;
    interrupt.abort(new Error('interrupted'));
  };
  for (const signal of Object.keys(STATUS)) process.once(signal, stop);
  const options: BenchOptions = {
    ...{ backends, peers, peerDevice, peerPrecision, python, threads, seconds, rounds, seed, auxk },
    signal: interrupt.signal,
    onRound: (shape, round, rounds) => progress.round(shapeName(shape), round, rounds),
  };
  // A shape may stand in both growth runs, or be asked for besides: it is measured once.
  const done = new Map<string, ShapeResult>();
  try {
    for (const { shape } of plan) {
      if (interrupt.signal.aborted || done.has(shapeName(shape))) continue;
      const result = await benchShape(shape, options);
      done.set(shapeName(shape), result);
      for (const { failure } of result.sides) if (failure !== null) progress.note(failure);
    }
  } finally {
    for (const signal of Object.keys(STATUS)) process.removeListener(signal, stop);
  }
  const measured = plan.flatMap(({ shape, axis }) => {
    const result = done.get(shapeName(shape));
    return result === undefined ? [] : [{ axis, result }];
  });
  const shapes = measured.flatMap(({ axis, result }) => (axis === null ? [result] : []));
  const growth = measured.flatMap(({ axis, result }) => (axis === null ? [] : [{ axis, result }]));
  const command = commandLine(flags);
  return {
    record: benchRecord({ date, command, machine, threads, seed, auxk, shapes, growth }),
    stopped,
  };
}

function planned({ shape, growth }: Flags): Planned[] {
  const asked = shape?.map(parseShape) ?? (growth ? [] : standardShapes);
  const names = asked.map(shapeName);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) throw new UsageError(`--shape: expected each once, got ${twice} again`);
  return [...asked.map((one) => ({ shape: one, axis: null })), ...(growth ? growthShapes : [])];
}

/** @throws {@link UsageError} on a name that is none of them, one given twice, or too many. */
function parseBackends(names: readonly string[]): BenchBackend[] {
  const backends = names.map(oneOf('--backend', benchBackends));
  if (new Set(backends).size < backends.length || backends.length > MOST_BACKENDS) {
    throw new UsageError(
      `--backend: expected one or ${MOST_BACKENDS} different names, got ${backends.join(' ')}`,
    );
  }
  return backends;
}

/** The command that does it again, without the files it wrote. */
function commandLine(flags: Flags): string {
  return [
    'matryoshka bench',
    ...(flags.shape === undefined ? [] : ['--shape', ...flags.shape]),
    ...(flags.growth ? ['--growth'] : []),
    '--backend',
    ...flags.backend,
    '--peers',
    flags.peers.join(',') || 'none',
    ...(flags.peerDevice === 'cpu' ? [] : ['--peer-device', flags.peerDevice]),
    ...(flags.peerPrecision === 'fp32' ? [] : ['--peer-precision', flags.peerPrecision]),
    ...['seconds', 'rounds', 'threads', 'seed'].map(
      (name) => `--${name} ${flags[name as 'seconds' | 'rounds' | 'threads' | 'seed']}`,
    ),
    ...(flags.auxk ? [] : ['--no-auxk']),
  ].join(' ');
}

function summary(record: BenchRecord): string {
  const lines = [...benchLegend(record.rows), ...circumstances(record)];
  return `${benchTable(record.rows)}\n${lines.map((line) => `- ${line}\n`).join('')}`;
}

async function write(record: BenchRecord, { json, svg, html }: Flags): Promise<void> {
  if (json !== undefined) {
    await writeTextAtomically(json, `${JSON.stringify(record, null, 2)}\n`);
  }
  if (svg === undefined && html === undefined) return;
  const { benchFigures, benchPage } = await import('./page.ts'); // plots take seconds to load
  const figures = benchFigures(record);
  if (svg !== undefined) {
    for (const [i, figure] of figures.entries()) {
      await writeTextAtomically(i === 0 ? svg : numbered(svg, i + 1), figure.svg);
    }
  }
  if (html !== undefined) await writeTextAtomically(html, benchPage(record, figures));
}

/** `bench.svg`, `bench-2.svg`. */
function numbered(path: string, number: number): string {
  return path.replace(/(\.[^./\\]*)?$/, `-${number}$1`);
}

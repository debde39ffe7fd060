/**
 * Times whole training steps of ours and of the peers, in one run, on the same data and shapes.
 * @module
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BenchBackend } from './engine.ts';
import { measureCell, type Contender, type Measured } from './measure.ts';
import type { PeerDevice, PeerPrecision, Setup } from './messages.ts';
import { peerCommand } from './peers.ts';
import { writeActivations, writeParams } from './problem.ts';
import { benchConfig, benchDialects, type DialectName, type Shape } from './shape.ts';
import { openSide, ownProcess, type Side } from './side.ts';

export interface BenchOptions {
  readonly backends: readonly BenchBackend[];
  readonly peers: readonly DialectName[];
  /** Python that has the peers; needed if there are any. */
  readonly python: string | null;
  readonly peerDevice: PeerDevice;
  readonly peerPrecision: PeerPrecision;
  readonly threads: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly seed: number;
  /** Whether latents can count as dead. */
  readonly auxk: boolean;
  readonly signal?: AbortSignal;
  readonly onRound?: (shape: Shape, round: number, rounds: number) => void;
}

/** One side at one shape. */
export interface SideResult extends Measured {
  /** A backend as asked for, or the peer. */
  readonly name: string;
  readonly kind: 'ours' | 'peer';
  readonly dialect: DialectName;
  /** Threads it may use. */
  readonly allowed: number;
}

export interface ShapeResult {
  readonly shape: Shape;
  readonly prefixes: readonly number[];
  readonly warmupSteps: number;
  readonly stepsPerRound: number;
  /** For each dialect ours, one for each backend, then its peer, on one thread and on all. */
  readonly sides: readonly SideResult[];
  /** Share of the processors that other programs kept busy between turns. */
  readonly othersLoad: number;
  readonly interrupted: boolean;
}

/** Longest that one question to a side may take: a turn is short, an installation is not asked here. */
const LIMIT = 600_000;

type Entry = Pick<SideResult, 'name' | 'kind' | 'dialect' | 'allowed'>;

/** All sides at one shape. Temporary files and processes are gone afterwards. */
export async function benchShape(shape: Shape, options: BenchOptions): Promise<ShapeResult> {
  const folder = await mkdtemp(join(tmpdir(), 'matryoshka-bench-'));
  const sides: Side[] = [];
  try {
    const dialects = options.peers.length > 0 ? options.peers : dialectNames;
    const setups = await writeProblem(folder, shape, dialects, options);
    const entries = dialects.flatMap((dialect) => entriesOf(dialect, options));
    const contenders = entries.map((entry): Contender => {
      const side = start(entry, options);
      sides.push(side);
      return { side, setup: { ...setups[entry.dialect]!, threads: entry.allowed } };
    });
    const { seconds, rounds, signal, onRound } = options;
    const cell = await measureCell(contenders, {
      seconds,
      rounds,
      ...(signal && { signal }),
      ...(onRound && { onRound: (round, rounds) => onRound(shape, round, rounds) }),
    });
    return {
      shape,
      prefixes: setups[dialects[0]]!.prefixes,
      warmupSteps: cell.warmupSteps,
      stepsPerRound: cell.stepsPerRound,
      sides: cell.sides.map((measured, i) => ({ ...entries[i], ...measured })),
      othersLoad: cell.othersLoad,
      interrupted: cell.interrupted,
    };
  } finally {
    await Promise.all(sides.map((side) => side.close()));
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Torch takes every thread it is given for whatever it does, and small shapes are faster on one: the peer is timed with
 * both, and counts as the faster. On a GPU threads make no difference.
 */
function entriesOf(
  dialect: DialectName,
  { backends, peers, peerDevice, threads }: BenchOptions,
): Entry[] {
  const counts = peerDevice === 'cuda' ? [threads] : [...new Set([1, threads])];
  return [
    ...backends.map((name) => ({ name, kind: 'ours' as const, dialect, allowed: threads })),
    ...(peers.includes(dialect) ? counts : []).map((allowed) => ({
      name: dialect,
      kind: 'peer' as const,
      dialect,
      allowed,
    })),
  ];
}

const dialectNames = Object.keys(benchDialects) as DialectName[];

function start(entry: Entry, { python, signal }: BenchOptions): Side {
  const { name, kind, dialect, allowed } = entry;
  const command =
    kind === 'peer' ? peerCommand(python ?? 'python3', dialect) : ownProcess('ours-process', name);
  return openSide({
    name: kind === 'peer' ? `${name}, threads ${allowed}` : `ours on ${name}, ${dialect}`,
    command,
    threads: allowed,
    limit: LIMIT,
    ...(signal && { signal }),
  });
}

/** The files, and what each dialect's sides are told. */
async function writeProblem(
  folder: string,
  shape: Shape,
  dialects: readonly DialectName[],
  { seed, threads, auxk, peerDevice, peerPrecision }: BenchOptions,
): Promise<Partial<Record<DialectName, Setup>>> {
  const { path, batches } = await writeActivations(folder, shape, seed);
  const setups: Partial<Record<DialectName, Setup>> = {};
  for (const dialect of dialects) {
    const config = benchConfig(shape, dialect, auxk);
    setups[dialect] = {
      op: 'setup',
      ...shape,
      prefixes: config.prefixes,
      dialect,
      threads,
      activations: path,
      batches,
      params: await writeParams(folder, config, seed),
      steps: config.steps,
      learning_rate: config.learningRate,
      warmup_steps: config.warmupSteps,
      threshold_start_step: config.thresholdStartStep,
      auxk_alpha: config.auxkAlpha,
      dead_after: config.deadAfter,
      auxk,
      peer_device: peerDevice,
      peer_precision: peerPrecision,
    };
  }
  return setups;
}

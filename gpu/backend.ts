/**
 * Opens the backend asked for, or throws: another one never answers in its place. `auto` takes the best that works and
 * says what is better and why it does not work.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import {
  backendNames,
  BackendUnavailable,
  firstLine,
  type BackendName,
  type Problem,
} from './backend-unavailable.ts';
import { measureProfile, verifyProduct, type NumericProfile } from './numeric-profile.ts';
import { isNode } from './optional-package.ts';
import { noCuda, openTensorflow } from './tensorflow-backend.ts';
import { openCpu, openWasm } from './wasm-backend.ts';
import { openWebgpu } from './webgpu-backend.ts';
import { UsageError } from '../training/usage-error.ts';

export { backendNames, BackendUnavailable };
export type { BackendName, NumericProfile, Problem };

/** Backends by what they run on, from best to last: the order in which `auto` chooses. */
export const ranking = [
  'tensorflow on CUDA',
  'webgpu on a GPU',
  'tensorflow on the CPU',
  'wasm',
  'cpu',
  'webgpu in software',
] as const;

export type Rank = (typeof ranking)[number];

/** A better place in the ranking than the one opened, and why it was not taken. */
export interface Better extends Problem {
  readonly rank: Rank;
}

export interface OpenedBackend {
  readonly name: BackendName;
  readonly rank: Rank;
  /** For people: what computes. */
  readonly device: string;
  /** Of the library that computes. */
  readonly version: string;
  readonly profile: NumericProfile;
  /** Everything ranked above it that was tried, best first. Empty when the backend was asked for by name. */
  readonly better: readonly Better[];
}

/** What opening one backend by name yields; `short` is why a better rank of the same backend is out of reach. */
interface Opening {
  readonly opened: Omit<OpenedBackend, 'better'>;
  readonly short: Better | null;
}

/** Profiles do not change while a process lives. */
const openings = new Map<BackendName, Opening>();

/**
 * Makes a backend the one tfjs uses, after a product of known result came out right on it.
 * @param name - a backend, or `auto` for the best that works.
 * @throws {@link BackendUnavailable} if that backend does not work; its message holds the reason and the remedy.
 * @throws {@link UsageError} on a name that is none of them.
 */
export async function openBackend(name: BackendName | 'auto'): Promise<OpenedBackend> {
  tf.enableProdMode(); // tfjs prints banners and advice otherwise
  if (name === 'auto') return openBest();
  return { ...(await openNamed(name)).opened, better: [] };
}

/** @throws {@link UsageError} listing the names. */
export function backendNamed(name: string): BackendName | 'auto' {
  const known: readonly string[] = [...backendNames, 'auto'];
  if (!known.includes(name)) {
    throw new UsageError(
      `backend: expected one of ${known.join(', ')}, got ${JSON.stringify(name)}`,
    );
  }
  return name as BackendName | 'auto';
}

/**
 * The best GPU there is, opened, or why there is none. TensorFlow is not loaded where the system says that it could find no
 * GPU: its library takes hundreds of megabytes.
 */
export async function openGpu(): Promise<{
  readonly opened: OpenedBackend | null;
  readonly better: readonly Better[];
}> {
  tf.enableProdMode();
  const better: Better[] = [];
  for (const name of ['tensorflow', 'webgpu'] as const) {
    try {
      const impossible = name === 'tensorflow' ? await noCuda() : null;
      const opening = impossible === null ? await openNamed(name) : null;
      const short = impossible ?? opening?.short ?? null;
      if (short !== null) better.push({ ...short, rank: bestRank[name] });
      else if (opening !== null) return { opened: { ...opening.opened, better }, better };
    } catch (error) {
      if (!(error instanceof BackendUnavailable)) throw error;
      better.push({ rank: bestRank[name], ...error.problem });
    }
  }
  return { opened: null, better };
}

/** Why a backend that opened is not on the best device it could have; null if it is. */
export async function openedShort(name: BackendName): Promise<Better | null> {
  return (await openNamed(name)).short;
}

async function openBest(): Promise<OpenedBackend> {
  const problems: Better[] = [];
  const candidates: Opening[] = [];
  for (const name of backendNames) {
    try {
      const opening = await openNamed(name);
      candidates.push(opening);
      if (opening.short !== null) problems.push(opening.short);
    } catch (error) {
      if (!(error instanceof BackendUnavailable)) throw error;
      problems.push({ rank: bestRank[name], ...error.problem });
    }
    // What follows in `backendNames` cannot rank above these.
    const found = best(candidates);
    if (found !== null && ranking.indexOf(found.opened.rank) <= reachable(name)) break;
  }
  const chosen = best(candidates);
  if (chosen === null) throw new Error('no backend works, not even cpu: run npm install');
  await openNamed(chosen.opened.name); // probing left another one in use
  const place = ranking.indexOf(chosen.opened.rank);
  const better = problems
    .filter((problem) => ranking.indexOf(problem.rank) < place)
    .sort((a, b) => ranking.indexOf(a.rank) - ranking.indexOf(b.rank));
  return { ...chosen.opened, better };
}

const bestRank: Readonly<Record<BackendName, Rank>> = {
  tensorflow: 'tensorflow on CUDA',
  webgpu: 'webgpu on a GPU',
  wasm: 'wasm',
  cpu: 'cpu',
};

/** The best place in the ranking that backends after `name` can have. */
function reachable(name: BackendName): number {
  const later = backendNames.slice(backendNames.indexOf(name) + 1);
  return Math.min(ranking.length, ...later.map((next) => ranking.indexOf(bestRank[next])));
}

function best(candidates: readonly Opening[]): Opening | null {
  return candidates.reduce<Opening | null>(
    (first, next) =>
      first === null || ranking.indexOf(next.opened.rank) < ranking.indexOf(first.opened.rank)
        ? next
        : first,
    null,
  );
}

async function openNamed(name: BackendName): Promise<Opening> {
  backendNamed(name);
  const known = openings.get(name);
  if (known !== undefined) {
    await tf.setBackend(name);
    requireBackend(name);
    return known;
  }
  try {
    const { rank, device, version, short } = await start(name);
    requireBackend(name);
    await verifyProduct();
    const profile = await measureProfile(device);
    const opening = { opened: { name, rank, device, version, profile }, short };
    openings.set(name, opening);
    return opening;
  } catch (error) {
    if (error instanceof BackendUnavailable) throw error;
    throw new BackendUnavailable(name, 'broken', {
      reason: `it is there, but ${firstLine(error)}`,
      remedy: 'update its driver or package, or use another backend',
    });
  }
}

interface Started {
  readonly rank: Rank;
  readonly device: string;
  readonly version: string;
  readonly short: Better | null;
}

async function start(name: BackendName): Promise<Started> {
  const tfjs = `tfjs ${tf.version_core}`;
  switch (name) {
    case 'tensorflow': {
      const { version, cuda, withoutCuda } = await openTensorflow();
      const device = cuda ? 'CUDA' : `CPU, ${await processor()}`;
      const short = withoutCuda && { rank: ranking[0], ...withoutCuda };
      return { rank: ranking[cuda ? 0 : 2], device, version: `TensorFlow ${version}`, short };
    }
    case 'webgpu': {
      const { device, software } = await openWebgpu();
      const short = software
        ? {
            rank: bestRank.webgpu,
            reason: `only a software adapter is found: ${device}`,
            remedy: 'run on a machine with a GPU and its Vulkan driver',
          }
        : null;
      return { rank: ranking[software ? 5 : 1], device, version: tfjs, short };
    }
    case 'wasm': {
      const simd = await openWasm();
      const device = `CPU (${simd}, 1 thread), ${await processor()}`;
      return { rank: 'wasm', device, version: tfjs, short: null };
    }
    case 'cpu': {
      await openCpu();
      const device = `CPU (plain JavaScript), ${await processor()}`;
      return { rank: 'cpu', device, version: tfjs, short: null };
    }
  }
}

/** tfjs answers setBackend with another backend where one fails to start. */
function requireBackend(name: BackendName): void {
  const answered = tf.getBackend();
  if (answered === name) return;
  throw new BackendUnavailable(name, 'broken', {
    reason: `backend ${answered} answers in its place`,
    remedy: 'report this with the output of `matryoshka doctor`',
  });
}

async function processor(): Promise<string> {
  if (!isNode) return 'browser';
  const { cpus, arch } = await import('node:os');
  return cpus()[0]?.model.trim() || arch();
}

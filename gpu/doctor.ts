/**
 * Which backends work on this machine, and what would make the others work.
 * @module
 */
import { arch, cpus, platform, release, totalmem } from 'node:os';
import {
  backendNames,
  BackendUnavailable,
  openBackend,
  openedShort,
  type BackendName,
  type Problem,
} from './backend.ts';
import { loadInOtherProcess, missingLibraries } from './native-load.ts';
import { resolvePackage } from './optional-package.ts';
import { tensorflowPackage } from './tensorflow-backend.ts';

export interface BackendRecord {
  readonly name: BackendName;
  readonly status: 'works' | 'not installed' | 'broken';
  /** What computes; null if it does not work. */
  readonly device: string | null;
  readonly version: string | null;
  /** Why it does not work, or, if it does, why not on a better device; null if there is nothing to say. */
  readonly reason: string | null;
  readonly remedy: string | null;
  /** It took to open, and to fail. */
  readonly seconds: number;
}

export interface Diagnosis {
  readonly backends: readonly BackendRecord[];
  /** What `auto` takes; null if nothing works. */
  readonly auto: BackendName | null;
  readonly node: string;
  readonly platform: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
}

/** Opens every backend in turn and leaves the one that `auto` takes in use. */
export async function diagnose(): Promise<Diagnosis> {
  const backends: BackendRecord[] = [];
  for (const name of backendNames) backends.push(await examine(name));
  const works = backends.some((record) => record.status === 'works');
  return {
    backends,
    auto: works ? await chosenByAuto(backends) : null,
    node: process.versions.node,
    platform: `${platform()} ${release()} ${arch()}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
  };
}

async function examine(name: BackendName): Promise<BackendRecord> {
  const start = performance.now();
  const seconds = (): number => Math.round(performance.now() - start) / 1000;
  try {
    const log = await loadNative(name);
    const { device, version } = await openBackend(name);
    const short = await openedShort(name);
    const problem = short && { ...short, ...fromLog(name, log) };
    return {
      name,
      status: 'works',
      device,
      version,
      reason: problem?.reason ?? null,
      remedy: problem?.remedy ?? null,
      seconds: seconds(),
    };
  } catch (error) {
    if (!(error instanceof BackendUnavailable)) throw error;
    const { status, problem } = error;
    return { name, status, device: null, version: null, ...problem, seconds: seconds() };
  }
}

/** What native libraries say while they load; empty for backends without any. Throws if they crash. */
async function loadNative(name: BackendName): Promise<string> {
  if (name !== 'tensorflow' && name !== 'webgpu') return '';
  const file = await resolvePackage(name === 'tensorflow' ? tensorflowPackage : 'webgpu');
  if (file === null) return '';
  const { crash, log } = await loadInOtherProcess(name, file);
  if (crash === null) return log;
  throw new BackendUnavailable(name, 'broken', {
    reason: `loading its native library crashes: ${crash}`,
    remedy: 'reinstall its package and the GPU driver, or use another backend',
  });
}

/** A more precise problem than the package itself admits to, if the log holds one. */
function fromLog(name: BackendName, log: string): Problem | null {
  const missing = missingLibraries(log);
  if (name !== 'tensorflow' || missing.length === 0) return null;
  return {
    reason: `no CUDA: missing ${missing.join(', ')}`,
    remedy: `install the CUDA and cuDNN that hold ${missing.join(', ')} and name their folders in LD_LIBRARY_PATH`,
  };
}

async function chosenByAuto(backends: readonly BackendRecord[]): Promise<BackendName> {
  // A backend whose library crashes in another process would crash this one: then do not try them all again.
  const crashed = backends.some((record) => record.reason?.includes('crashes') === true);
  if (!crashed) return (await openBackend('auto')).name;
  const first = backends.find((record) => record.status === 'works');
  return (await openBackend(first?.name ?? 'cpu')).name;
}

/**
 * Which backends work on this machine, and what would make the others work.
 * @module
 */
import { arch, availableParallelism, cpus, platform, release, totalmem } from 'node:os';
import {
  backendNames,
  BackendUnavailable,
  openBackend,
  openedShort,
  type BackendName,
  type Problem,
} from './backend.ts';
import { choose, type ComputeName } from './choose.ts';
import { cudaFailure, gpusInUse, loadInOtherProcess, missingLibraries } from './native-load.ts';
import { resolvePackage } from './optional-package.ts';
import { nvidiaDriver } from './setup/requirements.ts';
import { version } from '../reference/version.ts';
import { tensorflowSource } from './tensorflow-backend.ts';
import { describeEngine, openEngine } from './threads/engine.ts';

export interface BackendRecord {
  readonly name: ComputeName;
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
  readonly auto: ComputeName | null;
  readonly node: string;
  readonly platform: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
}

/** Opens every backend in turn and leaves the one that `auto` takes in use. */
export async function diagnose(): Promise<Diagnosis> {
  const threads = examineThreads();
  const port: BackendRecord[] = [];
  for (const name of backendNames) port.push(await examine(name));
  const tensorflow = port.find(({ name }) => name === 'tensorflow')!;
  const backends = [threads, together(threads, tensorflow), ...port];
  return {
    backends,
    auto: await chosenByAuto(backends),
    node: process.versions.node,
    platform: `${platform()} ${release()} ${arch()}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
  };
}

/** Own kernels compile and add wherever Node runs. */
function examineThreads(): BackendRecord {
  const start = performance.now();
  const engine = openEngine({ threads: 1 });
  const at = engine.alloc(16);
  engine.f32(at, 4).fill(2);
  const works = engine.kernels.sumOfSquares(at, 4) === 16;
  return {
    name: 'threads',
    status: works ? 'works' : 'broken',
    device: works ? describeEngine(engine, availableParallelism()) : null,
    version: works ? `matryoshka-sae ${version}` : null,
    reason: works ? null : 'a dot product of its own kernels is wrong',
    remedy: works ? null : 'report this with the output of `matryoshka doctor`',
    seconds: Math.round(performance.now() - start) / 1000,
  };
}

/** Own kernels with TensorFlow's products work where both do. */
function together(threads: BackendRecord, tensorflow: BackendRecord): BackendRecord {
  const name = 'threads+tensorflow';
  const missing = [threads, tensorflow].find(({ status }) => status !== 'works');
  if (missing !== undefined) return { ...missing, name, seconds: 0 };
  const device = `${threads.device}, large products by ${tensorflow.version}`;
  return { ...threads, name, device, seconds: 0 };
}

async function examine(name: BackendName): Promise<BackendRecord> {
  const start = performance.now();
  const seconds = (): number => Math.round(performance.now() - start) / 1000;
  try {
    const log = await loadNative(name);
    const { device, version } = await openBackend(name);
    const short = await openedShort(name);
    const problem = short && { ...short, ...fromLog(name, log) };
    const gpus = short === null ? gpusInUse(log) : [];
    return {
      name,
      status: 'works',
      device: gpus.length === 0 ? device : `${device}: ${gpus.join('; ')}`,
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
  const file =
    name === 'webgpu' ? await resolvePackage(name) : ((await tensorflowSource())?.file ?? null);
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
  if (name !== 'tensorflow') return null;
  const missing = missingLibraries(log);
  if (missing.length > 0) {
    return {
      reason: `no CUDA: missing ${missing.join(', ')}`,
      remedy: `matryoshka setup tensorflow --cuda; or install the CUDA and cuDNN that hold ${missing.join(', ')} and name their folders in LD_LIBRARY_PATH`,
    };
  }
  // Without a driver TensorFlow says the same, less clearly.
  const failure = nvidiaDriver() === null ? null : cudaFailure(log);
  if (failure === null) return null;
  return {
    reason: `no CUDA: TensorFlow said: ${failure}`,
    remedy:
      'see that nvidia-smi names the GPU; update the driver, or restart the machine after an update',
  };
}

async function chosenByAuto(backends: readonly BackendRecord[]): Promise<ComputeName> {
  // A backend whose library crashes in another process would crash this one: then do not try them all again.
  const crashed = backends.some((record) => record.reason?.includes('crashes') === true);
  return crashed ? 'threads' : (await choose('auto')).name;
}

/**
 * Loads a package with a native addon in a process of its own: an addon that crashes takes only that process along, and
 * what native libraries write to standard error can be read.
 * @module
 */
import { spawn } from 'node:child_process';
import { pathToFileURL } from 'node:url';

export interface NativeLoad {
  /** How the process died, if a signal or the time limit ended it. */
  readonly crash: string | null;
  /** What was written to standard error. */
  readonly log: string;
}

/** What to run in the other process. It is plain JavaScript: no loader for TypeScript is there. */
const scripts = {
  tensorflow: (file: string) => `require(${JSON.stringify(file)})`,
  webgpu: (file: string) =>
    `import(${JSON.stringify(pathToFileURL(file).href)}).then(async ({ create, globals }) => {
      Object.assign(globalThis, globals);
      await create([]).requestAdapter();
      process.exit(0);
    })`,
};

/** @param file - where the package starts. */
export function loadInOtherProcess(
  name: keyof typeof scripts,
  file: string,
  limitSeconds = 60,
): Promise<NativeLoad> {
  const env = { ...process.env, TF_CPP_MIN_LOG_LEVEL: '0', TF_CPP_MAX_VLOG_LEVEL: '0' };
  const child = spawn(process.execPath, ['-e', scripts[name](file)], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: limitSeconds * 1000,
  });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (_code, signal) => {
      const late = signal === 'SIGTERM' ? `no answer within ${limitSeconds} s` : signal;
      resolve({ crash: late, log });
    });
  });
}

/** Libraries that the log of TensorFlow says it could not load, each once. */
export function missingLibraries(log: string): string[] {
  const named = [...log.matchAll(/(?:Could not load dynamic library '|dlerror: )(lib[\w.+-]+)/g)];
  return [...new Set(named.map((match) => match[1]))];
}

/** GPUs that the log of TensorFlow says it computes on: `NVIDIA H200, compute capability 9.0, 133 GiB for TensorFlow`. */
export function gpusInUse(log: string): string[] {
  const created =
    /device:GPU:\d+ with (\d+) MB memory: +-> device: \d+, name: ([^,]+),.*?compute capability: ([\d.]+)/g;
  return [...log.matchAll(created)].map(
    ([, mebibytes, name, capability]) =>
      `${name}, compute capability ${capability}, ${(Number(mebibytes) / 1024).toFixed(0)} GiB for TensorFlow`,
  );
}

/** Why CUDA does not start, in TensorFlow's own words; null if its log has none. */
export function cudaFailure(log: string): string | null {
  const said =
    /failed call to cuInit: .*|kernel driver does not appear to be running.*|Ignoring visible gpu device.*|Could not find cuda drivers.*/i;
  return said.exec(log)?.[0].trim() ?? null;
}

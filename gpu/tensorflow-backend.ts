/**
 * Opens `tensorflow`: what `matryoshka setup tensorflow` built, else the optional package @tensorflow/tfjs-node-gpu, on
 * CUDA or on the CPU. Says which of the two it is, because the package itself falls back to the CPU without a word.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import { BackendUnavailable, firstLine, type Problem } from './backend-unavailable.ts';
import { isNode, loadPackage, resolvePackage } from './optional-package.ts';
import type { Flavour, Installed } from './setup/cache-folder.ts';

export const tensorflowPackage = '@tensorflow/tfjs-node-gpu';

export interface TensorflowDevice {
  /** TensorFlow's own version, as the addon reports it. */
  readonly version: string;
  readonly cuda: boolean;
  /** Why not CUDA; null if it is. */
  readonly withoutCuda: Problem | null;
}

/** Where the backend is loaded from. */
export interface TensorflowSource {
  /** What setup built; null if it is the package that npm installed. */
  readonly setUp: Installed | null;
  /** Node loads the native libraries with this file. */
  readonly file: string;
}

/** What setup built comes first: it was asked for by hand. Null if there is neither. */
export async function tensorflowSource(): Promise<TensorflowSource | null> {
  const { installedFor } = await import('./setup/cache-folder.ts');
  const { nvidiaDriver } = await import('./setup/requirements.ts');
  const setUp = installedFor(nvidiaDriver() !== null);
  if (setUp !== null) return { setUp, file: setUp.addon };
  const file = await resolvePackage(tensorflowPackage);
  return file === null ? null : { setUp: null, file };
}

/**
 * Loads it and registers the backend.
 * @throws {@link BackendUnavailable} if it is absent or does not load.
 */
export async function openTensorflow(): Promise<TensorflowDevice> {
  if (!isNode) {
    throw new BackendUnavailable('tensorflow', 'not installed', {
      reason: 'needs Node, this is a browser',
      remedy: 'use webgpu or wasm',
    });
  }
  const source = await tensorflowSource();
  if (source === null) throw new BackendUnavailable('tensorflow', 'not installed', absentPackage);
  const { setUp, file } = source;
  // Exact float32 products on GPUs that would round operands to TF32, no start-up log, and GPU memory as it is needed
  // instead of all of it for one process; unless the user chose.
  process.env['NVIDIA_TF32_OVERRIDE'] ??= '0';
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
  process.env['TF_FORCE_GPU_ALLOW_GROWTH'] ??= 'true';
  try {
    if (setUp === null) await loadInstalled(file);
    else await loadSetUp(setUp);
  } catch (error) {
    throw new BackendUnavailable('tensorflow', 'broken', loadProblem(error, setUp));
  }
  if (!(await tf.setBackend('tensorflow'))) {
    throw new BackendUnavailable('tensorflow', 'broken', {
      reason: 'the package loads, but its backend does not start',
      remedy: setUp === null ? `npm rebuild ${tensorflowPackage}` : setUpAgain,
    });
  }
  const backend = tf.backend() as unknown as {
    isUsingGpuDevice?: boolean;
    binding?: { TF_Version?: string };
  };
  const version = backend.binding?.TF_Version ?? 'unknown';
  const cuda = backend.isUsingGpuDevice === true;
  const flavour = setUp?.flavour ?? null;
  return { version, cuda, withoutCuda: cuda ? null : await cudaProblem(version, flavour) };
}

async function loadInstalled(file: string): Promise<void> {
  await restoreRemovedUtil();
  await loadPackage(file);
}

/** In its `@tensorflow/tfjs` setup left an empty module, to be filled with the tfjs-core in use. */
async function loadSetUp({ addon, packageFolder }: Installed): Promise<void> {
  if (tf.findBackendFactory('tensorflow') !== null) return;
  const { createRequire } = await import('node:module');
  const load = createRequire(`${packageFolder}/package.json`);
  const binding: unknown = load(addon);
  Object.assign(load('@tensorflow/tfjs') as object, tf);
  load('./dist/register_all_kernels.js');
  const { NodeJSKernelBackend } = load('./dist/nodejs_kernel_backend.js') as {
    NodeJSKernelBackend: new (binding: unknown, packageName: string) => tf.KernelBackend;
  };
  tf.registerBackend('tensorflow', () => new NodeJSKernelBackend(binding, tensorflowPackage));
}

const absentPackage: Problem = {
  reason: `TensorFlow is not set up, and package ${tensorflowPackage} is not installed (npm drops it where its libtensorflow download fails)`,
  remedy:
    'matryoshka setup tensorflow (Linux on x64; with --cuda for NVIDIA GPUs), or use another backend',
};

const setUpAgain =
  'matryoshka setup tensorflow --uninstall, then matryoshka setup tensorflow again';

/**
 * What an error while loading means.
 * @param setUp - what setup built, if it was that.
 */
export function loadProblem(error: unknown, setUp: Installed | null = null): Problem {
  const message = error instanceof Error ? error.message : String(error);
  if (setUp !== null) {
    return {
      reason: `TensorFlow in ${setUp.folder} does not load: ${firstLine(error)}`,
      remedy: setUpAgain,
    };
  }
  const library = /(lib[\w.+-]+\.so[\w.]*): cannot open shared object file/.exec(message)?.[1];
  if (library !== undefined) {
    return {
      reason: `shared library ${library} is missing`,
      remedy: library.startsWith('libtensorflow')
        ? `matryoshka setup tensorflow, or npm rebuild ${tensorflowPackage} (downloads libtensorflow)`
        : `install ${library} and let LD_LIBRARY_PATH name its folder`,
    };
  }
  if (message.includes('tfjs_binding.node')) {
    return {
      reason: 'its native addon (tfjs_binding.node) is not built',
      remedy: `matryoshka setup tensorflow, or npm rebuild ${tensorflowPackage} --build-addon-from-source (needs python3, make and a C++ compiler)`,
    };
  }
  return {
    reason: `the package does not load: ${firstLine(error)}`,
    remedy: `matryoshka setup tensorflow, or npm rebuild ${tensorflowPackage}, or use another backend`,
  };
}

/** Why no TensorFlow could compute on CUDA here, as far as the system tells without loading one; null if it may. */
export async function noCuda(): Promise<Problem | null> {
  if (!isNode || process.platform !== 'linux') return null;
  const { nvidiaDriver } = await import('./setup/requirements.ts');
  if (nvidiaDriver() !== null) return null;
  return {
    reason: 'no CUDA: no NVIDIA GPU or driver found',
    remedy: 'run on a machine with an NVIDIA GPU and its driver',
  };
}

/** Why TensorFlow computes on the CPU. The package does not tell, so this looks for an NVIDIA driver. */
async function cudaProblem(version: string, flavour: Flavour | null): Promise<Problem> {
  const { driverWarning, nvidiaDriver } = await import('./setup/requirements.ts');
  const driver = nvidiaDriver();
  const missing = await noCuda();
  if (missing !== null) return missing;
  if (flavour === 'cpu') {
    return {
      reason: `no CUDA: TensorFlow ${version} is set up for the CPU`,
      remedy: 'matryoshka setup tensorflow --cuda',
    };
  }
  if (flavour === 'cuda') {
    return {
      reason: `no CUDA: ${driverWarning(driver) ?? `TensorFlow ${version} does not start it`}`,
      remedy: 'see that nvidia-smi names the GPU; `matryoshka doctor` says what TensorFlow said',
    };
  }
  return {
    reason: `no CUDA: TensorFlow ${version} found no usable CUDA and cuDNN libraries`,
    remedy:
      'matryoshka setup tensorflow --cuda; or install the CUDA and cuDNN that this TensorFlow was built for (2.9: CUDA 11.2, cuDNN 8.1) and name their folders in LD_LIBRARY_PATH',
  };
}

/**
 * Gives node:util back the two functions that the installed package calls: Node 22 warns about them, Node 23 removed one.
 * Fixed in the package's repository and never released: tensorflow/tfjs #8425. Setup's own copy of the package does
 * without.
 */
async function restoreRemovedUtil(): Promise<void> {
  const util = (await import('node:util')).default as unknown as Record<string, unknown>;
  util['isNullOrUndefined'] = (value: unknown): boolean => value === null || value === undefined;
  util['isArray'] = Array.isArray;
}

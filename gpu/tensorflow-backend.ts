/**
 * Opens `tensorflow`: the optional package @tensorflow/tfjs-node-gpu, on CUDA or on the CPU. Says which of the two it is,
 * because the package itself falls back to the CPU without a word.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import { BackendUnavailable, firstLine, type Problem } from './backend-unavailable.ts';
import { isNode, loadPackage, resolvePackage } from './optional-package.ts';

export const tensorflowPackage = '@tensorflow/tfjs-node-gpu';

export interface TensorflowDevice {
  /** TensorFlow's own version, as the addon reports it. */
  readonly version: string;
  readonly cuda: boolean;
  /** Why not CUDA; null if it is. */
  readonly withoutCuda: Problem | null;
}

/**
 * Loads the package, which registers the backend.
 * @throws {@link BackendUnavailable} if the package or its addon is absent or does not load.
 */
export async function openTensorflow(): Promise<TensorflowDevice> {
  if (!isNode) {
    throw new BackendUnavailable('tensorflow', 'not installed', {
      reason: 'needs Node, this is a browser',
      remedy: 'use webgpu or wasm',
    });
  }
  const file = await resolvePackage(tensorflowPackage);
  if (file === null) throw new BackendUnavailable('tensorflow', 'not installed', absentPackage);
  await restoreRemovedUtil();
  // Exact float32 products on GPUs that would round operands to TF32, and no start-up log; unless the user chose.
  process.env['NVIDIA_TF32_OVERRIDE'] ??= '0';
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
  try {
    await loadPackage(file);
  } catch (error) {
    throw new BackendUnavailable('tensorflow', 'broken', loadProblem(error));
  }
  if (!(await tf.setBackend('tensorflow'))) {
    throw new BackendUnavailable('tensorflow', 'broken', {
      reason: 'the package loads, but its backend does not start',
      remedy: `npm rebuild ${tensorflowPackage}`,
    });
  }
  const backend = tf.backend() as unknown as {
    isUsingGpuDevice?: boolean;
    binding?: { TF_Version?: string };
  };
  const version = backend.binding?.TF_Version ?? 'unknown';
  const cuda = backend.isUsingGpuDevice === true;
  return { version, cuda, withoutCuda: cuda ? null : await cudaProblem(version) };
}

const absentPackage: Problem = {
  reason: `package ${tensorflowPackage} is not installed (npm drops it where its libtensorflow download fails)`,
  remedy: `npm install ${tensorflowPackage}, with access to storage.googleapis.com; or install it with --ignore-scripts and build its addon against another libtensorflow`,
};

/** What an error while loading the package means. */
export function loadProblem(error: unknown): Problem {
  const message = error instanceof Error ? error.message : String(error);
  const library = /(lib[\w.+-]+\.so[\w.]*): cannot open shared object file/.exec(message)?.[1];
  if (library !== undefined) {
    return {
      reason: `shared library ${library} is missing`,
      remedy: library.startsWith('libtensorflow')
        ? `npm rebuild ${tensorflowPackage} (downloads libtensorflow), or place ${library} in its deps/lib`
        : `install ${library} and let LD_LIBRARY_PATH name its folder`,
    };
  }
  if (message.includes('tfjs_binding.node')) {
    return {
      reason: 'its native addon (tfjs_binding.node) is not built',
      remedy: `npm rebuild ${tensorflowPackage} --build-addon-from-source (needs python3, make and a C++ compiler)`,
    };
  }
  return {
    reason: `the package does not load: ${firstLine(error)}`,
    remedy: `npm rebuild ${tensorflowPackage}, or use another backend`,
  };
}

/** Why TensorFlow computes on the CPU. The package does not tell, so this looks for an NVIDIA driver. */
async function cudaProblem(version: string): Promise<Problem> {
  const { existsSync } = await import('node:fs');
  const driver = ['/proc/driver/nvidia/version', '/dev/nvidia0', '/dev/dxg'].some(existsSync);
  if (!driver && process.platform === 'linux') {
    return {
      reason: 'no CUDA: no NVIDIA GPU or driver found',
      remedy: 'run on a machine with an NVIDIA GPU and its driver',
    };
  }
  return {
    reason: `no CUDA: TensorFlow ${version} found no usable CUDA and cuDNN libraries`,
    remedy:
      'install the CUDA and cuDNN that this TensorFlow was built for (2.9: CUDA 11.2, cuDNN 8.1) and name their folders in LD_LIBRARY_PATH; `matryoshka doctor` names the missing library',
  };
}

/**
 * Gives node:util back the two functions that the package calls: Node 22 warns about them, Node 23 removed one. Fixed in
 * the package's repository and never released: tensorflow/tfjs #8425.
 */
async function restoreRemovedUtil(): Promise<void> {
  const util = (await import('node:util')).default as unknown as Record<string, unknown>;
  util['isNullOrUndefined'] = (value: unknown): boolean => value === null || value === undefined;
  util['isArray'] = Array.isArray;
}

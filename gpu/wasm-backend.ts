/**
 * Opens `wasm` and `cpu`, which every installation has.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import { BackendUnavailable, firstLine } from './backend-unavailable.ts';
import { isNode, resolvePackage } from './optional-package.ts';

/**
 * @returns what runs it: `SIMD` or `no SIMD`.
 * @throws {@link BackendUnavailable} if the .wasm file cannot be read or compiled.
 */
export async function openWasm(): Promise<string> {
  try {
    const wasm = await import('@tensorflow/tfjs-backend-wasm');
    if (isNode) {
      // The package's own folder, so that it is found from any working folder, from source and compiled.
      const entry = await resolvePackage('@tensorflow/tfjs-backend-wasm');
      const path = await import('node:path');
      if (entry !== null) wasm.setWasmPaths(path.dirname(entry) + path.sep);
    }
    if (!(await tf.setBackend('wasm'))) throw new Error('tfjs does not start it');
  } catch (error) {
    throw new BackendUnavailable('wasm', 'broken', {
      reason: `the WebAssembly module does not start: ${firstLine(error)}`,
      remedy: 'npm install (its .wasm files belong to @tensorflow/tfjs-backend-wasm), or use cpu',
    });
  }
  const simd = await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT');
  return simd === true ? 'SIMD' : 'no SIMD';
}

/** @throws {@link BackendUnavailable} if tfjs does not start it. */
export async function openCpu(): Promise<void> {
  await import('@tensorflow/tfjs-backend-cpu');
  if (!(await tf.setBackend('cpu'))) {
    throw new BackendUnavailable('cpu', 'broken', {
      reason: 'tfjs does not start it',
      remedy: 'npm install',
    });
  }
}

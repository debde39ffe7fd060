/**
 * Opens `webgpu`: the browser's own, or in Node the optional npm package `webgpu` (Dawn). Tells a real GPU from a
 * software adapter such as SwiftShader, which computes correctly and some hundred times slower than wasm.
 * @module
 */
import * as tf from '@tensorflow/tfjs-core';
import { BackendUnavailable, firstLine } from './backend-unavailable.ts';
import { isNode, loadPackage, resolvePackage } from './optional-package.ts';

export interface WebgpuDevice {
  /** For people: vendor, architecture and driver as the adapter reports them. */
  readonly device: string;
  /** Whether the adapter computes on the CPU. */
  readonly software: boolean;
}

interface AdapterInfo {
  readonly vendor?: string;
  readonly architecture?: string;
  readonly device?: string;
  readonly description?: string;
  readonly isFallbackAdapter?: boolean;
}

interface Gpu {
  requestAdapter(options: { powerPreference: 'high-performance' }): Promise<{
    readonly info?: AdapterInfo;
    readonly isFallbackAdapter?: boolean;
  } | null>;
}

/** @throws {@link BackendUnavailable} if there is no WebGPU, no adapter, or no device. */
export async function openWebgpu(): Promise<WebgpuDevice> {
  const gpu = await findGpu();
  const adapter = await gpu
    .requestAdapter({ powerPreference: 'high-performance' })
    .catch((error: unknown) => {
      throw new BackendUnavailable('webgpu', 'broken', {
        reason: `the adapter does not open: ${firstLine(error)}`,
        remedy: adapterRemedy,
      });
    });
  if (adapter === null) {
    throw new BackendUnavailable('webgpu', 'broken', {
      reason: 'no adapter: no GPU driver that WebGPU can use',
      remedy: adapterRemedy,
    });
  }
  await import('@tensorflow/tfjs-backend-webgpu');
  // Without this the backend hands every input below 1,000 values to the cpu backend.
  tf.env().set('WEBGPU_CPU_FORWARD', false);
  let started = false;
  try {
    started = await tf.setBackend('webgpu');
  } catch (error) {
    throw new BackendUnavailable('webgpu', 'broken', {
      reason: `the device does not start: ${firstLine(error)}`,
      remedy: adapterRemedy,
    });
  }
  if (!started) {
    throw new BackendUnavailable('webgpu', 'broken', {
      reason: 'an adapter is found, but the device does not start',
      remedy: adapterRemedy,
    });
  }
  const info = adapter.info ?? {};
  const described = [info.vendor, info.architecture, info.description ?? info.device];
  return {
    device: described.filter((part) => part !== undefined && part !== '').join(' ') || 'unnamed',
    software:
      info.isFallbackAdapter === true ||
      adapter.isFallbackAdapter === true ||
      /swiftshader|llvmpipe|lavapipe|warp|basic render/i.test(described.join(' ')),
  };
}

const adapterRemedy =
  "install the GPU vendor's Vulkan driver and the loader (Debian: libvulkan1); without a GPU, chromium's SwiftShader serves for tests: VK_ICD_FILENAMES=/usr/lib/chromium/vk_swiftshader_icd.json";

/** navigator.gpu; in Node it is first put there from the npm package `webgpu`. */
async function findGpu(): Promise<Gpu> {
  const scope = globalThis as { navigator?: { gpu?: Gpu } };
  if (scope.navigator?.gpu !== undefined) return scope.navigator.gpu;
  if (!isNode) {
    throw new BackendUnavailable('webgpu', 'not installed', {
      reason: 'this browser has no navigator.gpu',
      remedy: 'use a browser with WebGPU, over https or from localhost',
    });
  }
  const file = await resolvePackage('webgpu');
  if (file === null) {
    throw new BackendUnavailable('webgpu', 'not installed', {
      reason: 'package webgpu is not installed',
      remedy: 'npm install webgpu',
    });
  }
  try {
    const { create, globals } = await loadPackage(file);
    Object.assign(globalThis, globals);
    // Node 20 has no navigator; from Node 21 on there is one, without gpu.
    if (scope.navigator === undefined) {
      const value = { userAgent: `Node.js/${process.versions.node}` };
      Object.defineProperty(globalThis, 'navigator', { value, configurable: true });
    }
    const gpu = (create as (options: string[]) => Gpu)([]);
    Object.defineProperty(scope.navigator, 'gpu', { value: gpu, configurable: true });
    return gpu;
  } catch (error) {
    throw new BackendUnavailable('webgpu', 'broken', {
      reason: `package webgpu does not load: ${firstLine(error)}`,
      remedy:
        'npm install webgpu@latest; it carries binaries for x64 and arm64 Linux (glibc), macOS and Windows',
    });
  }
}

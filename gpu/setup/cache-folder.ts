/**
 * Where `matryoshka setup tensorflow` builds, and what it has built there. Nothing outside this folder is written:
 *
 * ```text
 * ~/.cache/matryoshka-sae/tensorflow/2.21.0-cpu/      (or -cuda; XDG_CACHE_HOME is honoured)
 *   ready.json                   written last: a folder without it is not finished and is never loaded
 *   lib/tensorflow/              TensorFlow's libraries and the addon that links to them
 *   lib/nvidia/<name>/lib/       CUDA and cuDNN, at the place where TensorFlow's libraries look for them
 *   package/                     @tensorflow/tfjs-node-gpu
 *   work/                        downloads and progress of a setup that has not ended
 * ```
 * @module
 */
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { cacheFolder } from '../../training/cache-folder.ts';
import { RECIPE, tensorflowVersion } from './pinned.ts';

export type Flavour = 'cpu' | 'cuda';

/** What a finished setup holds; every path is absolute. */
export interface Installed {
  readonly folder: string;
  readonly flavour: Flavour;
  /** TensorFlow's own. */
  readonly version: string;
  readonly addon: string;
  /** Of @tensorflow/tfjs-node-gpu. */
  readonly packageFolder: string;
}

/** The folder of every TensorFlow that was set up for this user. */
export function tensorflowRoot(
  env: Readonly<Record<string, string | undefined>> = process.env,
  home: string = homedir(),
): string {
  return join(cacheFolder(env, home), 'tensorflow');
}

export function folderOf(root: string, flavour: Flavour): string {
  return join(root, `${tensorflowVersion}-${flavour}`);
}

/** What is in a folder once it is finished. */
export function contents(root: string, flavour: Flavour): Installed {
  const folder = folderOf(root, flavour);
  return {
    folder,
    flavour,
    version: tensorflowVersion,
    addon: join(folder, 'lib', 'tensorflow', 'tfjs_binding.node'),
    packageFolder: join(folder, 'package'),
  };
}

/** Null if it was never set up, not to the end, or by a version that built it otherwise. */
export function installed(root: string, flavour: Flavour): Installed | null {
  const found = contents(root, flavour);
  try {
    const ready: unknown = JSON.parse(readFileSync(join(found.folder, 'ready.json'), 'utf8'));
    if ((ready as { recipe?: unknown } | null)?.recipe !== RECIPE) return null;
  } catch {
    return null;
  }
  return existsSync(found.addon) ? found : null;
}

/**
 * The one to load: CUDA's where there is a driver for it, else the CPU's, which loads faster; either if it is the only
 * one.
 */
export function installedFor(driver: boolean, root: string = tensorflowRoot()): Installed | null {
  const order: readonly Flavour[] = driver ? ['cuda', 'cpu'] : ['cpu', 'cuda'];
  return installed(root, order[0]) ?? installed(root, order[1]);
}

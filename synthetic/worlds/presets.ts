/**
 * Worlds by name, what experiments on them take by default, and how parameters become a world.
 * @module
 */
import { readFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Matrix } from '../../reference/matrix.ts';
import { UsageError, usage } from '../../training/usage-error.ts';
import { featureTree, nabeshimaTree } from './feature-tree.ts';
import type {
  ParentChildParams,
  SynthParams,
  TreeParams,
  WorldDefaults,
  WorldParams,
} from './params.ts';
import { parentChildWorld } from './parent-child.ts';
import { suggestedDefaults } from './suggested-defaults.ts';
import { synthWorld } from './synth-world.ts';
import { toys } from './toys.ts';
import { treeWorld } from './tree-world.ts';
import type { World } from './world.ts';
import { parseWorldFile } from './world-file.ts';

const tree: TreeParams = {
  kind: 'tree',
  name: 'tree',
  d_in: nabeshimaTree.d_in,
  normSpread: nabeshimaTree.normSpread,
  root: nabeshimaTree.root,
};

/**
 * SynthSAEBench-16k as its version 2 has it (children scaled by their parents):
 * github.com/decoderesearch/synth-sae-bench-experiments @66eee05, experiments/create_synth_bench_16k_model.py.
 */
const synth16k: SynthParams = {
  kind: 'synth',
  name: 'synth16k',
  features: 16_384,
  d_in: 768,
  firing: { exponent: 0.5, p_max: 0.4, p_min: 5e-4 },
  forest: {
    roots: 128,
    branching: 4,
    depth: 3,
    exclusive: { portion: 1, minDepth: 0, maxDepth: null },
    compensate: 'clamp',
    scaleChildren: true,
  },
  correlation: { rank: 25, scale: 0.1 },
  magnitudes: { first: 5, last: 4, spread: { mean: 0.5, sd: 0.5 } },
  orthogonalisation: { steps: 100, learningRate: 3e-4 },
  bias: 0.5,
  rowsPerBlock: 1024,
};

/** Its character for processors: as many features for each dimension it can still tell apart, no probability clamped. */
function miniature(
  name: string,
  features: number,
  d_in: number,
  p_min: number,
  depth: number,
): SynthParams {
  const { forest } = synth16k;
  return {
    ...synth16k,
    name,
    features,
    d_in,
    firing: { exponent: 0.5, p_max: 0.3, p_min },
    forest: forest && { ...forest, roots: 8, depth },
    rowsPerBlock: 0,
  };
}

const synths: readonly SynthParams[] = [
  miniature('mini256', 256, 64, 0.004, 2),
  miniature('mini1k', 1024, 128, 0.002, 3),
  synth16k,
];

/** By name, in the order of help texts. */
export const worldPresets: Readonly<Record<string, WorldParams>> = Object.fromEntries(
  [tree, ...toys.map(({ params }): ParentChildParams => params), ...synths].map((params) => [
    params.name,
    params,
  ]),
);

/** Of every preset. Settings that separate the architectures on a processor in minutes; synth16k's are the published ones. */
export const worldDefaults: Readonly<Record<string, WorldDefaults>> = {
  tree: {
    d_sae: 20,
    k: 1.12,
    prefixes: [3, 5, 8, 12, 16, 20],
    steps: 4000,
    batch: 512,
    learningRate: 5e-3,
    evaluationSamples: 20_000,
  },
  ...Object.fromEntries(toys.map(({ params, defaults }) => [params.name, defaults])),
  mini256: {
    d_sae: 64,
    k: 3,
    prefixes: [8, 24, 64],
    steps: 2500,
    batch: 512,
    learningRate: 2e-3,
    evaluationSamples: 20_000,
  },
  mini1k: {
    d_sae: 256,
    k: 4,
    prefixes: [8, 32, 128, 256],
    steps: 2000,
    batch: 512,
    learningRate: 2e-3,
    evaluationSamples: 20_000,
  },
  synth16k: {
    d_sae: 4096,
    k: 25,
    prefixes: [128, 512, 2048, 4096],
    steps: 195_312,
    batch: 1024,
    learningRate: 3e-4,
    evaluationSamples: 20_000,
  },
};

/** Whether these are a preset's parameters, wherever they were read: its name alone could be anyone's. */
export function isPreset(params: WorldParams): boolean {
  return (
    Object.hasOwn(worldPresets, params.name) && isDeepStrictEqual(params, worldPresets[params.name])
  );
}

/**
 * A preset's, or what any other world suggests.
 * @param d_sae - latents on a world of one's own, where they are given.
 */
export function defaultsOf(params: WorldParams, world: World, d_sae?: number): WorldDefaults {
  return isPreset(params) ? worldDefaults[params.name] : suggestedDefaults(world, d_sae);
}

/** @throws {@link UsageError} listing the presets. */
export function worldNamed(name: string): WorldParams {
  if (!Object.hasOwn(worldPresets, name)) {
    throw new UsageError(
      `world: expected one of ${Object.keys(worldPresets).join(', ')}, or a path ending in .json, got ${JSON.stringify(name)}`,
    );
  }
  return worldPresets[name];
}

/**
 * A preset's parameters, or those of a world file: what ends in .json is a path.
 * @throws {@link UsageError} naming the file and field, also where the parameters are impossible.
 */
export async function openWorld(nameOrPath: string): Promise<WorldParams> {
  if (!nameOrPath.endsWith('.json')) return worldNamed(nameOrPath);
  let text: string;
  try {
    text = await readFile(nameOrPath, 'utf8');
  } catch (error) {
    throw new UsageError(`${nameOrPath}: cannot be read (${(error as Error).message})`);
  }
  const params = parseWorldFile(text, nameOrPath);
  usage(() => createWorld(params, 0));
  return params;
}

/**
 * The world of these parameters: the same for the same seed on any machine.
 * @param seed - of the directions and of whatever else is drawn once.
 * @param directions - of the same world, where they are made already and slow to make.
 * @throws {@link RangeError} naming the parameter that is impossible and its value.
 */
export function createWorld(params: WorldParams, seed: number, directions?: Matrix): World {
  switch (params.kind) {
    case 'tree':
      return treeWorld(featureTree(params.name, params.root, params.d_in, params.normSpread), seed);
    case 'parent-child':
      return parentChildWorld(params, seed);
    case 'synth':
      return synthWorld(params, seed, directions);
  }
}

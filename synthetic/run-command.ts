/**
 * matryoshka synthetic run: architectures compared on a world at matched L0.
 * @module
 */
import { join } from 'node:path';
import type { Command } from 'commander';
import { dialectHelp, readDialect } from '../training/dialect-file.ts';
import { numberList, oneOf, realNumber, wholeNumber } from '../training/option-values.ts';
import { UsageError } from '../training/usage-error.ts';
import { architectureNamed, architectures } from './architectures/catalogue.ts';
import { activationOf, architectureRecord, type TrainingSizes } from './architectures/record.ts';
import {
  compute,
  experimentText,
  shardOf,
  writeExperiment,
  type ComputeFlags,
} from './experiment-output.ts';
import { crossed, experimentSettings, type ExperimentSettings } from './experiments/settings.ts';
import { kernelsBefore, readStores } from './experiments/store.ts';
import { resultsOf } from './experiments/summarise.ts';
import { chooseKernels } from './kernels/measure.ts';
import { stepBackends, type StepBackend } from './kernels/open.ts';
import { outlookOf } from './outlook.ts';
import type { WorldDefaults, WorldParams } from './worlds/params.ts';
import { createWorld, defaultsOf, openWorld, worldPresets } from './worlds/presets.ts';
import { suggestedPrefixes } from './worlds/suggested-defaults.ts';
import type { World } from './worlds/world.ts';

interface RunFlags extends ComputeFlags {
  readonly arch: string;
  readonly l0?: readonly number[];
  readonly seeds: number;
  readonly seed: number;
  readonly worlds: number;
  readonly worldSeed: number;
  readonly steps?: number;
  readonly batch?: number;
  readonly lr?: number;
  readonly width?: number;
  readonly prefixes?: readonly number[];
  readonly samples?: number;
  readonly dialect?: string;
  readonly backend: StepBackend;
  readonly kernel?: string;
}

/** `matryoshka synthetic run`. */
export function addRunCommand(synthetic: Command): void {
  synthetic
    .command('run')
    .summary('compare architectures on a world at matched L0')
    .argument('<world>', `${Object.keys(worldPresets).join(', ')}, or FILE.json`)
    .description(
      'Trains architectures on the same rows of a world, judges them by its truth and compares them, seed by seed.',
    )
    .option(
      '--arch <list>',
      `of ${architectures.map(({ slug }) => slug).join(', ')}; the first is the baseline`,
      'batchtopk,matryoshka',
    )
    .option('--l0 <list>', 'mean latents per row (default: the world’s)', numberList('--l0'))
    .option('--seeds <n>', 'training seeds', wholeNumber('--seeds', 1), 5)
    .option('--seed <n>', 'the first of them', wholeNumber('--seed', 0), 0)
    .option('--worlds <n>', 'draws of the world', wholeNumber('--worlds', 1), 1)
    .option('--world-seed <n>', 'the first of them', wholeNumber('--world-seed', 0), 42)
    .option('--steps <n>', 'training steps', wholeNumber('--steps', 1))
    .option('--batch <n>', 'rows per step', wholeNumber('--batch', 1))
    .option('--lr <rate>', 'learning rate', realNumber('--lr', 0, true))
    .option('--width <n>', 'latents', wholeNumber('--width', 1))
    .option('--prefixes <list>', 'Matryoshka levels, up to --width', numberList('--prefixes'))
    .option('--samples <n>', 'fresh rows behind the metrics', wholeNumber('--samples', 1))
    .option('--dialect <name>', `in place of each architecture’s own: ${dialectHelp}`)
    .option(
      '--backend <name>',
      stepBackends.join(', '),
      oneOf('--backend', stepBackends),
      'auto' as const,
    )
    .option('--kernel <command>', 'a kernel of your own that offers train-step')
    .option(
      '--threads <n>',
      'worker threads (default: one per processor, on a GPU one)',
      wholeNumber('--threads', 1),
    )
    .option('--shard <i/n>', 'one of n shares of the runs, merged later', shardOf)
    .option('--out <folder>', 'results, or those to go on with (default: runs/<world>)')
    .option('--json', 'print the results as JSON instead of a table')
    .addHelpText(
      'after',
      '\nThe same command goes on where it was ended.\nExample: matryoshka synthetic run mini256 --arch batchtopk,matryoshka --seeds 3 --out runs/mini256',
    )
    .action(async (world: string, flags: RunFlags) => run(world, flags));
}

async function run(world: string, flags: RunFlags): Promise<void> {
  const { settings, folder } = await settingsOf(world, flags);
  const cells = await compute(settings, folder, flags, (line) => console.error(line));
  if (cells === null) return;
  const results = resultsOf(settings, cells);
  const outlook = outlookOf(settings, (await readStores([folder])).times);
  await writeExperiment(results, folder, commandLine(world, flags), outlook);
  if (flags.json) console.log(JSON.stringify(results));
  else console.log(experimentText(results, folder));
  if (outlook !== null) console.error(outlook);
}

async function settingsOf(
  name: string,
  flags: RunFlags,
): Promise<{ settings: ExperimentSettings; folder: string }> {
  const parameters = await openWorld(name);
  const world = createWorld(parameters, flags.worldSeed);
  const defaults = withFlags(parameters, world, flags);
  const sizes: TrainingSizes = {
    ...defaults,
    d_in: world.d_in,
    activation: activationOf(world),
  };
  const dialect = flags.dialect === undefined ? undefined : await readDialect(flags.dialect);
  const l0s = flags.l0 ?? [defaults.k];
  const records = flags.arch
    .split(',')
    .map((slug) => architectureRecord(architectureNamed(slug.trim()), sizes, l0s, dialect));
  const slugs = records.map(({ slug }) => slug);
  if (new Set(slugs).size < slugs.length) {
    throw new UsageError(`--arch: expected each architecture once, got ${flags.arch}`);
  }
  const from = (first: number, count: number): number[] =>
    Array.from({ length: count }, (_, i) => first + i);
  const open = experimentSettings({
    experiment: 'run',
    world: { name: world.name, parameters },
    architectures: records,
    ...(dialect && { dialect: dialect.name }),
    kernels: {},
    runs: crossed(from(flags.worldSeed, flags.worlds), from(flags.seed, flags.seeds)),
    evaluationSamples: defaults.evaluationSamples,
    pairs: slugs.slice(1).map((treatment) => ({ treatment, baseline: slugs[0] })),
  });
  const folder = flags.out ?? join('runs', world.name);
  const wish = { ...flags, before: await kernelsBefore(folder, open) };
  const { kernels, notes } = await chooseKernels(records, world, wish);
  console.error(sizesText(world.name, defaults));
  for (const note of notes) console.error(note);
  return { settings: { ...open, kernels }, folder };
}

/** What is not given is as the preset has it, or as a world of one's own suggests. */
function withFlags(params: WorldParams, world: World, flags: RunFlags): WorldDefaults {
  const known = defaultsOf(params, world, flags.width);
  const d_sae = flags.width ?? known.d_sae;
  return {
    d_sae,
    k: flags.l0?.[0] ?? known.k,
    prefixes:
      flags.prefixes ?? (d_sae === known.d_sae ? known.prefixes : suggestedPrefixes(world, d_sae)),
    steps: flags.steps ?? known.steps,
    batch: flags.batch ?? known.batch,
    learningRate: flags.lr ?? known.learningRate,
    evaluationSamples: flags.samples ?? known.evaluationSamples,
  };
}

/** Printed before anything is trained: what was not asked for is chosen here. */
function sizesText(
  world: string,
  { d_sae, k, prefixes, steps, batch, learningRate }: WorldDefaults,
): string {
  return `${world}: ${d_sae} latents, L0 ${k}, prefixes ${prefixes.join(',')}, ${steps} steps of ${batch} rows, learning rate ${learningRate}`;
}

/** A command that gives the same results again. */
function commandLine(world: string, flags: RunFlags): string {
  const kept = [
    'arch',
    'l0',
    'seeds',
    'seed',
    'worlds',
    'worldSeed',
    'steps',
    'batch',
    'lr',
  ] as const;
  const more = ['width', 'prefixes', 'samples', 'dialect', 'backend', 'kernel'] as const;
  const options = [...kept, ...more].flatMap((name) => {
    const value = flags[name];
    if (value === undefined) return [];
    const text = Array.isArray(value) ? value.join(',') : String(value);
    const option = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    return [`--${option} ${text.includes(' ') ? JSON.stringify(text) : text}`];
  });
  return ['matryoshka synthetic run', world, ...options].join(' ');
}

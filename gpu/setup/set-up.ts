/**
 * Makes @tensorflow/tfjs-node-gpu run on today's systems: TensorFlow's libraries out of its own Python wheel, and the
 * package's addon compiled against them, in a folder of the user's cache (cache-folder.ts). Each step leaves a whole
 * result or none, so that a setup that was interrupted at any instant goes on where it was when it is run again.
 * @module
 */
import { existsSync } from 'node:fs';
import { readdir, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { requireWritableFolder, writeTextAtomically } from '../../training/atomic-file.ts';
import { assemblePackage, checkAddon, compileAddon } from './addon.ts';
import { unpack } from './archive.ts';
import { contents, installed, type Flavour, type Installed } from './cache-folder.ts';
import type { SetupDisplay } from './display.ts';
import { fetchPackage, fetchWheel, wheelName } from './download.ts';
import { takeLock } from './lock.ts';
import { npmPackages, RECIPE, wheels, type NpmPackage, type Wheel } from './pinned.ts';
import {
  findPrograms,
  requirePlatform,
  requireSpace,
  size,
  thisMachine,
  type Machine,
  type Programs,
} from './requirements.ts';
import { inScratch, removeScratch } from './scratch.ts';

/** What a setup reaches for outside its folder. */
export interface World {
  readonly machine: () => Machine;
  readonly programs: () => Promise<Programs>;
  readonly wheels: Readonly<Record<Flavour, readonly Wheel[]>>;
  readonly packages: Readonly<Record<keyof typeof npmPackages, NpmPackage>>;
  readonly check: (addon: string, version: string) => Promise<void>;
}

export const thisWorld: World = {
  machine: thisMachine,
  programs: findPrograms,
  wheels,
  packages: npmPackages,
  check: checkAddon,
};

/** Room for the package, objects of the compiler and the file system's own needs. */
const SPARE_BYTES = 100e6;

/**
 * @param root - folder of all of them; made if need be.
 * @returns what is ready now, and whether it was before.
 * @throws `UsageError` naming what is missing and the remedy. What was done up to there is kept.
 */
export async function setUpTensorflow(
  root: string,
  flavour: Flavour,
  display: SetupDisplay,
  world: World = thisWorld,
): Promise<{ readonly made: Installed; readonly before: boolean }> {
  const ready = installed(root, flavour);
  if (ready !== null) return { made: ready, before: true };
  requirePlatform(world.machine());
  const programs = await world.programs();
  const made = contents(root, flavour);
  const work = join(made.folder, 'work');
  await requireWritableFolder(work, 'setup tensorflow: (XDG_CACHE_HOME chooses the folder)');
  const unlock = takeLock(join(made.folder, 'lock'));
  try {
    // Another process may have ended its setup since.
    if (installed(root, flavour) !== null) return { made, before: true };
    await removeScratch(work);
    const wanted = await unfinished(world.wheels[flavour], work);
    await requireSpace(work, peakBytes(wanted));
    await takeWheels(programs.python, wanted, work, join(made.folder, 'lib'), display);
    await build(programs, world, work, made, display);
    await display.during('load', () => world.check(made.addon, made.version));
    const facts = { recipe: RECIPE, tensorflow: made.version, flavour };
    await writeTextAtomically(join(made.folder, 'ready.json'), `${JSON.stringify(facts)}\n`);
    await rm(work, { recursive: true, force: true });
    return { made, before: false };
  } finally {
    display.stop();
    unlock();
  }
}

/** Left to do, and how much of each download is there already. */
async function unfinished(
  all: readonly Wheel[],
  work: string,
): Promise<readonly { readonly wheel: Wheel; readonly there: number }[]> {
  const left = all.filter((wheel) => !existsSync(join(work, `${wheel.sha256}.done`)));
  return Promise.all(
    left.map(async (wheel) => ({
      wheel,
      there: await stat(join(work, wheel.file)).then(
        (facts) => facts.size,
        () => 0,
      ),
    })),
  );
}

/** On the disk at the worst instant: each wheel goes as soon as it is unpacked. */
function peakBytes(wanted: Awaited<ReturnType<typeof unfinished>>): number {
  let unpacked = 0;
  let peak = 0;
  for (const { wheel, there } of wanted) {
    unpacked += wheel.unpacked;
    peak = Math.max(peak, unpacked + wheel.bytes - there);
  }
  return peak + SPARE_BYTES;
}

async function takeWheels(
  python: string,
  wanted: Awaited<ReturnType<typeof unfinished>>,
  work: string,
  lib: string,
  display: SetupDisplay,
): Promise<void> {
  const total = wanted.reduce((sum, { wheel }) => sum + wheel.bytes, 0);
  let done = 0;
  for (const { wheel } of wanted) {
    const { name, version } = wheelName(wheel.file);
    const show = (bytes: number): void => display.download(`${name} ${version}`, bytes, total);
    show(done);
    const file = await fetchWheel(python, wheel, work, (bytes) => show(done + bytes));
    done += wheel.bytes;
    show(done);
    await display.during(`unpack ${name}`, () => unpack(python, file, wheel.take, lib));
    await writeFile(join(work, `${wheel.sha256}.done`), '');
    await rm(file);
  }
}

async function build(
  { python, npm, compiler }: Programs,
  { packages }: World,
  work: string,
  made: Installed,
  display: SetupDisplay,
): Promise<void> {
  const [tfjs, protobuf, headers] = await display.during('npm packages', () =>
    Promise.all([
      fetchPackage(npm, packages.tfjs, work),
      fetchPackage(npm, packages.protobuf, work),
      fetchPackage(npm, packages.headers, work),
    ]),
  );
  const compile = async (scratch: string): Promise<void> => {
    await assemblePackage(python, { tfjs, protobuf }, scratch, made.packageFolder);
    await unpack(python, headers, packages.headers.take, scratch);
    const include = join(scratch, 'package', 'include');
    const log = join(work, 'compile.log');
    await compileAddon(compiler, made.packageFolder, include, scratch, made.addon, log);
  };
  await display.during('compile the addon', () => inScratch(work, compile));
}

/**
 * Removes what setups made, of every version.
 * @param flavours - which.
 * @returns the folders that were removed.
 */
export async function uninstallTensorflow(
  root: string,
  flavours: readonly Flavour[],
): Promise<readonly string[]> {
  const names = await readdir(root).catch(() => []);
  const ours = names.filter((name) => flavours.some((flavour) => name.endsWith(`-${flavour}`)));
  const removed: string[] = [];
  for (const name of ours) {
    const folder = join(root, name);
    takeLock(join(folder, 'lock'));
    // First of all: what is left of an interrupted removal must not be taken for whole.
    await rm(join(folder, 'ready.json'), { force: true });
    await rm(folder, { recursive: true });
    removed.push(folder);
  }
  await removeIfEmpty(root);
  await removeIfEmpty(dirname(root));
  return removed;
}

async function removeIfEmpty(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => null);
  if (names?.length === 0) await rm(folder, { recursive: true });
}

/** What the wheels of a flavour weigh: downloaded, and at the end. */
export function weights(flavour: Flavour): string {
  const sum = (of: 'bytes' | 'unpacked'): string =>
    size(wheels[flavour].reduce((total, wheel) => total + wheel[of], 0));
  return `${sum('bytes')} to download, ${sum('unpacked')} on disk`;
}

/**
 * Setup against a pip, an npm and a compiler that are small scripts over a folder of archives: no network, no TensorFlow.
 * The whole build, from the real indexes, runs where MATRYOSHKA_TEST_SETUP is 1.
 */
import { execFile, execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { folderOf, installed } from '../../gpu/setup/cache-folder.ts';
import type { SetupDisplay } from '../../gpu/setup/display.ts';
import type { NpmPackage } from '../../gpu/setup/pinned.ts';
import { setUpTensorflow, uninstallTensorflow, type World } from '../../gpu/setup/set-up.ts';
import { UsageError } from '../../training/usage-error.ts';
import { fakeWorld, killedIn, python, repository, script } from './setup-fakes.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'setup-tensorflow-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe.skipIf(python === null || process.platform === 'win32')('setup', () => {
  test('leaves what it is for and no work, and a second one changes nothing', async () => {
    const { world } = fakeWorld(folder);
    const first = await setUp(world);
    expect(first.before).toBe(false);
    const own = first.made.folder;
    expect(readdirSync(own).sort()).toEqual(['lib', 'package', 'ready.json']);
    expect(readFileSync(join(own, 'lib/tensorflow/libtensorflow_cc.so.2'), 'utf8')).toBe('cc');
    expect(existsSync(join(own, 'lib/tensorflow/python/not-taken.py'))).toBe(false);
    expect(existsSync(first.made.addon)).toBe(true);
    expect(existsSync(join(own, 'lib/tensorflow/libmute.so'))).toBe(true);
    expect(installed(folder, 'cpu')).toEqual(first.made);

    const before = statSync(join(own, 'ready.json')).mtimeMs;
    const second = await setUp({ ...world, programs: never });
    expect(second).toEqual({ made: first.made, before: true });
    expect(statSync(join(own, 'ready.json')).mtimeMs).toBe(before);
  });

  test('gives the package what Node no longer has, in its own files', async () => {
    const { made } = await setUp(fakeWorld(folder).world);
    const backend = readFileSync(join(made.packageFolder, 'dist/nodejs_kernel_backend.js'), 'utf8');
    expect(backend).not.toContain('require("util")');
    const { stdout } = await promisify(execFile)(process.execPath, [
      '-e',
      `const { same, util } = require(${JSON.stringify(join(made.packageFolder, 'dist/nodejs_kernel_backend.js'))});
       console.log(same, util.isNullOrUndefined(undefined), util.isNullOrUndefined(0), util.isArray([]));`,
    ]);
    expect(stdout.trim()).toBe('true true false true');
  });

  test('for CUDA lays libraries out where TensorFlow looks, and keeps programs programs', async () => {
    const { made } = await setUp(fakeWorld(folder).world, 'cuda');
    expect(made.folder).toBe(folderOf(folder, 'cuda'));
    const at = (path: string): string => join(made.folder, 'lib', 'nvidia', path);
    expect(existsSync(join(dirname(made.addon), '..', 'nvidia', 'cublas', 'lib'))).toBe(true);
    expect(statSync(at('cuda_nvcc/bin/ptxas')).mode & 0o111).not.toBe(0);
    expect(statSync(at('cublas/lib/libcublas.so.12')).mode & 0o111).toBe(0);
    expect(existsSync(at('cublas/include/cublas.h'))).toBe(false);
  });

  test('refuses a wheel of another hash, by whatever pip says it is, and keeps none of it', async () => {
    const { world } = fakeWorld(folder);
    const [wheel] = world.wheels.cpu;
    const other = { ...wheel, sha256: '0'.repeat(64) };
    await expect(setUp({ ...world, wheels: { ...world.wheels, cpu: [other] } })).rejects.toThrow(
      `tensorflow-cpu 1.0: expected sha256 ${other.sha256}, got ${wheel.sha256}`,
    );
    expect(readdirSync(join(folderOf(folder, 'cpu'), 'work'))).toEqual([]);
    expect(installed(folder, 'cpu')).toBe(null);
  });

  test('refuses an npm package of another hash', async () => {
    const { world } = fakeWorld(folder);
    const tfjs: NpmPackage = { ...world.packages.tfjs, integrity: `sha512-${'A'.repeat(86)}==` };
    await expect(setUp({ ...world, packages: { ...world.packages, tfjs } })).rejects.toThrow(
      /tfjs-node-gpu 4\.22\.0: expected sha512 AAA/,
    );
  });

  test('fetches nothing twice: what is on the disk already is taken if its hash is right', async () => {
    const { world, log } = fakeWorld(folder);
    const failing = { ...world, check: () => Promise.reject(new UsageError('no AVX')) };
    await expect(setUp(failing)).rejects.toThrow('no AVX');
    expect(installed(folder, 'cpu')).toBe(null);
    const fetched = (): number => readFileSync(log, 'utf8').split('\n').length - 1;
    const first = fetched();
    expect(first).toBe(4);
    const work = join(folderOf(folder, 'cpu'), 'work');
    const tarball = readdirSync(work).find((name) => name.startsWith('google-protobuf'))!;
    writeFileSync(join(work, tarball), 'half of it');
    await setUp(world);
    expect(fetched()).toBe(first + 1);
  });

  test('killed in any of its steps goes on when it is run again', async () => {
    const fake = fakeWorld(folder);
    for (const step of ['pip', 'unpack', 'npm', 'compiler', 'check']) {
      await killedIn(step, folder, fake);
      expect(existsSync(join(folderOf(folder, 'cpu'), 'lock')), step).toBe(true);
      expect(installed(folder, 'cpu'), step).toBe(null);
    }
    const failing = { ...fake.world, check: () => Promise.reject(new UsageError('no AVX')) };
    await expect(setUp(failing)).rejects.toThrow('no AVX');
    const left = readdirSync(join(folderOf(folder, 'cpu'), 'work'));
    expect(left.filter((name) => name.startsWith('half-'))).toEqual([]);
    const { made, before } = await setUp(fake.world);
    expect(before).toBe(false);
    expect(readdirSync(made.folder).sort()).toEqual(['lib', 'package', 'ready.json']);
    expect(readFileSync(join(made.folder, 'lib/tensorflow/libtensorflow_cc.so.2'), 'utf8')).toBe(
      'cc',
    );
  }, 60_000);

  test('says in one line what pip, npm or the compiler complained of', async () => {
    const { world, index } = fakeWorld(folder);
    const programs = await world.programs();
    for (const [which, message] of [
      [
        'python',
        /pip could not download tensorflow-cpu 1\.0: ERROR: no route to host; check the network/,
      ],
      ['npm', /npm could not download .*: ERROR: no route to host; check the network/],
      [
        'compiler',
        /does not compile the addon: ERROR: no route to host; .* all it said is in .*log/,
      ],
    ] as const) {
      const broken = script(
        join(index, `broken-${which}`),
        'echo "ERROR: no route to host"; exit 1',
      );
      const failing = {
        ...world,
        programs: () => Promise.resolve({ ...programs, [which]: broken }),
      };
      const error: unknown = await setUp(failing).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(UsageError);
      expect((error as Error).message).toMatch(message);
      expect((error as Error).message).not.toContain('\n');
    }
  });

  test('refuses to start beside another one, and before anything is downloaded without room', async () => {
    const { world, log } = fakeWorld(folder);
    const huge = world.wheels.cpu.map((wheel) => ({ ...wheel, unpacked: 1e18 }));
    await expect(setUp({ ...world, wheels: { ...world.wheels, cpu: huge } })).rejects.toThrow(
      'GB free on',
    );
    mkdirSync(folderOf(folder, 'cpu'), { recursive: true });
    writeFileSync(join(folderOf(folder, 'cpu'), 'lock'), 'elsewhere.example 7');
    await expect(setUp(world)).rejects.toThrow('another one is running');
    expect(existsSync(log)).toBe(false);
  });

  test('uninstall removes all that was made, of one flavour or of both, and nothing else', async () => {
    const root = join(folder, 'cache', 'matryoshka-sae', 'tensorflow');
    const { world } = fakeWorld(folder);
    for (const flavour of ['cpu', 'cuda'] as const) {
      await setUpTensorflow(root, flavour, silent, world);
    }
    mkdirSync(join(root, '1.99.0-cpu', 'work'), { recursive: true });
    expect(await uninstallTensorflow(root, ['cuda'])).toEqual([folderOf(root, 'cuda')]);
    expect(installed(root, 'cpu')).not.toBe(null);
    const other = join(dirname(root), 'other');
    mkdirSync(other);
    expect(await uninstallTensorflow(root, ['cpu', 'cuda'])).toHaveLength(2);
    expect(existsSync(root)).toBe(false);
    expect(existsSync(other)).toBe(true);
    expect(await uninstallTensorflow(root, ['cpu', 'cuda'])).toEqual([]);
  });
});

describe.runIf(process.env['MATRYOSHKA_TEST_SETUP'] === '1')('the whole build', () => {
  test('from the real indexes: doctor then says that tensorflow works, and uninstall leaves nothing', () => {
    const matryoshka = (...args: string[]): string =>
      execFileSync(process.execPath, ['--import', 'tsx', 'cli.ts', ...args], {
        cwd: repository,
        env: { ...process.env, XDG_CACHE_HOME: folder },
        stdio: ['ignore', 'pipe', 'inherit'],
      }).toString();
    expect(matryoshka('setup', 'tensorflow')).toContain('is ready after');
    expect(matryoshka('setup', 'tensorflow')).toContain('nothing to do');
    const { backends } = JSON.parse(matryoshka('doctor', '--json')) as {
      backends: { name: string; status: string; version: string }[];
    };
    expect(backends.find(({ name }) => name === 'tensorflow')).toMatchObject({
      status: 'works',
      version: 'TensorFlow 2.21.0',
    });
    matryoshka('conformance', '--backend', 'tensorflow', '--only', 'batch-topk', '--seed', '7');
    expect(matryoshka('setup', 'tensorflow', '--uninstall')).toContain('Removed');
    expect(readdirSync(folder)).toEqual([]);
  }, 600_000);
});

const silent: SetupDisplay = {
  note: () => undefined,
  download: () => undefined,
  during: (_what, work) => work(),
  stop: () => undefined,
};

const never = (): never => {
  throw new Error('a finished setup looked for programs');
};

function setUp(world: World, flavour: 'cpu' | 'cuda' = 'cpu'): ReturnType<typeof setUpTensorflow> {
  return setUpTensorflow(folder, flavour, silent, world);
}

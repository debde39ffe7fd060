/**
 * What setup asks of a machine and of the indexes, before it does anything.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { contents, installed, installedFor, tensorflowRoot } from '../../gpu/setup/cache-folder.ts';
import { pipArguments, wheelName } from '../../gpu/setup/download.ts';
import { takeLock } from '../../gpu/setup/lock.ts';
import { npmPackages, RECIPE, wheels } from '../../gpu/setup/pinned.ts';
import { complaint } from '../../gpu/setup/program.ts';
import {
  atLeast,
  driverWarning,
  findPrograms,
  requirePlatform,
  requireSpace,
  size,
} from '../../gpu/setup/requirements.ts';
import { UsageError } from '../../training/usage-error.ts';
import { repository } from './setup-fakes.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'setup-tensorflow-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('the files to download', () => {
  test('are wheels that any Linux on x64 with glibc 2.27 takes, each known by a SHA-256', () => {
    for (const { file, sha256, bytes, unpacked, take } of [...wheels.cpu, ...wheels.cuda]) {
      const { platforms } = wheelName(file);
      expect(platforms.length).toBeGreaterThan(0);
      for (const platform of platforms) {
        const [, glibc] = /^manylinux_2_(\d+)_x86_64$/.exec(platform) ?? [];
        const old = ['manylinux2010_x86_64', 'manylinux2014_x86_64'].includes(platform);
        expect(old || Number(glibc) <= 27, platform).toBe(true);
      }
      expect(sha256).toMatch(/^[0-9a-f]{64}$/);
      expect(Math.min(bytes, unpacked, take.length)).toBeGreaterThan(0);
    }
    for (const { integrity } of Object.values(npmPackages)) {
      expect(Buffer.from(integrity.replace('sha512-', ''), 'base64')).toHaveLength(64);
    }
  });

  test('for CUDA hold every library folder that TensorFlow looks into, beside TensorFlow itself', () => {
    const names = wheels.cuda.map(({ file }) => wheelName(file).name);
    expect(names[0]).toBe('tensorflow');
    // Of RUNPATH in libtensorflow_framework.so.2 and libtensorflow_cc.so.2; nvshmem, there too, is not among what pip takes.
    const looked = 'nccl cuda-cupti cublas cudnn cufft cusparse cuda-runtime cusolver'.split(' ');
    for (const name of looked) expect(names).toContain(`nvidia-${name}-cu12`);
    expect(new Set(names).size).toBe(names.length);
  });

  test('are the npm packages of the lock file', () => {
    const lock = JSON.parse(readFileSync(join(repository, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { version: string; integrity: string }>;
    };
    for (const { name, version, integrity } of [npmPackages.tfjs, npmPackages.protobuf]) {
      expect(lock.packages[`node_modules/${name}`]).toMatchObject({ version, integrity });
    }
  });

  test('pip is asked for one exact file, whatever Python it runs in', () => {
    const [wheel] = wheels.cpu;
    const asked = pipArguments(wheel, 'list.txt', 'to').join(' ');
    expect(asked).toContain('--no-deps');
    expect(asked).toContain('--abi cp312 --platform manylinux_2_27_x86_64 ');
    expect(asked.endsWith('-d to -r list.txt')).toBe(true);
    expect(wheelName('a_b-1.2-py3-none-x.y.whl')).toEqual({
      name: 'a-b',
      version: '1.2',
      platforms: ['x', 'y'],
    });
  });
});

describe('the machine', () => {
  const linux = { platform: 'linux', arch: 'x64', glibc: '2.27' };

  test('is taken if it is Linux on x64 with glibc 2.27 or newer', () => {
    expect(() => requirePlatform(linux)).not.toThrow();
    expect(() => requirePlatform({ ...linux, glibc: '2.100' })).not.toThrow();
    expect(['2.27', '2.30', '3.0'].map((version) => atLeast(version, '2.27'))).toEqual([
      true,
      true,
      true,
    ]);
  });

  test.each([
    [{ platform: 'darwin', arch: 'arm64', glibc: null }, 'got darwin on arm64'],
    [{ platform: 'win32', arch: 'x64', glibc: null }, 'got win32 on x64'],
    [{ ...linux, arch: 'arm64' }, 'got linux on arm64'],
    [{ ...linux, glibc: null }, 'got another C library'],
    [{ ...linux, glibc: '2.17' }, 'got 2.17'],
  ])('%o is refused, with what works there', (machine, got) => {
    expect(() => requirePlatform(machine)).toThrow(UsageError);
    expect(() => requirePlatform(machine)).toThrow(got);
    expect(() => requirePlatform(machine)).toThrow('wasm');
  });

  test('with too little disk is refused, with what to free', async () => {
    await requireSpace(join(folder, 'not', 'there', 'yet'), 1);
    await expect(requireSpace(join(folder, 'not'), 1e18)).rejects.toThrow(
      /^setup tensorflow: expected 1000000000\.0 GB free on .*, got .*; free .*XDG_CACHE_HOME/,
    );
    expect([size(853_308_936), size(5_600_000_000), size(999_700_000)]).toEqual([
      '853 MB',
      '5.6 GB',
      '1.0 GB',
    ]);
  });

  test('with an old driver or none is warned of, not refused', () => {
    expect(driverWarning('580.95.05')).toBe(null);
    expect(driverWarning('unknown')).toBe(null);
    expect(driverWarning('470.82.01')).toContain('is 470.82.01; CUDA 12 needs 525');
    expect(driverWarning(null)).toContain('no NVIDIA driver');
  });

  test('without programs: one line names them all, and the packages that hold them', async () => {
    const path = process.env['PATH'];
    process.env['PATH'] = folder;
    try {
      await expect(findPrograms({})).rejects.toThrow(
        'setup tensorflow: not found: python3 with pip, npm, a C++ compiler (g++, clang++, or what CXX names); on Debian and Ubuntu: apt-get install python3-pip npm g++',
      );
    } finally {
      process.env['PATH'] = path;
    }
  });
});

describe('the cache', () => {
  test('is XDG_CACHE_HOME if that is absolute, else ~/.cache', () => {
    const home = '/home/ada';
    const usual = '/home/ada/.cache/matryoshka-sae/tensorflow';
    expect(tensorflowRoot({}, home)).toBe(usual);
    expect(tensorflowRoot({ XDG_CACHE_HOME: 'relative' }, home)).toBe(usual);
    expect(tensorflowRoot({ XDG_CACHE_HOME: '/big' }, home)).toBe('/big/matryoshka-sae/tensorflow');
  });

  test('holds nothing that is not finished: no ready.json, a broken one, or no addon', () => {
    const { addon, folder: own } = contents(folder, 'cpu');
    mkdirSync(dirname(addon), { recursive: true });
    writeFileSync(addon, '');
    expect(installed(folder, 'cpu')).toBe(null);
    for (const text of ['', '{"recipe"', 'null', '{"recipe":0}']) {
      writeFileSync(join(own, 'ready.json'), text);
      expect(installed(folder, 'cpu')).toBe(null);
    }
    makeReady('cpu');
    expect(installed(folder, 'cpu')?.addon).toBe(addon);
    rmSync(addon);
    expect(installed(folder, 'cpu')).toBe(null);
  });

  test('gives CUDA where there is a driver, else the CPU, or the only one there is', () => {
    expect(installedFor(true, folder)).toBe(null);
    makeReady('cuda');
    expect(installedFor(false, folder)?.flavour).toBe('cuda');
    makeReady('cpu');
    expect(installedFor(false, folder)?.flavour).toBe('cpu');
    expect(installedFor(true, folder)?.flavour).toBe('cuda');
  });
});

describe('the lock', () => {
  test('of a living process holds others back, of a dead one nobody', () => {
    const file = join(folder, 'lock');
    const unlock = takeLock(file);
    unlock();
    expect(existsSync(file)).toBe(false);
    const [host] = (takeLock(file), readFileSync(file, 'utf8').split(' '));
    writeFileSync(file, `${host} 1`);
    expect(() => takeLock(file)).toThrow(/another one is running .* 1\); wait for it, or remove/);
    writeFileSync(file, `elsewhere.example ${process.pid}`);
    expect(() => takeLock(file)).toThrow('another one is running');
    const dead = execFileSync(process.execPath, ['-e', 'console.log(process.pid)']).toString();
    for (const left of [`${host} ${dead.trim()}`, '', `${host} ${process.pid}`]) {
      writeFileSync(file, left);
      takeLock(file)();
      expect(existsSync(file)).toBe(false);
    }
  });
});

test('the complaint of a program is the cause it mentions, else its error, not the advice after it', () => {
  const of = (output: string): string => complaint({ status: 1, absent: false, output });
  expect(of('ERROR: No matching distribution found for x\nnpm notice\nWARNING: old pip\n')).toBe(
    'ERROR: No matching distribution found for x',
  );
  expect(
    of(
      'npm warn x\nnpm error code E404\nnpm error 404 Not Found - GET y\nnpm error A complete log\n',
    ),
  ).toBe('code E404: 404 Not Found - GET y');
  expect(
    of(
      "WARNING: Retrying after 'x: [Errno 111] Connection refused'\nERROR: No matching distribution",
    ),
  ).toBe('connection refused');
  expect(of('')).toBe('it said nothing');
});

function makeReady(flavour: 'cpu' | 'cuda'): void {
  const { addon, folder: own } = contents(folder, flavour);
  mkdirSync(dirname(addon), { recursive: true });
  writeFileSync(addon, '');
  writeFileSync(join(own, 'ready.json'), JSON.stringify({ recipe: RECIPE }));
}

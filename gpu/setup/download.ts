/**
 * Fetches wheels with pip and npm packages with npm, so that the user's index, proxy, certificates and passwords are
 * those that pip and npm are configured for. A file gets its final name only after its hash was found right.
 * @module
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UsageError } from '../../training/usage-error.ts';
import type { NpmPackage, Wheel } from './pinned.ts';
import { complaint, runProgram, type Ended } from './program.ts';
import { inScratch } from './scratch.ts';

/** `nvidia_cublas_cu12-12.9.3.13-py3-none-manylinux_2_27_x86_64.whl` by its parts; several platforms may be joined by dots. */
export function wheelName(file: string): {
  readonly name: string;
  readonly version: string;
  readonly platforms: readonly string[];
} {
  const [name, version, , , platforms] = file.replace(/\.whl$/, '').split('-');
  return { name: name.replaceAll('_', '-'), version, platforms: platforms.split('.') };
}

/**
 * What pip is asked: exactly this file, whatever Python it runs in, and nothing left in pip's own cache.
 * @param list - a requirements file that holds the hash: pip then takes no other file of that version.
 */
export function pipArguments(wheel: Wheel, list: string, folder: string): string[] {
  const platforms = wheelName(wheel.file).platforms.flatMap((name) => ['--platform', name]);
  return [
    ...['-m', 'pip', 'download', '--no-deps', '--no-cache-dir', '--disable-pip-version-check'],
    ...['--only-binary=:all:', '--implementation', 'cp', '--python-version', '3.12'],
    ...['--abi', 'cp312', ...platforms, '--progress-bar', 'off', '-d', folder, '-r', list],
  ];
}

/**
 * @param folder - downloads; a wheel that is there with the right hash is not fetched again.
 * @param onBytes - told now and then how much of this wheel has arrived.
 * @returns where it is.
 * @throws {@link UsageError} if pip fails or the file is another one.
 */
export async function fetchWheel(
  python: string,
  wheel: Wheel,
  folder: string,
  onBytes: (bytes: number) => void,
): Promise<string> {
  const path = join(folder, wheel.file);
  if (existsSync(path)) {
    if ((await hashOf(path, 'sha256', 'hex')) === wheel.sha256) return path;
    await rm(path);
  }
  const { name, version } = wheelName(wheel.file);
  return inScratch(folder, async (scratch) => {
    const list = join(scratch, 'list.txt');
    await writeFile(list, `${name}==${version} --hash=sha256:${wheel.sha256}\n`);
    // pip downloads to TMPDIR first: /tmp may be too small, and here its growth can be watched.
    const pip = join(scratch, 'pip');
    await mkdir(pip);
    const watch = setInterval(() => {
      void bytesIn(scratch).then((bytes) => onBytes(Math.min(bytes, wheel.bytes)));
    }, 250);
    const ended = await runProgram(python, pipArguments(wheel, list, scratch), {
      TMPDIR: pip,
      PIP_REQUIRE_VIRTUALENV: '0',
    }).finally(() => clearInterval(watch));
    const arrived = join(scratch, wheel.file);
    if (ended.status !== 0 || !existsSync(arrived))
      throw notDownloaded('pip', name, version, ended);
    await requireHash(arrived, `${name} ${version}`, 'sha256', 'hex', wheel.sha256);
    await rename(arrived, path);
    return path;
  });
}

/** As {@link fetchWheel}, for an npm package. */
export async function fetchPackage(
  npm: string,
  wanted: NpmPackage,
  folder: string,
): Promise<string> {
  const { name, version, integrity } = wanted;
  const expected = integrity.replace(/^sha512-/, '');
  const path = join(folder, `${name.replace('@', '').replace('/', '-')}-${version}.tgz`);
  if (existsSync(path)) {
    if ((await hashOf(path, 'sha512', 'base64')) === expected) return path;
    await rm(path);
  }
  return inScratch(folder, async (scratch) => {
    const args = ['pack', `${name}@${version}`, '--ignore-scripts', '--pack-destination', scratch];
    const ended = await runProgram(npm, args);
    const file = (await readdir(scratch)).find((entry) => entry.endsWith('.tgz'));
    if (ended.status !== 0 || file === undefined) throw notDownloaded('npm', name, version, ended);
    const arrived = join(scratch, file);
    await requireHash(arrived, `${name} ${version}`, 'sha512', 'base64', expected);
    await rename(arrived, path);
    return path;
  });
}

function notDownloaded(program: string, name: string, version: string, ended: Ended): UsageError {
  if (/do not match the hashes|EINTEGRITY/i.test(ended.output)) {
    return new UsageError(
      `setup tensorflow: ${name} ${version}: the index that ${program} is configured for holds another file than expected (its hash differs); use another index`,
    );
  }
  const config = { pip: 'pip config list, PIP_INDEX_URL', npm: 'npm config get registry' }[program];
  return new UsageError(
    `setup tensorflow: ${program} could not download ${name} ${version}: ${complaint(ended)}; check the network, the proxy (HTTPS_PROXY) and the index (${config ?? ''}), then run setup again`,
  );
}

/** @throws {@link UsageError} if the file's hash is not the expected one. */
export async function requireHash(
  path: string,
  what: string,
  algorithm: 'sha256' | 'sha512',
  encoding: 'hex' | 'base64',
  expected: string,
): Promise<void> {
  const got = await hashOf(path, algorithm, encoding);
  if (got === expected) return;
  throw new UsageError(
    `setup tensorflow: ${what}: expected ${algorithm} ${expected}, got ${got}; the index or a proxy serves another file: use another index`,
  );
}

async function hashOf(
  path: string,
  algorithm: 'sha256' | 'sha512',
  encoding: 'hex' | 'base64',
): Promise<string> {
  const hash = createHash(algorithm);
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    hash.update(chunk as Uint8Array);
  }
  return hash.digest(encoding);
}

/** All files below a folder together. What vanishes meanwhile counts nothing. */
async function bytesIn(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true }).catch(() => []);
  const sizes = entries.map((entry) =>
    stat(join(folder, entry)).then(
      (facts) => (facts.isFile() ? facts.size : 0),
      () => 0,
    ),
  );
  return (await Promise.all(sizes)).reduce((sum, bytes) => sum + bytes, 0);
}

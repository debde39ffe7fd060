/**
 * What a setup needs of the machine: all of it is looked at before the first byte is downloaded.
 * @module
 */
import { existsSync, readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { UsageError } from '../../training/usage-error.ts';
import { oldestDriver, oldestGlibc } from './pinned.ts';
import { runProgram } from './program.ts';

/** What the machine is, as far as TensorFlow's libraries care. */
export interface Machine {
  readonly platform: string;
  readonly arch: string;
  /** Null where the C library is another one (Alpine's musl). */
  readonly glibc: string | null;
}

/** Commands to run; each a name on PATH or a path. */
export interface Programs {
  readonly python: string;
  readonly npm: string;
  readonly compiler: string;
}

export function thisMachine(): Machine {
  const { platform, arch } = process;
  if (platform !== 'linux') return { platform, arch, glibc: null };
  // Otherwise the report looks up the name of every open connection.
  Object.assign(process.report, { excludeNetwork: true });
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return { platform, arch, glibc: header.glibcVersionRuntime ?? null };
}

/** @throws {@link UsageError} saying what is needed, what there is, and what works there instead. */
export function requirePlatform({ platform, arch, glibc }: Machine): void {
  const instead = 'use backend webgpu (npm install webgpu) or wasm there';
  if (platform !== 'linux' || arch !== 'x64') {
    throw new UsageError(
      `setup tensorflow: expected Linux on x64, got ${platform} on ${arch}; ${instead}`,
    );
  }
  if (glibc === null) {
    throw new UsageError(
      `setup tensorflow: expected glibc ${oldestGlibc} or newer, got another C library; use a distribution with glibc, or ${instead}`,
    );
  }
  if (!atLeast(glibc, oldestGlibc)) {
    throw new UsageError(
      `setup tensorflow: expected glibc ${oldestGlibc} or newer, got ${glibc}; use a newer distribution, or ${instead}`,
    );
  }
}

/** Whether a version such as `2.36` is not older than another. */
export function atLeast(version: string, oldest: string): boolean {
  const [major, minor] = version.split('.').map(Number);
  const [oldMajor, oldMinor] = oldest.split('.').map(Number);
  return major > oldMajor || (major === oldMajor && minor >= oldMinor);
}

/** The user's choice (PYTHON, CXX), else the first of the usual names that is there. */
export async function findPrograms(
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<Programs> {
  const chosen = (name: string): string[] => [env[name] ?? ''].filter((value) => value !== '');
  const [python, npm, compiler] = await Promise.all([
    firstThatRuns([...chosen('PYTHON'), 'python3', 'python'], ['-m', 'pip', '--version']),
    firstThatRuns(['npm'], ['--version']),
    firstThatRuns([...chosen('CXX'), 'g++', 'c++', 'clang++'], ['--version']),
  ]);
  const missing = [
    ...(python === null ? ['python3 with pip'] : []),
    ...(npm === null ? ['npm'] : []),
    ...(compiler === null ? ['a C++ compiler (g++, clang++, or what CXX names)'] : []),
  ];
  if (python !== null && npm !== null && compiler !== null) return { python, npm, compiler };
  const packages = [
    ...(python === null ? ['python3-pip'] : []),
    ...(npm === null ? ['npm'] : []),
    ...(compiler === null ? ['g++'] : []),
  ];
  throw new UsageError(
    `setup tensorflow: not found: ${missing.join(', ')}; on Debian and Ubuntu: apt-get install ${packages.join(' ')}`,
  );
}

async function firstThatRuns(
  names: readonly string[],
  args: readonly string[],
): Promise<string | null> {
  for (const name of names) {
    if ((await runProgram(name, args)).status === 0) return name;
  }
  return null;
}

/** @throws {@link UsageError} with what to free, if the file system that holds `folder` has less than `bytes` free. */
export async function requireSpace(folder: string, bytes: number): Promise<void> {
  let existing = folder;
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
  const { bavail, bsize } = await statfs(existing);
  const free = bavail * bsize;
  if (free >= bytes) return;
  throw new UsageError(
    `setup tensorflow: expected ${size(bytes)} free on ${existing}, got ${size(free)}; free ${size(bytes - free)}, or let XDG_CACHE_HOME name a folder on another disk`,
  );
}

/** `853 MB`, `5.6 GB`: powers of ten, as indexes and disks count. */
export function size(bytes: number): string {
  return bytes < 999.5e6 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

/** Version of the NVIDIA driver, `unknown` where it does not tell; null if there is none. */
export function nvidiaDriver(): string | null {
  try {
    const told = readFileSync('/proc/driver/nvidia/version', 'utf8');
    return /Module\D*? (\d+\.\d[\d.]*)/.exec(told)?.[1] ?? 'unknown';
  } catch {
    return ['/dev/nvidia0', '/dev/dxg'].some((path) => existsSync(path)) ? 'unknown' : null;
  }
}

/** Why CUDA will not work with this driver; null if it can. TensorFlow can be set up before the driver is. */
export function driverWarning(driver: string | null): string | null {
  if (driver === null) {
    return 'no NVIDIA driver is found here: TensorFlow will run on the CPU until there is one';
  }
  const major = Number.parseInt(driver, 10);
  if (!(major < oldestDriver)) return null;
  return `the NVIDIA driver is ${driver}; CUDA 12 needs ${oldestDriver} or newer: TensorFlow will run on the CPU until it is updated`;
}

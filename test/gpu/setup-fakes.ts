/**
 * A pip, an npm and a compiler for the tests of setup: small scripts over a folder of archives.
 * @module
 */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { npmPackages, type NpmPackage, type Wheel } from '../../gpu/setup/pinned.ts';
import type { World } from '../../gpu/setup/set-up.ts';

export const repository: string = fileURLToPath(new URL('../..', import.meta.url));

/** The interpreter itself: a version switch in front of it (pyenv) may take longer than what it is started for. */
export const python: string | null = ((): string | null => {
  try {
    const code = 'import sys, zipfile, tarfile; print(sys.executable)';
    return execFileSync('python3', ['-c', code], { stdio: 'pipe' }).toString().trim();
  } catch {
    return null;
  }
})();
/** @returns the path of a shell script with that body. */
export function script(path: string, body: string): string {
  writeFileSync(path, `#!/bin/sh\n${body}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** An index of small archives, and programs that serve it; every download is a line in the log. */
export interface Fake {
  readonly world: World;
  readonly index: string;
  readonly log: string;
}

/** @param folder - of the test; the index is made below it. */
export function fakeWorld(folder: string): Fake {
  const index = mkdtempSync(join(folder, 'index-'));
  const log = join(index, 'log');
  const tensorflow = {
    'tensorflow/libtensorflow_cc.so.2': 'cc',
    'tensorflow/libtensorflow_framework.so.2': 'framework',
    'tensorflow/python/not-taken.py': '',
  };
  const source = 'const util = require("util"); const tf = require("@tensorflow/tfjs");\n';
  const shown = 'exports.same = tf === require("@tensorflow/tfjs-core"); exports.util = util;\n';
  const packageFile = (which: keyof typeof npmPackages): string =>
    `${npmPackages[which].name.replace('/', '+')}@${npmPackages[which].version}`;
  makeArchives(index, {
    'tensorflow_cpu-1.0-x-x-linux.whl': tensorflow,
    'tensorflow-1.0-x-x-linux.whl': tensorflow,
    'nvidia_cublas-1-x-x-linux.whl': {
      'nvidia/cublas/lib/libcublas.so.12': '',
      'nvidia/cublas/include/cublas.h': '',
    },
    'nvidia_nvcc-1-x-x-linux.whl': { 'nvidia/cuda_nvcc/bin/ptxas': '' },
    [packageFile('tfjs')]: {
      'package/package.json': '{}',
      'package/dist/nodejs_kernel_backend.js': source + shown,
      'package/dist/kernels/TopK.js': source,
      'package/binding/tfjs_backend.cc': '',
    },
    [packageFile('protobuf')]: { 'package/google-protobuf.js': '' },
    [packageFile('headers')]: { 'package/include/node_api.h': '' },
  });
  const hash = (file: string, algorithm: string): Buffer =>
    createHash(algorithm)
      .update(readFileSync(join(index, file)))
      .digest();
  const wheel = (file: string, take: string): Wheel => {
    const { size: bytes } = statSync(join(index, file));
    return { file, sha256: hash(file, 'sha256').toString('hex'), bytes, unpacked: 1, take: [take] };
  };
  const npm = (which: keyof typeof npmPackages): NpmPackage => ({
    ...npmPackages[which],
    integrity: `sha512-${hash(packageFile(which), 'sha512').toString('base64')}`,
  });
  const world: World = {
    machine: () => ({ platform: 'linux', arch: 'x64', glibc: '2.36' }),
    programs: () =>
      Promise.resolve({
        python: script(
          join(index, 'python'),
          `[ "$2" = pip ] || exec "${python}" "$@"
           echo pip >>"${log}"; while [ "$1" != -d ]; do shift; done
           name=$(sed 's/==.*//; s/-/_/g' "$4"); cp "${index}/$name"-*.whl "$2"`,
        ),
        npm: script(
          join(index, 'npm'),
          `echo npm >>"${log}"; cp "${index}/$(echo "$2" | sed 's,/,+,')" "$5/it.tgz"`,
        ),
        compiler: script(
          join(index, 'cc'),
          'while [ "$1" != -o ]; do shift; done; echo made >"$2"',
        ),
      }),
    wheels: {
      cpu: [wheel('tensorflow_cpu-1.0-x-x-linux.whl', 'tensorflow/lib*')],
      cuda: [
        wheel('tensorflow-1.0-x-x-linux.whl', 'tensorflow/lib*'),
        wheel('nvidia_cublas-1-x-x-linux.whl', 'nvidia/*/lib/*.so*'),
        wheel('nvidia_nvcc-1-x-x-linux.whl', 'nvidia/cuda_nvcc/bin/ptxas'),
      ],
    },
    packages: { tfjs: npm('tfjs'), protobuf: npm('protobuf'), headers: npm('headers') },
    check: () => Promise.resolve(),
  };
  return { world, index, log };
}

/** Zips, which setup takes both kinds of archive by; programs in them are those named ptxas. */
function makeArchives(index: string, archives: Record<string, Record<string, string>>): void {
  const code = `
import json, os, sys, zipfile
for name, members in json.loads(sys.argv[2]).items():
    with zipfile.ZipFile(os.path.join(sys.argv[1], name), 'w') as file:
        for member, text in members.items():
            entry = zipfile.ZipInfo(member)
            entry.external_attr = (0o755 if member.endswith('ptxas') else 0o644) << 16
            file.writestr(entry, text)
`;
  execFileSync(python!, ['-c', code, index, JSON.stringify(archives)]);
}

/** Starts a setup that never leaves the step it is told, waits until it is there, and kills it with all it started. */
export async function killedIn(
  step: string,
  folder: string,
  { world, index }: Fake,
): Promise<void> {
  const reached = join(index, `reached-${step}`);
  const stay = `touch "${reached}"; sleep 100`;
  const programs = await world.programs();
  const staying: Record<string, Partial<typeof programs>> = {
    pip: {
      python: script(join(index, 'stay'), `[ "$2" = pip ] || exec "${python}" "$@"; ${stay}`),
    },
    unpack: {
      python: script(
        join(index, 'stay2'),
        `[ "$2" = pip ] && exec "${programs.python}" "$@"; ${stay}`,
      ),
    },
    npm: { npm: script(join(index, 'stay'), stay) },
    compiler: { compiler: script(join(index, 'stay'), stay) },
  };
  const given = { ...programs, ...staying[step] };
  const code = `
    import { existsSync, writeFileSync } from 'node:fs';
    import { setUpTensorflow } from ${JSON.stringify(join(repository, 'gpu/setup/set-up.ts'))};
    const quiet = { note() {}, download() {}, stop() {}, during: (what, work) => work() };
    await setUpTensorflow(${JSON.stringify(folder)}, 'cpu', quiet, {
      machine: () => ({ platform: 'linux', arch: 'x64', glibc: '2.36' }),
      programs: async () => (${JSON.stringify(given)}),
      wheels: ${JSON.stringify(world.wheels)},
      packages: ${JSON.stringify(world.packages)},
      check: () => {
        writeFileSync(${JSON.stringify(reached)}, '');
        return new Promise((resolve) => setTimeout(resolve, 100_000));
      },
    });`;
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '--eval', code],
    { cwd: repository, stdio: ['ignore', 'ignore', 'inherit'], detached: true },
  );
  const ended = new Promise((resolve) => child.once('exit', resolve));
  for (let waited = 0; !existsSync(reached); waited++) {
    if (child.exitCode !== null || waited > 600) throw new Error(`it never came to ${step}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  process.kill(-child.pid!, 'SIGKILL');
  await ended;
}

/**
 * The addon of @tensorflow/tfjs-node-gpu, compiled against TensorFlow's own libraries. The package's build script wants
 * node-gyp, make and Node's headers from the network; its two source files need none of that: they use Node's stable C
 * interface alone, so one addon serves Node 20, 22 and 24.
 * @module
 */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { UsageError } from '../../training/usage-error.ts';
import { unpack } from './archive.ts';
import { npmPackages } from './pinned.ts';
import { complaint, runProgram } from './program.ts';

/**
 * TensorFlow logs while its libraries are loaded, before it reads TF_CPP_MIN_LOG_LEVEL. This library is initialised
 * before all others (`-z initfirst`) and turns standard error away; the addon, initialised last, turns it back.
 */
const mute = `#include <cstdlib>
#include <fcntl.h>
#include <unistd.h>
int matryoshka_stderr = -1;
__attribute__((constructor)) static void mute() {
  const char* level = std::getenv("TF_CPP_MIN_LOG_LEVEL");
  if (level == nullptr || std::atoi(level) < 1) return;
  int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere < 0) return;
  matryoshka_stderr = fcntl(2, F_DUPFD_CLOEXEC, 3);
  if (matryoshka_stderr >= 0) dup2(nowhere, 2);
  close(nowhere);
}
`;

const unmute = `#include <unistd.h>
extern int matryoshka_stderr;
__attribute__((constructor)) static void unmute() {
  if (matryoshka_stderr < 0) return;
  dup2(matryoshka_stderr, 2);
  close(matryoshka_stderr);
  matryoshka_stderr = -1;
}
`;

/** What the package asks of node:util and Node 23 no longer has (tensorflow/tfjs #8425: mended there, never released). */
const formerUtil =
  '({ isNullOrUndefined: (value) => value === null || value === undefined, isArray: Array.isArray })';
const usersOfFormerUtil = ['dist/nodejs_kernel_backend.js', 'dist/kernels/TopK.js'];

/** Where a package's archive is. */
export interface Archives {
  readonly tfjs: string;
  readonly protobuf: string;
}

/**
 * Makes the package out of its parts. In place of `@tensorflow/tfjs` (141 MB) it gets an empty module, which who loads
 * the package fills with the tfjs-core in use: then there is one tfjs-core, whatever else is installed.
 * @param scratch - an empty folder on the same file system as `folder`.
 * @param folder - made in one step, or not at all; a former one is replaced.
 */
export async function assemblePackage(
  python: string,
  archives: Archives,
  scratch: string,
  folder: string,
): Promise<void> {
  const modules = join(scratch, 'package', 'node_modules');
  await unpack(python, archives.tfjs, npmPackages.tfjs.take, scratch);
  await unpack(python, archives.protobuf, npmPackages.protobuf.take, join(scratch, 'protobuf'));
  await mkdir(join(modules, '@tensorflow', 'tfjs'), { recursive: true });
  await mkdir(join(modules, '@tensorflow', 'tfjs-core'));
  await rename(join(scratch, 'protobuf', 'package'), join(modules, 'google-protobuf'));
  await writeFile(join(modules, '@tensorflow', 'tfjs', 'index.js'), 'module.exports = {};\n');
  await writeFile(
    join(modules, '@tensorflow', 'tfjs-core', 'index.js'),
    "module.exports = require('@tensorflow/tfjs');\n",
  );
  for (const name of usersOfFormerUtil) {
    const file = join(scratch, 'package', name);
    const source = await readFile(file, 'utf8');
    await writeFile(file, source.replace('require("util")', formerUtil));
  }
  await rm(folder, { recursive: true, force: true });
  await rename(join(scratch, 'package'), folder);
}

/**
 * Compiles the addon and places it and its companion beside TensorFlow's libraries, where the loader finds them by
 * `$ORIGIN`: the folder can be moved, and LD_LIBRARY_PATH does not matter.
 * @param packageFolder - as {@link assemblePackage} made it.
 * @param headers - the folder of node_api.h.
 * @param scratch - an empty folder on the same file system as the libraries.
 * @param addon - the file to make, in the folder of the libraries.
 * @throws {@link UsageError} with the compiler's complaint; `log` then holds all it printed.
 */
export async function compileAddon(
  compiler: string,
  packageFolder: string,
  headers: string,
  scratch: string,
  addon: string,
  log: string,
): Promise<void> {
  const libraries = dirname(addon);
  const made = (name: string): string => join(scratch, name);
  await writeFile(made('mute.cc'), mute);
  await writeFile(made('unmute.cc'), unmute);
  const flags = [
    ...['-std=c++17', '-O2', '-fPIC', '-DNAPI_VERSION=8'],
    ...['-I', headers, '-I', join(libraries, 'include')],
  ];
  const source = (name: string): string => join(packageFolder, 'binding', name);
  const compile = (file: string, object: string): string[] => [...flags, '-c', file, '-o', object];
  await all(compiler, log, [
    compile(source('tfjs_backend.cc'), made('backend.o')),
    compile(source('tfjs_binding.cc'), made('binding.o')),
    [...flags, '-shared', made('mute.cc'), '-Wl,-z,initfirst', '-o', made('libmute.so')],
  ]);
  const objects = [made('backend.o'), made('binding.o'), made('unmute.cc')];
  const libs = ['-L', scratch, '-l:libmute.so', '-L', libraries];
  const tensorflow = ['-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2'];
  const output = ['-Wl,-rpath,$ORIGIN', '-o', made('addon.node')];
  await all(compiler, log, [[...flags, '-shared', ...objects, ...libs, ...tensorflow, ...output]]);
  await rename(made('libmute.so'), join(libraries, 'libmute.so'));
  await rename(made('addon.node'), addon);
}

/** Runs the compiler once for each list of arguments, all at the same time. */
async function all(compiler: string, log: string, runs: readonly string[][]): Promise<void> {
  const ended = await Promise.all(runs.map((args) => runProgram(compiler, args)));
  const failed = ended.find(({ status }) => status !== 0);
  if (failed === undefined) return;
  await writeFile(log, ended.map(({ output }) => output).join('\n'));
  throw new UsageError(
    `setup tensorflow: ${compiler} does not compile the addon: ${complaint(failed)}; a compiler with C++17 is needed (CXX names another one); all it said is in ${log}`,
  );
}

/**
 * Loads the addon in a process of its own.
 * @throws {@link UsageError} if it crashes there, does not load, or is another TensorFlow than expected.
 */
export async function checkAddon(addon: string, version: string): Promise<void> {
  const script = `process.stdout.write('TensorFlow ' + require(${JSON.stringify(addon)}).TF_Version)`;
  const ended = await runProgram(process.execPath, ['-e', script], { TF_CPP_MIN_LOG_LEVEL: '3' });
  if (ended.status === 0 && ended.output.endsWith(`TensorFlow ${version}`)) return;
  const reason = ended.status === null ? 'loading it crashes' : complaint(ended);
  throw new UsageError(
    `setup tensorflow: the addon does not work here: ${reason}; TensorFlow ${version} needs a processor with AVX and glibc 2.27; backend wasm needs neither`,
  );
}

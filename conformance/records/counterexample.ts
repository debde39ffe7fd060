/**
 * Failures as files: the smallest failing call as safetensors, with what the reference answers, and a Python program that
 * shows it alone. A later run tries what it finds saved before anything else.
 * @module
 */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decodeSafetensors, encodeSafetensors } from '../../training/formats/safetensors.ts';
import { writeAtomically, writeTextAtomically } from '../../training/atomic-file.ts';
import type { Call, KernelSpec, Tensor, Tensors } from '../kernel.ts';
import type { Failure, LawResult } from '../run.ts';

/** A failure that an earlier run saved. */
export interface SavedFailure {
  readonly file: string;
  readonly kernel: string;
  readonly law: string;
  readonly dtype: string;
  readonly seed: number;
  readonly path: string;
}

/**
 * Writes `<operator>--<law>.safetensors`: inputs by name, `expected.<output>` as the reference has them (none where it
 * refuses), the rest in the metadata; and a `.py` beside it.
 * @param command - the kernels' command line, if they are a process.
 * @returns the path of the safetensors file.
 */
export async function saveFailure(
  folder: string,
  result: LawResult,
  failure: Failure,
  spec: KernelSpec,
  dtype: string,
  command: string | undefined,
): Promise<string> {
  await mkdir(folder, { recursive: true });
  const { call, message, seed, path } = failure;
  const name = join(folder, `${spec.name}--${slugOf(result.law)}.${dtype}`);
  const expected = expectedOf(spec, call);
  const tensors = [
    ...Object.entries(call.inputs),
    ...Object.entries(expected).map(([output, value]) => [`expected.${output}`, value] as const),
  ].map(([tensor, { shape, data }]) => ({ name: tensor, dtype: 'F64' as const, shape, data }));
  const metadata = {
    operator: spec.name,
    law: result.law,
    dtype,
    config: JSON.stringify(call.config),
    message,
    seed: String(seed),
    path,
  };
  const file = `${name}.safetensors`;
  const bytes = encodeSafetensors(tensors, metadata);
  await writeAtomically(file, bytes.length, (handle) => handle.writeFile(bytes));
  await writeTextAtomically(
    `${name}.py`,
    pythonProgram(spec, result, failure, expected, dtype, command),
  );
  return file;
}

/** Everything saved in a folder; nothing if there is none. */
export async function savedFailures(folder: string): Promise<SavedFailure[]> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch {
    return [];
  }
  const saved: SavedFailure[] = [];
  for (const name of names.filter((entry) => entry.endsWith('.safetensors')).sort()) {
    const file = join(folder, name);
    const { metadata } = decodeSafetensors(await readFile(file), file);
    const { operator, law, dtype, seed, path } = metadata;
    if (operator === undefined || law === undefined || path === undefined) continue;
    saved.push({ file, kernel: operator, law, dtype: dtype ?? '', seed: Number(seed), path });
  }
  return saved;
}

/** A failure that does not fail any more. */
export async function forgetFailure({ file }: SavedFailure): Promise<void> {
  await rm(file, { force: true });
  await rm(file.replace(/\.safetensors$/, '.py'), { force: true });
}

/** Where matryoshka_kernels.py is: a checkout or an installed package. */
const adapterFolder = fileURLToPath(new URL('../python', import.meta.url));

function slugOf(law: string): string {
  return law
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 60);
}

function expectedOf(spec: KernelSpec, call: Call): Tensors {
  try {
    return spec.reference(call);
  } catch {
    return {};
  }
}

function pythonProgram(
  spec: KernelSpec,
  { law }: LawResult,
  { call, message, seed, path }: Failure,
  expected: Tensors,
  dtype: string,
  command: string | undefined,
): string {
  const script = command?.split(/\s+/).find((word) => word.endsWith('.py'));
  const inputs = Object.entries(call.inputs).map(
    ([name, value]) => `    ${JSON.stringify(name)}: ${literal(value)},`,
  );
  const outputs = Object.entries(expected).map(
    ([name, value]) => `    ${JSON.stringify(name)}: ${literal(value)},`,
  );
  const config = JSON.stringify(call.config)
    .replaceAll('null', 'None')
    .replaceAll('true', 'True')
    .replaceAll('false', 'False');
  return `"""
${spec.name}: ${law}
${message.replaceAll('"""', "'''")}
dtype ${dtype}, seed ${seed}, path ${path}

The smallest call found that breaks the law. Needs numpy; give it a kernel as a function of the inputs and settings.
"""

import numpy as np

inf, nan = np.inf, np.nan
inputs = {
${inputs.join('\n')}
}
config = ${config}
# What the float64 reference answers${outputs.length === 0 ? ': it refuses the call.' : '.'}
expected = {
${outputs.join('\n')}
}

if __name__ == "__main__":
    print("config", config)
    for name, value in inputs.items():
        print(name, value.tolist())
${
  script === undefined
    ? ''
    : `    # The kernel itself, as it is offered through matryoshka_kernels.
    import runpy
    import sys

    sys.path.insert(0, ${JSON.stringify(adapterFolder)})

    import matryoshka_kernels

    runpy.run_path(${JSON.stringify(script)})
    got = matryoshka_kernels.call(${JSON.stringify(spec.name)}, inputs, config, ${JSON.stringify(spec.outputShapes(call))}, ${JSON.stringify(dtype)})
    for name, value in got.items():
        print("got     ", name, np.asarray(value).tolist())
`
}    for name, value in expected.items():
        print("expected", name, value.tolist())
`;
}

/** Values as numpy reads them back exactly. */
function literal({ shape, data }: Tensor): string {
  const values = Array.from(data, (value) =>
    Number.isNaN(value) ? 'nan' : String(value).replace('Infinity', 'inf'),
  );
  return `np.array([${values.join(', ')}], np.float64).reshape(${JSON.stringify(shape)})`;
}

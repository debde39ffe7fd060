/** The examples are right: every law of what they offer holds, or they say why they cannot run here. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { openKernelProcess } from '../../conformance/kernel-process.ts';
import { specs } from '../../conformance/kernels/all.ts';
import type { FloatFormat } from '../../conformance/number-formats.ts';
import { processKernels } from '../../conformance/process-kernels.ts';
import { runLaws } from '../../conformance/run.ts';
import { pythonWith } from './python.ts';

const examples = fileURLToPath(new URL('../../conformance/examples/', import.meta.url));
const seed = 7;
const runs = 5;

/** What the laws of the operators on offer came to: those that do not hold, and how many do. */
async function certified(
  command: string,
  dtype?: FloatFormat,
): Promise<{ skip: string | null; wrong: string[]; passed: number }> {
  const limits = { timeLimit: 60_000, startLimit: 120_000 };
  const kernel = await openKernelProcess(command, limits);
  try {
    const { skip, operators, dtypes } = kernel.hello;
    const chosen = specs.filter(({ name }) => operators.includes(name));
    expect(chosen.map(({ name }) => name).sort()).toEqual([...operators].sort());
    const kernels = processKernels(kernel, dtype ?? dtypes[0], chosen);
    const results = await runLaws(chosen, kernels, { runs, seed });
    const wrong = results.filter(({ outcome }) => outcome !== 'pass');
    return {
      skip,
      wrong: wrong.map((result) => `${result.kernel}: ${result.law}: ${result.failure?.message}`),
      passed: results.length - wrong.length,
    };
  } finally {
    await kernel.close();
  }
}

const numpy = pythonWith('numpy');

describe.skipIf(numpy.path === null)(`with numpy ${numpy.reason}`, () => {
  test('the numpy example holds every law there is', async () => {
    const result = await certified(`"${numpy.path}" -B "${examples}numpy/numpy_kernels.py"`);
    const laws = specs.reduce((sum, spec) => sum + spec.laws.length, 0);
    expect(result).toEqual({ skip: null, wrong: [], passed: laws });
  });

  test.each(['triton/triton_kernels.py', 'peers/flexsae_kernels.py'])(
    '%s holds its laws, or says why it cannot run',
    async (file) => {
      // No device is visible, so that the answer is the same everywhere.
      const command = `CUDA_VISIBLE_DEVICES= "${numpy.path}" -B "${examples}${file}"`;
      const { skip, passed } = await certified(command);
      expect(skip).toMatch(/^(no CUDA device|cannot import (torch|triton))$/);
      expect(passed).toBe(0);
    },
  );
});

const torch = pythonWith('numpy', 'torch');

describe.skipIf(torch.path === null)(`with torch ${torch.reason}`, () => {
  test.each(['float32', 'float64'] as const)(
    'the torch example holds every law of its operators in %s',
    async (dtype) => {
      const command = `"${torch.path}" -B "${examples}torch/torch_kernels.py"`;
      const result = await certified(command, dtype);
      expect(result).toMatchObject({ skip: null, wrong: [] });
      expect(result.passed).toBeGreaterThan(100);
    },
  );
});

function compiler(): string | null {
  try {
    execFileSync('cc', ['--version'], { stdio: 'ignore' });
    return 'cc';
  } catch {
    return null;
  }
}

describe.skipIf(compiler() === null)('with a C compiler, found as cc', () => {
  const folder = mkdtempSync(join(tmpdir(), 'c-kernels-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  test('the C example builds without a warning and holds every law of its operators', async () => {
    const program = join(folder, 'c_kernels');
    const strict = ['-O2', '-std=c11', '-Wall', '-Wextra', '-Werror'];
    execFileSync('cc', [...strict, '-o', program, `${examples}c/c_kernels.c`, '-lm']);
    const result = await certified(`"${program}"`);
    expect(result).toMatchObject({ skip: null, wrong: [] });
    expect(result.passed).toBeGreaterThan(15);
  });
});

/** The Python adapter: what kernels get, what they may return, and what of their conduct is seen. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openKernelProcess, type KernelProcess } from '../../conformance/kernel-process.ts';
import { KernelCrash, type Call } from '../../conformance/kernel.ts';
import { encodeFrame } from '../../conformance/messages.ts';
import { roundTo, type FloatFormat } from '../../conformance/number-formats.ts';
import { pythonWith } from './python.ts';

const python = pythonWith('numpy');
const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const script = [path('hostile/adapter.py'), path('../../conformance/python')];
const command = `"${python.path}" -B ${script.map((word) => `"${word}"`).join(' ')}`;

const formats = ['float32', 'float64', 'tf32', 'float16', 'bfloat16'] as const;
const stored = { float32: 'F32', float64: 'F64', tf32: 'F32', float16: 'F16', bfloat16: 'BF16' };

const call: Call = {
  config: { top_k: 3 },
  inputs: { x: { shape: [2, 2], data: Float64Array.of(1, -2, 0.5, 4) } },
};

describe.skipIf(python.path === null)(`the Python adapter ${python.reason}`, () => {
  let kernels: KernelProcess;
  const strays: string[] = [];

  beforeAll(async () => {
    const onStray = (text: string): void => void strays.push(text);
    kernels = await openKernelProcess(command, { timeLimit: 60_000, startLimit: 60_000, onStray });
  });
  afterAll(async () => {
    await kernels?.close();
    // Of what was printed only what came before serve() may have reached the suite.
    expect(strays.filter((text) => text !== 'a print before serving\n')).toEqual([]);
  });

  /** The answer's values, dtype and notes, in a line. */
  async function answer(
    operator: string,
    outputs: Readonly<Record<string, readonly number[]>> = { y: [2, 2] },
    format: FloatFormat = 'float32',
    asked = call,
    fill = NaN,
  ): Promise<string> {
    try {
      const got = await kernels.call(operator, asked, outputs, format, fill);
      const tensors = Object.entries(got.tensors).map(
        ([name, { shape, data }]) =>
          `${name} ${got.dtypes[name]} [${shape.join()}] ${data.join(' ')}`,
      );
      return [...tensors, ...got.notes].join('; ');
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return `${error instanceof KernelCrash ? 'crash' : 'refusal'}: ${error.message}`;
    }
  }

  test.each([
    ['returns-its-input', 'y F32 [2,2] 1 -2 0.5 4'],
    ['python-list', `y F32 [2,2] ${[0.1, 0.2, 0.3, 0.4].map(Math.fround).join(' ')}`],
    ['transposed', 'y F32 [2,2] 1 0.5 -2 4'],
    ['strided', 'y F32 [2,2] -2 1 4 0.5'],
    ['big-endian', 'y F32 [2,2] 1 -2 0.5 4'],
    ['everything', 'y F32 [2,2] 4 1 3.5 7'],
    ['another-name', 'latent F32 [2,2] 1 -2 0.5 4'],
    ['changes-input', 'y F32 [2,2] 1 -2 0.5 4; x: the input was changed'],
    ['reads-stdin', 'y F32 [2,2] 1 -2 0.5 4'],
    ['child', 'y F32 [2,2] 1 -2 0.5 4'],
    ['text', 'refusal: TypeError: output y: dtype <U1, expected float32'],
    ['nothing', 'refusal: TypeError: the kernel returned nothing, expected y'],
    ['refuses', 'refusal: ValueError: x: too odd'],
    ['not-yet', 'refusal: NotImplementedError: for now'],
    ['no-such-kernel', 'refusal: NotImplementedError: no kernel for no-such-kernel'],
    ['fails', /^refusal: IndexError: index 7 is out of bounds/],
    ['exits', 'crash: exited with status 3'],
    ['in-place', 'y F32 [2,2] 1 -2 0.5 4'],
    ['accumulates', 'y F32 [2,2] NaN NaN NaN NaN'],
    ['past-the-end', 'y F32 [2,2] 1 -2 0.5 4; y: wrote 1 values past its end'],
    ['before-the-start', 'y F32 [2,2] 1 -2 0.5 4; y: wrote 64 values before its start'],
    ['in-place-returns', /^refusal: TypeError: a kernel with in_place=True returns nothing/],
  ])('of a kernel that is %s the answer is %s', async (operator, expected) => {
    const got = await answer(operator);
    if (typeof expected === 'string') expect(got.slice(0, expected.length)).toBe(expected);
    else expect(got).toMatch(expected);
  });

  test('two outputs need a dictionary', async () => {
    expect(await answer('one-of-two', { y: [2, 2], z: [] })).toBe(
      'refusal: TypeError: expected a dictionary with y, z, got ndarray',
    );
  });

  test('names with dots and settings become parameters', async () => {
    const asked = { ...call, inputs: { 'grad.W_enc': call.inputs['x'] } };
    expect(await answer('settings', undefined, 'float32', asked)).toBe('y F32 [2,2] 3 -6 1.5 12');
  });

  test('a buffer holds what the suite asks for before the call', async () => {
    expect(await answer('accumulates', { y: [2, 2] }, 'float32', call, 7)).toBe(
      'y F32 [2,2] 8 5 7.5 11',
    );
  });

  test('a scalar stays one, in and out of a buffer', async () => {
    const asked = { config: {}, inputs: { x: { shape: [], data: Float64Array.of(0.1) } } };
    for (const format of formats) {
      const value = roundTo(0.1, format === 'tf32' ? 'float32' : format);
      const expected = `y ${stored[format]} [] ${value}`;
      for (const operator of ['returns-its-input', 'python-number', 'in-place']) {
        expect(await answer(operator, { y: [] }, format, asked)).toBe(expected);
      }
    }
    expect(await answer('numpy-double', { y: [] })).toBe('y F64 [] 0.1');
  });

  test.each(formats)(
    '%s values come back as they were sent, and guards are watched',
    async (format) => {
      const values = [1, -0, NaN, Infinity, -Infinity, 0.1, 1e-7, 60000].map((value) =>
        roundTo(value, format === 'tf32' ? 'float32' : format),
      );
      const asked = {
        config: {},
        inputs: { x: { shape: [2, 4], data: Float64Array.from(values) } },
      };
      for (const operator of ['returns-its-input', 'in-place', 'past-the-end']) {
        const note = operator === 'past-the-end' ? '; y: wrote 1 values past its end' : '';
        expect(await answer(operator, { y: [2, 4] }, format, asked)).toBe(
          `y ${stored[format]} [2,4] ${values.join(' ')}${note}`,
        );
      }
      expect(await answer('dtype', { y: [2, 4], asked: [] }, format, asked)).toMatch(
        ` [${format.length}] `,
      );
    },
  );

  test('empty tensors pass', async () => {
    const asked = { config: {}, inputs: { x: { shape: [0, 3], data: new Float64Array() } } };
    for (const format of formats) {
      for (const operator of ['returns-its-input', 'in-place']) {
        const expected = `y ${stored[format]} [0,3] `;
        expect(await answer(operator, { y: [0, 3] }, format, asked)).toBe(expected);
      }
    }
  });

  test('torch tensors of every format come and go, and their conduct is watched, too', async (context) => {
    if (kernels.hello.device === 'without torch') return context.skip('torch is not installed');
    for (const format of formats) {
      const dtype = stored[format];
      expect(await answer('torch', undefined, format)).toBe(`y ${dtype} [2,2] 2 -4 1 8`);
      expect(await answer('torch-in-place', undefined, format)).toBe(
        `y ${dtype} [2,2] 1 -2 0.5 4; y: wrote 1 values before its start`,
      );
      expect(await answer('torch-changes-input', undefined, format)).toBe(
        `y ${dtype} [2,2] 2 -4 1 8; x: the input was changed`,
      );
    }
  });

  test('an error leaves its traceback on standard error, a refusal does not', async () => {
    const [fails, refuses] = await Promise.all(['fails', 'refuses'].map(endOf));
    expect(fails.errors).toContain('Traceback');
    expect(refuses.errors).not.toContain('Traceback');
  });

  test.each(['returns-its-input', 'interrupted', 'hangs up at once', 'hangs up within a message'])(
    'when it ends with %s it ends quietly',
    async (way) => {
      const { status, errors } = await endOf(way);
      expect(status).toBe(0);
      expect(errors.replace(/^a print .*\n/gm, '')).toBe('');
    },
  );

  /** Runs the kernels without the suite: one call, whose answer nobody reads, then the end of their input. */
  async function endOf(way: string): Promise<{ status: number | null; errors: string }> {
    const child = spawn(python.path!, ['-B', ...script, 'without-torch'], { stdio: 'pipe' });
    child.stdin.on('error', () => {});
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    const metadata = {
      operator: way,
      id: '1',
      dtype: 'float32',
      config: '{}',
      outputs: '{"y":[2,2]}',
      fill: 'NaN',
    };
    const request = encodeFrame({ metadata, tensors: call.inputs }, 'float32');
    if (way === 'returns-its-input') {
      child.stdin.write(
        encodeFrame({ metadata: { operator: 'hello', id: '0' }, tensors: {} }, 'float32'),
      );
      await new Promise<void>((resolve) => {
        child.stdout.on('data', (chunk: Buffer) => chunk.includes('SAEk1') && resolve());
      });
      child.stdout.destroy(); // its answer meets a broken pipe
    }
    if (way === 'hangs up at once') child.stdin.end();
    else if (way === 'hangs up within a message') child.stdin.end(request.subarray(0, 60));
    else child.stdin.end(request);
    const [status] = (await once(child, 'close')) as [number | null];
    return { status, errors };
  }
});

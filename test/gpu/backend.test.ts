import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import {
  backendNamed,
  BackendUnavailable,
  openBackend,
  ranking,
  type BackendName,
} from '../../gpu/backend.ts';
import { loadProblem } from '../../gpu/tensorflow-backend.ts';
import { missingBackends, onEachBackend, workingBackends } from './on-each-backend.ts';

describe('asked for by name', () => {
  test.each(workingBackends)(
    '%s is the backend that tfjs then uses, and leaves no tensor',
    async (name) => {
      const before = tf.memory().numTensors;
      const opened = await openBackend(name);
      expect(opened.name).toBe(name);
      expect(tf.getBackend()).toBe(name);
      expect(tf.memory().numTensors).toBe(before);
    },
  );

  test.runIf(missingBackends.length > 0).each(missingBackends)(
    '%s does not work here: it throws the reason and the remedy, and nothing opens in its place',
    async (name) => {
      await openBackend('cpu');
      const error: unknown = await openBackend(name).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(BackendUnavailable);
      const { message, problem } = error as BackendUnavailable;
      expect(message).toContain(`backend ${name}`);
      expect(message).not.toContain('\n');
      expect(problem.reason).not.toBe('');
      expect(problem.remedy).not.toBe('');
    },
  );

  test('a name that is no backend throws, and the message lists those that are', async () => {
    const wrong = 'cuda' as BackendName;
    await expect(openBackend(wrong)).rejects.toThrow(
      'backend: expected one of tensorflow, webgpu, wasm, cpu, auto, got "cuda"',
    );
    expect(() => backendNamed('')).toThrow('got ""');
  });
});

describe('auto', () => {
  test('takes the best that works and says why each better one was not taken', async () => {
    const opened = await openBackend('auto');
    expect(workingBackends).toContain(opened.name);
    const place = ranking.indexOf(opened.rank);
    for (const { rank, reason, remedy } of opened.better) {
      expect(ranking.indexOf(rank)).toBeLessThan(place);
      expect(reason).not.toBe('');
      expect(remedy).not.toBe('');
    }
    if (opened.rank !== 'tensorflow on CUDA') {
      expect(opened.better.map(({ rank }) => rank)).toContain('tensorflow on CUDA');
    }
    // Software WebGPU is never worth taking while wasm works.
    expect(opened.rank).not.toBe('webgpu in software');
  });
});

describe('the remedy fits what is wrong with tfjs-node-gpu', () => {
  test.each([
    [
      'libcudart.so.11.0: cannot open shared object file: No such file or directory',
      'shared library libcudart.so.11.0 is missing',
      'LD_LIBRARY_PATH',
    ],
    [
      'libtensorflow.so.2: cannot open shared object file: No such file or directory',
      'shared library libtensorflow.so.2 is missing',
      'npm rebuild @tensorflow/tfjs-node-gpu',
    ],
    [
      'The Node.js native addon module (tfjs_binding.node) can not be found at path: /x',
      'its native addon (tfjs_binding.node) is not built',
      '--build-addon-from-source',
    ],
    ['something else\nstack', 'the package does not load: something else', 'npm rebuild'],
  ])('%s', (message, reason, remedy) => {
    const problem = loadProblem(new Error(message));
    expect(problem.reason).toBe(reason);
    expect(problem.remedy).toContain(remedy);
  });
});

onEachBackend('the numeric profile', (profile) => {
  test('declares float32 results and sums, and how operands are rounded', () => {
    expect(profile.u_out).toBe(2 ** -24);
    expect([2 ** -24, 2 ** -23]).toContain(profile.u_acc);
    expect([0, 2 ** -11, 2 ** -8]).toContain(profile.u_in);
    expect(profile.u_div).toBeGreaterThanOrEqual(2 ** -24);
    expect(profile.splitEncode).toBe(false);
    expect(profile.device).not.toBe('');
  });

  test('says rightly whether subnormal numbers become 0', async () => {
    const product = tf.tidy(() => tf.mul(tf.fill([2000], 2 ** -70), tf.fill([2000], 2 ** -70)));
    const values = await product.data();
    product.dispose();
    if (!profile.flushesSubnormals) expect(new Set(values)).toEqual(new Set([2 ** -140]));
  });
});

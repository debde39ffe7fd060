import * as tf from '@tensorflow/tfjs-core';
import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { openBackend } from '../../gpu/backend.ts';

test('wasm finds its files from any working folder', async () => {
  const home = process.cwd();
  process.chdir(tmpdir());
  try {
    expect((await openBackend('wasm')).name).toBe('wasm');
    expect(tf.getBackend()).toBe('wasm');
  } finally {
    process.chdir(home);
  }
});

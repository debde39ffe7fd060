import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { readSae, saeTensors, writeSae, type SaeConfig } from '../../../training/formats/sae.ts';
import { encodeSafetensors, type Tensor } from '../../../training/formats/safetensors.ts';
import { UsageError } from '../../../training/usage-error.ts';

const folder = mkdtempSync(join(tmpdir(), 'sae-'));
afterAll(() => rmSync(folder, { recursive: true }));

const config: SaeConfig = {
  format: 'matryoshka-sae 1',
  architecture: 'matryoshka_batchtopk',
  dialect: 'dictionary_learning',
  d_in: 2,
  d_sae: 3,
  k: 1.5,
  prefixes: [1, 3],
  dtype: 'float32',
  threshold: 0.5,
  training: {
    kernel: 'reference',
    steps: 1,
    tokens: 2,
    batch: 2,
    seed: 0,
    learningRate: 0.1,
    warmupSteps: 0,
    decayStart: null,
    auxkAlpha: 0,
    deadAfter: 1,
    thresholdStartStep: 0,
    normFactor: 1,
    loss: null,
    sources: [{ file: 'a', tensor: 'x', dtype: 'F16', rows: 2, hash: 'sha256:0' }],
  },
  metrics: null,
  version: '0.1.0',
};

const tensors: Tensor[] = (
  [
    ['W_enc', [2, 3], [1, 2, 3, 4, 5, 6]],
    ['b_enc', [3], [7, 8, 9]],
    ['W_dec', [3, 2], [1, 0, 0, 1, 0.6, 0.8]],
    ['b_dec', [2], [10, 11]],
    ['threshold', [], [0.5]],
  ] as const
).map(([name, shape, values]) => ({ name, dtype: 'F32', shape, data: Float32Array.from(values) }));

beforeEach(() =>
  writeSae(
    folder,
    config,
    tensors.map((tensor) => ({ ...tensor, read: () => tensor.data })),
  ),
);

test('what is written is what is read back', async () => {
  const sae = await readSae(folder);
  expect(sae.config).toEqual(config);
  const { W_enc, b_enc, W_dec, b_dec, threshold } = sae;
  expect([W_enc, b_enc, W_dec, b_dec]).toEqual(tensors.slice(0, 4).map(({ data }) => data));
  expect(threshold).toBe(0.5);
});

test('export, load and export again is the identity: both files have the same bytes', async () => {
  const awkward = [-0, 2 ** -149, -(2 ** -126), 1 / 3, 3.4e38, -1e-7];
  const values = tensors.map((tensor) => ({
    ...tensor,
    data: Float32Array.from(tensor.data as Float32Array, (value, i) =>
      i % 2 === 0 ? awkward[i] : value,
    ),
  }));
  // A threshold that was set, and one that never was.
  for (const threshold of [Math.fround(0.1), -1]) {
    const state = values.map((tensor) => {
      const data = tensor.name === 'threshold' ? Float32Array.of(threshold) : tensor.data;
      return { ...tensor, read: () => data };
    });
    const training = { ...config.training, normFactor: 0.75 };
    await writeSae(folder, { ...config, threshold, training }, saeTensors(state, 0.75));
    const { config: loaded, ...sae } = await readSae(folder);
    const again = mkdtempSync(join(folder, 'again-'));
    const reloaded = tensors.map(({ name, dtype, shape }) => {
      const data = sae[name as 'W_enc' | 'threshold'];
      const read = (): Float32Array => (typeof data === 'number' ? Float32Array.of(data) : data);
      return { name, dtype, shape, read };
    });
    // The norm factor is recorded, and was folded by the first export.
    await writeSae(again, loaded, saeTensors(reloaded, 1));
    for (const file of ['sae.safetensors', 'cfg.json']) {
      expect(readFileSync(join(again, file)).equals(readFileSync(join(folder, file))), file).toBe(
        true,
      );
    }
  }
});

describe('refused by file and field', () => {
  const edit = (change: object): void =>
    writeFileSync(join(folder, 'cfg.json'), JSON.stringify({ ...config, ...change }));
  const cases: [string, () => void, RegExp][] = [
    ['no cfg.json', () => rmSync(join(folder, 'cfg.json')), /cfg.json: no such file/],
    [
      'a cfg.json cut short',
      () => writeFileSync(join(folder, 'cfg.json'), '{"format'),
      /cfg.json: not JSON/,
    ],
    ['another format', () => edit({ format: 'sae 9' }), /cfg.json: format: .*matryoshka-sae 1/],
    ['a field of the wrong kind', () => edit({ d_in: 'two' }), /cfg.json: d_in: /],
    [
      'prefixes that end elsewhere',
      () => edit({ prefixes: [1, 2] }),
      /cfg.json: prefixes: the last is not d_sae/,
    ],
    [
      'weights of another shape',
      () => edit({ d_in: 4 }),
      /sae.safetensors: tensor "W_enc" is F32 of shape \[2, 3\], expected F32 of shape \[4, 3\]/,
    ],
    [
      'a tensor left out',
      () => writeFileSync(join(folder, 'sae.safetensors'), encodeSafetensors(tensors.slice(1))),
      /sae.safetensors: has no tensor "W_enc"; it has: b_enc, W_dec, b_dec, threshold/,
    ],
    [
      'weights cut short',
      () => {
        const path = join(folder, 'sae.safetensors');
        writeFileSync(path, readFileSync(path).subarray(0, -4));
      },
      /sae.safetensors: truncated/,
    ],
  ];
  test.each(cases)('%s', async (_, spoil, message) => {
    spoil();
    await expect(readSae(folder)).rejects.toThrow(UsageError);
    await expect(readSae(folder)).rejects.toThrow(message);
  });
});

test('while weights are replaced there is no cfg.json, so a folder that has one is whole', async () => {
  const failing = tensors.map((tensor) => ({
    ...tensor,
    read: () => Promise.reject(new Error('device lost')),
  }));
  await expect(writeSae(folder, config, failing)).rejects.toThrow('device lost');
  await expect(readSae(folder)).rejects.toThrow(/cfg.json: no such file/);
});

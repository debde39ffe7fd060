import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { openShards } from '../../training/activation-shards.ts';
import { runSample, sampleSettings, type SampleProgress } from '../../training/sample-run.ts';

const file = (name: string): string => `training/sample/${name}.safetensors`;

test.each([
  ['train', 8192],
  ['heldout', 2048],
])('%s.safetensors holds %s rows of the model that its metadata names', async (name, rows) => {
  const opened = await openShards([file(name)], '--activations');
  expect([opened.rows, opened.d_in]).toEqual([rows, 384]);
  const [{ file: shard, tensor }] = opened.shards;
  expect(tensor.dtype).toBe('F16');
  expect(shard.metadata['model']).toMatch(/all-MiniLM-L6-v2 \(Apache-2.0\)/);
  expect(shard.metadata['sample']).toContain(`rows 0 to ${rows - 1}`);
  await opened.close();
});

test('the sample stays small: at most 8 MiB', () => {
  const bytes = ['train', 'heldout'].reduce(
    (sum, name) => sum + readFileSync(file(name)).length,
    0,
  );
  expect(bytes).toBeLessThanOrEqual(8 * 1024 * 1024);
});

describe('a shortened run on the sample', () => {
  const settings = {
    ...sampleSettings,
    d_sae: 256,
    steps: 20,
    decayStart: 15,
    warmupSteps: 2,
    thresholdStartStep: 12,
  };

  test('trains both architectures and evaluates each on the held-out rows', async () => {
    const seen: SampleProgress[] = [];
    const results = await runSample({
      backend: 'wasm',
      seed: 1,
      settings,
      onProgress: (progress) => seen.push(progress),
    });
    expect(results).toMatchObject({ kernel: 'wasm', seed: 1, settings });
    expect(
      results.runs.map(({ architecture, prefixes }) => [architecture, prefixes.length]),
    ).toEqual([
      ['batchtopk', 1],
      ['matryoshka', 5],
    ]);
    expect(seen).toHaveLength(40);
    for (const { curve, threshold, batch, explainedVariance, steps } of results.runs) {
      expect(steps).toBe(20);
      expect(curve.map(({ step }) => step)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
      expect(curve[19].loss).toBeLessThan(0.9 * curve[0].loss);
      expect(explainedVariance).toBe(threshold.explainedVariance);
      expect(batch.explainedVariance).toBeGreaterThan(0.2);
      expect(batch.l0).toBeLessThanOrEqual(32);
      expect(threshold.rows).toBe(2048);
    }
    expect(JSON.parse(JSON.stringify(results))).toEqual(results);
  });

  test('aborted, it throws the reason of the signal', async () => {
    const controller = new AbortController();
    const attempt = runSample({
      backend: 'wasm',
      seed: 1,
      settings,
      signal: controller.signal,
      onProgress: () => controller.abort(new Error('enough')),
    });
    await expect(attempt).rejects.toThrow('enough');
  });
});

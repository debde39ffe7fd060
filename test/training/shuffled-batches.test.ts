import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openShards, type ActivationShards } from '../../training/activation-shards.ts';
import { encodeSafetensors } from '../../training/formats/safetensors.ts';
import { BLOCK_ROWS, defaultBufferRows, shuffledBatches } from '../../training/shuffled-batches.ts';

const folder = mkdtempSync(join(tmpdir(), 'batches-'));
const sizes = [300, 64, 1, 500];
const total = 865;
let activations: ActivationShards;

// Every row is two copies of its number, so that a served row can be told and checked.
beforeAll(async () => {
  let row = 0;
  const paths = sizes.map((rows, i) => {
    const data = Float32Array.from({ length: rows * 2 }, (_, at) => row + (at >> 1));
    row += rows;
    const path = join(folder, `${i}.safetensors`);
    const tensor = { name: 'activations', dtype: 'F32', shape: [rows, 2], data } as const;
    writeFileSync(path, encodeSafetensors([tensor]));
    return path;
  });
  activations = await openShards(paths, '--activations');
});
afterAll(async () => {
  await activations.close();
  rmSync(folder, { recursive: true });
});

async function serve(
  count: number,
  options: { seed?: number; batchRows?: number; served?: number; bufferRows?: number } = {},
): Promise<number[]> {
  const batches = shuffledBatches(activations, { seed: 1, batchRows: 100, ...options });
  const rows: number[] = [];
  let torn = 0;
  for (let i = 0; i < count; i++) {
    const x = await batches.next();
    for (let at = 0; at < x.length; at += 2) {
      if (x[at + 1] !== x[at]) torn++;
      rows.push(x[at]);
    }
  }
  await batches.close();
  expect(torn).toBe(0);
  return rows;
}

const settings = fc.record({
  seed: fc.nat(),
  batchRows: fc.integer({ min: 20, max: total }),
  bufferRows: fc.integer({ min: 1, max: 1200 }),
});

test('each epoch serves every row exactly once, across batches and buffers', async () => {
  await fc.assert(
    fc.asyncProperty(settings, async (options) => {
      const rows = await serve(Math.ceil((2 * total) / options.batchRows), options);
      for (const epoch of [0, 1]) {
        const served = rows.slice(epoch * total, (epoch + 1) * total);
        expect(served.sort((a, b) => a - b)).toEqual([...Array(total).keys()]);
      }
    }),
    { numRuns: 15 },
  );
});

test('a run resumed after any number of batches serves what the uninterrupted run serves', async () => {
  await fc.assert(
    fc.asyncProperty(settings, fc.nat({ max: 12 }), async (options, after) => {
      const whole = await serve(after + 2, options);
      const served = after * options.batchRows;
      expect(await serve(2, { ...options, served })).toEqual(whole.slice(served));
    }),
    { numRuns: 15 },
  );
});

test('the seed decides the order: equal seeds agree, others differ, and so do two epochs', async () => {
  const first = await serve(17, { seed: 5 });
  expect(await serve(17, { seed: 5 })).toEqual(first);
  expect(await serve(17, { seed: 6 })).not.toEqual(first);
  expect(first.slice(0, total)).not.toEqual(first.slice(total, 2 * total));
});

test('a batch mixes shards and is in no order', async () => {
  const rows = await serve(1, { batchRows: 200 });
  const ofFirst = rows.filter((row) => row < 300).length;
  expect(ofFirst).toBeGreaterThan(30);
  expect(ofFirst).toBeLessThan(120);
  const neighbours = rows.filter((row, i) => i > 0 && row === rows[i - 1] + 1).length;
  expect(neighbours).toBeLessThan(5);
});

test('rows in memory never exceed two buffers, whatever the size of the shards', async () => {
  const batches = shuffledBatches(activations, { seed: 1, batchRows: 50, bufferRows: 128 });
  let most = 0;
  for (let i = 0; i < 100; i++) {
    await batches.next();
    most = Math.max(most, batches.held());
  }
  expect(most).toBeLessThanOrEqual(2 * 128);
  expect(most).toBeGreaterThan(BLOCK_ROWS);
  expect(batches.served()).toBe(5000);
  await batches.close();
  expect(batches.held()).toBe(0);
});

test('only the rows of two buffers are read before the first batch is served', async () => {
  // Counts bytes asked of the files, through handles that pass reads on.
  let bytes = 0;
  const counted: ActivationShards = {
    ...activations,
    shards: activations.shards.map((shard) => ({
      ...shard,
      file: {
        ...shard.file,
        handle: new Proxy(shard.file.handle, {
          get(target, name) {
            if (name !== 'read') return Reflect.get(target, name) as unknown;
            return (buffer: Uint8Array, offset: number, length: number, position: number) => {
              bytes += length;
              return target.read(buffer, offset, length, position);
            };
          },
        }),
      },
    })),
  };
  const batches = shuffledBatches(counted, { seed: 1, batchRows: 10, bufferRows: 64 });
  await batches.next();
  await batches.close();
  expect(bytes).toBeGreaterThan(0);
  expect(bytes).toBeLessThanOrEqual(2 * 64 * 2 * 4);
});

test('the default buffer takes at most 256 MiB, whatever d_in', () => {
  for (const d_in of [64, 384, 2304, 16384]) {
    const bytes = defaultBufferRows(d_in, 1024) * d_in * 4;
    expect(bytes).toBeLessThanOrEqual(2 ** 28);
    expect(bytes).toBeGreaterThan(0.99 * 2 ** 28);
  }
});

describe('refused', () => {
  test('more rows in a batch than there are; exactly as many are served', async () => {
    expect(() => shuffledBatches(activations, { seed: 1, batchRows: 866 })).toThrow(
      '--batch 866: the activations hold only 865 rows: give more shards or a smaller --batch',
    );
    expect(await serve(1, { batchRows: 865 })).toHaveLength(865);
  });

  test('a row that is not finite, when its buffer is due and not before', async () => {
    const data = new Float32Array(1000 * 2);
    data[1999] = NaN;
    const path = join(folder, 'nan.safetensors');
    const tensor = { name: 'activations', dtype: 'F32', shape: [1000, 2], data } as const;
    writeFileSync(path, encodeSafetensors([tensor]));
    const bad = await openShards([path], '--activations');
    const batches = shuffledBatches(bad, { seed: 1, batchRows: 100, bufferRows: 100 });
    await expect(
      (async () => {
        for (let i = 0; i < 10; i++) await batches.next();
      })(),
    ).rejects.toThrow(`${path}: row 999 of tensor "activations" holds NaN at column 1`);
    await batches.close();
    await bad.close();
  });
});

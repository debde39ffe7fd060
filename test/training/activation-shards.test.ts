import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openShards, rowsInOrder } from '../../training/activation-shards.ts';
import { fingerprint } from '../../training/formats/fingerprint.ts';
import { encodeSafetensors, type Tensor } from '../../training/formats/safetensors.ts';
import { UsageError } from '../../training/usage-error.ts';

const folder = mkdtempSync(join(tmpdir(), 'shards-'));
afterAll(() => rmSync(folder, { recursive: true }));

function matrix(name: string, rows: number, cols: number, start = 0): Tensor {
  const data = Float32Array.from({ length: rows * cols }, (_, i) => start + i);
  return { name, dtype: 'F32', shape: [rows, cols], data };
}

function shard(file: string, ...tensors: Tensor[]): string {
  const path = join(folder, `${file}.safetensors`);
  writeFileSync(path, encodeSafetensors(tensors));
  return path;
}

const ids: Tensor = { name: 'id', dtype: 'I32', shape: [4], data: new Int32Array(4) };

describe('the tensor taken', () => {
  test('is "activations", or the one named, or the only float matrix', async () => {
    const both = shard('both', matrix('activations', 4, 2), matrix('other', 3, 5), ids);
    const only = shard('only', matrix('resid', 4, 3), ids);
    for (const [path, name, d_in] of [
      [both, undefined, 2],
      [both, 'other', 5],
      [only, undefined, 3],
    ] as const) {
      const opened = await openShards([path], '--activations', name);
      expect(opened.d_in).toBe(d_in);
      await opened.close();
    }
  });

  test.each([
    [
      'absent among several',
      [matrix('a', 1, 1), matrix('b', 1, 1)],
      undefined,
      /no tensor "activations"; float matrices in it: a, b: choose one with --tensor/,
    ],
    [
      'not there by that name',
      [matrix('a', 1, 1)],
      'zz',
      /no tensor "zz"; float matrices in it: a/,
    ],
    ['no float matrix at all', [ids], undefined, /float matrices in it: none/],
    [
      'of integers',
      [{ ...ids, name: 'activations' }],
      undefined,
      /"activations" is I32 of shape \[4\], expected a float matrix/,
    ],
    [
      'without rows',
      [matrix('activations', 0, 3)],
      undefined,
      /shape \[0, 3\]: it holds no activations/,
    ],
  ] as const)('is refused if %s', async (_, tensors, name, message) => {
    const path = shard('refused', ...tensors);
    await expect(openShards([path], '--activations', name)).rejects.toThrow(UsageError);
    await expect(openShards([path], '--activations', name)).rejects.toThrow(message);
  });
});

test('shards of two widths are refused, naming the file and both widths', async () => {
  const paths = [
    shard('w2', matrix('activations', 4, 2)),
    shard('w3', matrix('activations', 4, 3)),
  ];
  await expect(openShards(paths, '--activations')).rejects.toThrow(
    `--activations ${paths[1]}: d_in is 3, but ${paths[0]} has d_in 2: give shards of one width`,
  );
});

test('rows in order are all rows, shard after shard, whatever the batch', async () => {
  const paths = [
    shard('p', matrix('activations', 5, 2)),
    shard('q', matrix('activations', 3, 2, 100)),
  ];
  const opened = await openShards(paths, '--heldout');
  expect([opened.rows, opened.d_in]).toEqual([8, 2]);
  for (const batch of [1, 2, 5, 8, 100]) {
    const seen: number[] = [];
    for await (const { x, rows } of rowsInOrder(opened, batch)) {
      expect(x.length).toBe(rows * 2);
      seen.push(...x);
    }
    expect(seen).toEqual([...Array(10).keys(), ...Array.from({ length: 6 }, (_, i) => 100 + i)]);
  }
  await opened.close();
});

describe.each([NaN, Infinity, -Infinity])('a row holding %s', (bad) => {
  test.each(['F16', 'BF16', 'F32', 'F64'] as const)(
    'in %s is refused with file, row, column',
    async (dtype) => {
      const data =
        dtype === 'F32'
          ? new Float32Array(12)
          : dtype === 'F64'
            ? new Float64Array(12)
            : new Uint16Array(12);
      const upper = new Uint32Array(Float32Array.of(bad).buffer)[0] >>> 16;
      const half = Number.isNaN(bad) ? 0x7e00 : bad > 0 ? 0x7c00 : 0xfc00;
      data[7] = dtype === 'F16' ? half : dtype === 'BF16' ? upper : bad;
      const path = shard(`bad-${dtype}`, { name: 'activations', dtype, shape: [6, 2], data });
      const opened = await openShards([path], '--activations');
      const read = async (): Promise<void> => {
        for await (const { rows } of rowsInOrder(opened, 2)) expect(rows).toBe(2);
      };
      await expect(read()).rejects.toThrow(
        `${path}: row 3 of tensor "activations" holds ${bad} at column 1: remove the row or collect it again`,
      );
      await opened.close();
    },
  );
});

test('the fingerprint of a large file sees its size and its sampled pieces', async () => {
  const path = join(folder, 'large');
  const bytes = new Uint8Array(65 * 1024 * 1024);
  writeFileSync(path, bytes);
  const first = await fingerprint(path);
  expect(first).toMatch(/^sha256-sampled:[0-9a-f]{64}$/);
  bytes[bytes.length - 1] = 1;
  writeFileSync(path, bytes);
  const changed = await fingerprint(path);
  writeFileSync(path, bytes.subarray(1));
  const shorter = await fingerprint(path);
  expect(new Set([first, changed, shorter]).size).toBe(3);
  writeFileSync(path, 'abc');
  expect(await fingerprint(path)).toBe(
    'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  );
});

import {
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { UsageError } from '../../../training/usage-error.ts';
import {
  openSafetensors,
  readRows,
  readTensor,
  writeSafetensors,
} from '../../../training/formats/safetensors-file.ts';
import { tensorNamed } from '../../../training/formats/safetensors-header.ts';
import { encodeSafetensors } from '../../../training/formats/safetensors.ts';

const folder = mkdtempSync(join(tmpdir(), 'safetensors-'));
afterAll(() => rmSync(folder, { recursive: true }));

const rows = Float32Array.from({ length: 12 }, (_, i) => i);
const tensors = [
  { name: 'x', dtype: 'F32', shape: [4, 3], data: rows },
  { name: 'id', dtype: 'I32', shape: [4], data: Int32Array.of(7, 8, 9, 10) },
] as const;

test('a file holds the same bytes as the buffer, each tensor asked for once, in turn', async () => {
  const path = join(folder, 'same.safetensors');
  const asked: string[] = [];
  const lazy = tensors.map((tensor) => ({
    ...tensor,
    read: () => {
      asked.push(tensor.name);
      return tensor.data;
    },
  }));
  await writeSafetensors(path, lazy, { a: 'b' });
  expect(asked).toEqual(['x', 'id']);
  expect(new Uint8Array(readFileSync(path))).toEqual(encodeSafetensors(tensors, { a: 'b' }));
});

test('a range of rows is read alone', async () => {
  const path = join(folder, 'rows.safetensors');
  writeFileSync(path, encodeSafetensors(tensors));
  const file = await openSafetensors(path);
  const bytes = await readRows(file, tensorNamed(file, 'x', path), 1, 2);
  expect([...new Float32Array(bytes.buffer)]).toEqual([3, 4, 5, 6, 7, 8]);
  expect(await readTensor(file, tensorNamed(file, 'id', path))).toEqual(tensors[1].data);
  await expect(readRows(file, tensorNamed(file, 'x', path), 3, 2)).rejects.toThrow(
    /rows inside 0..4/,
  );
  expect(() => tensorNamed(file, 'y', path)).toThrow(/has no tensor "y"; it has: x, id/);
  await file.close();
});

describe('a bad file is refused by name', () => {
  const cases: [string, () => string, RegExp][] = [
    ['missing', () => join(folder, 'none.safetensors'), /none.safetensors: no such file/],
    ['a folder', () => folder, /is a folder/],
    [
      'truncated',
      () => {
        const path = join(folder, 'cut.safetensors');
        writeFileSync(path, encodeSafetensors(tensors));
        truncateSync(path, 180);
        return path;
      },
      /cut.safetensors: truncated: tensor "id" ends at byte 64/,
    ],
    [
      'empty',
      () => {
        writeFileSync(join(folder, 'empty'), '');
        return join(folder, 'empty');
      },
      /empty: empty file/,
    ],
  ];
  test.each(cases)('%s', async (_, make, message) => {
    const path = make();
    await expect(openSafetensors(path, '--activations')).rejects.toThrow(UsageError);
    await expect(openSafetensors(path, '--activations')).rejects.toThrow(/^--activations /);
    await expect(openSafetensors(path)).rejects.toThrow(message);
  });

  test('shortened while it is read', async () => {
    const path = join(folder, 'shrinks.safetensors');
    writeFileSync(path, encodeSafetensors(tensors));
    const file = await openSafetensors(path);
    truncateSync(path, file.dataStart + 10);
    await expect(readTensor(file, file.tensors.get('x')!)).rejects.toThrow(/became shorter/);
    await file.close();
  });
});

test('an error while a tensor is fetched leaves the old file and no temporary one', async () => {
  const path = join(folder, 'kept.safetensors');
  writeFileSync(path, 'old');
  const failing = { ...tensors[1], read: () => Promise.reject(new Error('device lost')) };
  await expect(
    writeSafetensors(path, [{ ...tensors[0], read: () => rows }, failing]),
  ).rejects.toThrow('device lost');
  expect(readFileSync(path, 'utf8')).toBe('old');
  expect(readdirSync(folder).filter((name) => name.includes('tmp'))).toEqual([]);
});

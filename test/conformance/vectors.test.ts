import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { decodeSafetensors } from '../../training/formats/safetensors.ts';

interface Manifest {
  readonly vectors: readonly {
    readonly id: string;
    readonly file: string;
    readonly sha256: string;
    readonly tensors: Readonly<Record<string, readonly (string | number)[]>>;
  }[];
}

const root = fileURLToPath(new URL('../../conformance/vectors/', import.meta.url));
const sources = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !entry.name.startsWith('_'))
  .map(({ name }) => name);

test('every published implementation has recordings', () => {
  expect(sources.sort()).toEqual(['bussmann', 'dictionary-learning', 'nabeshima', 'saelens']);
});

describe.each(sources)('recordings of %s', (source) => {
  const folder = `${root}${source}/`;
  const manifest = JSON.parse(readFileSync(`${folder}manifest.json`, 'utf8')) as Manifest;

  test('the manifest lists every file, its hash and its tensors', () => {
    const files = readdirSync(folder).filter((name) => name.endsWith('.safetensors'));
    expect(manifest.vectors.map(({ file }) => file).sort()).toEqual(files.sort());
    for (const { file, sha256, tensors } of manifest.vectors) {
      const bytes = readFileSync(folder + file);
      expect(createHash('sha256').update(bytes).digest('hex'), file).toBe(sha256);
      const found = [...decodeSafetensors(bytes, file).tensors.values()].map(
        ({ name, dtype, shape }) => [name, [dtype, ...shape]] as const,
      );
      expect(Object.fromEntries(found), file).toEqual(tensors);
    }
  });
});

/**
 * reference/ is a specification: it depends on nothing, so that it can be read and run alone.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const folder = fileURLToPath(new URL('../../reference/', import.meta.url));
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.ts'),
);

/** What a source imports or exports from, statically or not. */
function specifiers(source: string): string[] {
  const code = source.replace(/\/\*[^]*?\*\//g, '').replace(/\/\/.*$/gm, '');
  return [...code.matchAll(/(?:\bfrom|\bimport|\brequire)\s*\(?\s*(['"`])(.*?)\1/g)].map(
    ([, , specifier]) => specifier,
  );
}

test('there are files, and imports are found in them', () => {
  expect(files.length).toBeGreaterThan(10);
  expect(specifiers(readFileSync(`${folder}train-step.ts`, 'utf8')).length).toBeGreaterThan(10);
  expect(specifiers(`import 'a'; export { b } from "b"; await import('c'); require('d')`)).toEqual([
    'a',
    'b',
    'c',
    'd',
  ]);
});

test.each(files)('reference/%s imports nothing outside its folder', (file) => {
  for (const specifier of specifiers(readFileSync(folder + file, 'utf8'))) {
    expect(specifier).toMatch(/^\.\.?\/[a-z/-]+\.ts$/);
    expect(files).toContain(posix.join(posix.dirname(file), specifier));
  }
});

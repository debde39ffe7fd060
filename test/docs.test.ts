import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { specs } from '../conformance/kernels/all.ts';
import type { Matrix } from '../reference/matrix.ts';

const root = join(import.meta.dirname, '..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');

describe('README', () => {
  test('its TypeScript example runs and decodes', async () => {
    const [, code] = /```ts\n([\s\S]*?)```/.exec(readme)!;
    const folder = mkdtempSync(join(root, 'test', 'readme-'));
    try {
      const file = join(folder, 'example.ts');
      const local = code
        .replaceAll(/'matryoshka-sae\/([^']*)\.js'/g, "'../../$1.ts'")
        .replace('steps: 2000', 'steps: 3, warmupSteps: 1');
      writeFileSync(
        file,
        `${local.replace('let state', "const { x, batches } = await import('../docs-batches.ts');\nlet state")}\nexport { coarse, full };\n`,
      );
      const { coarse, full } = (await import(pathToFileURL(file).href)) as Record<string, Matrix>;
      expect([coarse.rows, coarse.cols, full.cols]).toEqual([30, 20, 20]);
      expect(full.data.every(Number.isFinite)).toBe(true);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test('its two commands stand near its top', () => {
    const top = readme.split('\n').slice(0, 14).join('\n');
    expect(top).toContain('npm ci && npm start');
    expect(top).toContain('npm ci && npm test');
  });
});

test('links between documents lead somewhere', () => {
  const pages = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)];
  for (const page of pages) {
    const text = readFileSync(join(root, page), 'utf8');
    for (const [, target] of text.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)) {
      expect(statSync(join(root, dirname(page), target)).isFile(), `${page}: ${target}`).toBe(true);
    }
  }
});

test('every operator has a reference file, a port, a spec, mutants and a test under one name', () => {
  const files = (folder: string): string[] => readdirSync(join(root, folder));
  const mutated = files('conformance/mutants').filter(
    // Not of one operator: an arithmetic, ways to behave, and what runs them all.
    (name) => !['all.ts', 'mutant.ts', 'bfloat16.ts', 'conduct.ts', 'command.ts'].includes(name),
  );
  for (const name of mutated) {
    for (const room of ['reference', 'gpu', 'conformance/kernels']) {
      expect(files(room), `${room}/${name}`).toContain(name);
    }
  }
  expect(specs.length).toBeGreaterThanOrEqual(mutated.length);
});

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BackendUnavailable, openBackend } from '../../gpu/backend.ts';
import { contents, tensorflowRoot } from '../../gpu/setup/cache-folder.ts';
import { RECIPE } from '../../gpu/setup/pinned.ts';
import { loadProblem, tensorflowSource } from '../../gpu/tensorflow-backend.ts';

let cache: string;
const before = process.env['XDG_CACHE_HOME'];
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'tensorflow-backend-'));
  process.env['XDG_CACHE_HOME'] = cache;
});
afterEach(() => {
  if (before === undefined) delete process.env['XDG_CACHE_HOME'];
  else process.env['XDG_CACHE_HOME'] = before;
  rmSync(cache, { recursive: true, force: true });
});

/** A finished setup, as far as its files tell, whose addon is no addon. */
function makeBrokenSetup(): ReturnType<typeof contents> {
  const made = contents(tensorflowRoot(), 'cpu');
  mkdirSync(dirname(made.addon), { recursive: true });
  writeFileSync(made.addon, 'not a library');
  writeFileSync(join(made.folder, 'ready.json'), JSON.stringify({ recipe: RECIPE }));
  return made;
}

test('what setup built is loaded rather than what npm installed', async () => {
  expect((await tensorflowSource())?.setUp ?? null).toBe(null);
  const made = makeBrokenSetup();
  expect(await tensorflowSource()).toEqual({ setUp: made, file: made.addon });
});

test('a setup that no longer loads is broken, and its remedy is to set up again', async () => {
  const { folder } = makeBrokenSetup();
  const error: unknown = await openBackend('tensorflow').catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(BackendUnavailable);
  const { status, problem, message } = error as BackendUnavailable;
  expect(status).toBe('broken');
  expect(problem.reason).toContain(`TensorFlow in ${folder} does not load: `);
  expect(problem.remedy).toContain('matryoshka setup tensorflow --uninstall');
  expect(message).not.toContain('\n');
});

test('every remedy for the package that npm installed names setup', () => {
  for (const message of [
    'libtensorflow.so.2: cannot open shared object file: No such file or directory',
    'The Node.js native addon module (tfjs_binding.node) can not be found at path: /x',
    'something else',
  ]) {
    expect(loadProblem(new Error(message)).remedy).toContain('matryoshka setup tensorflow');
  }
});

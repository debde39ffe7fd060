import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { version } from '../reference/version.ts';
import type { Certificate } from '../conformance/records/certificate.ts';
import { specs } from '../conformance/kernels/all.ts';

const root = join(import.meta.dirname, '..');
const folder = mkdtempSync(join(tmpdir(), 'matryoshka-cli-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command as a user runs it from a checkout. */
function matryoshka(...args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--import', 'tsx', join(root, 'cli.ts'), ...args],
      { cwd: root, maxBuffer: 2 ** 26, env: { ...process.env, CI: 'true', FORCE_COLOR: '' } },
      (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr }),
    );
  });
}

test('the version is the package’s', async () => {
  const { version: published } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    version: string;
  };
  expect(version).toBe(published);
  expect((await matryoshka('--version')).stdout.trim()).toBe(version);
});

test.each([
  'preflight',
  'doctor',
  'setup',
  'conformance',
  'merge',
  'verify',
  'compare',
  'run',
  'dialects',
  'synthetic',
  'train',
  'plan',
  'bench',
])('%s --help prints its options and succeeds', async (command) => {
  const { code, stdout } = await matryoshka(command, '--help');
  expect(code).toBe(0);
  expect(stdout).toMatch(/Usage: matryoshka/);
});

describe('wrong usage exits 2 with one line that names the field', () => {
  const file = join(folder, 'a-file');
  writeFileSync(file, 'not a folder');
  test.each<[string, string[], RegExp]>([
    ['an unknown command', ['bogus'], /unknown command 'bogus'/],
    ['an unknown flag', ['conformance', '--bogus'], /unknown option '--bogus'/],
    ['an unknown flag of preflight', ['preflight', '--bogus'], /unknown option '--bogus'/],
    ['a query that matches nothing', ['conformance', '--only', 'nope'], /--only.*"nope"/],
    ['an unknown backend', ['conformance', '--backend', 'cuda'], /backend.*"cuda"/],
    ['a backend of preflight', ['preflight', '--backend', 'cuda'], /backend.*"cuda"/],
    ['zero runs', ['conformance', '--runs', '0'], /--runs: expected a whole number >= 1, got "0"/],
    [
      'a seed that is no number',
      ['conformance', '--seed', 'x'],
      /--seed: expected a whole number >= 0, got "x"/,
    ],
    ['a certificate below a file', ['conformance', '--json', join(file, 'c.json')], /--json/],
    ['a report below a file', ['preflight', '--out', join(file, 'out')], /--out/],
    [
      'a misspelt operator',
      ['run', 'encod', '--in', 'x'],
      /unknown operator "encod"; did you mean/,
    ],
    ['an operator without files', ['run', 'encode'], /required option '--in <file>'/],
    ['an unknown dialect', ['dialects', 'diff', 'paper', 'papr'], /expected one of .*"papr"/],
    ['no oracle of that name', ['conformance', '--oracle', '--only', 'nope'], /oracle.*"nope"/],
    ['no seeds', ['preflight', '--seeds', '0'], /--seeds: expected a whole number >= 1, got "0"/],
  ])('%s', async (_name, args, message) => {
    const { code, stderr } = await matryoshka(...args);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr.split('\n').find((line) => line.startsWith('error:'))).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});

test('conformance writes a certificate with every operator, law, outcome and count', async () => {
  const path = join(folder, 'certificate.json');
  const args = ['--backend', 'wasm', '--runs', '5', '--seed', '1', '--json', path];
  const { code, stdout } = await matryoshka('conformance', ...args);
  expect(code).toBe(0);
  expect(stdout).toMatch(/--seed 1/);
  const record = JSON.parse(readFileSync(path, 'utf8')) as Certificate;
  expect(record).toMatchObject({ version, backend: 'wasm', dtype: 'float32', seed: 1, runs: 5 });
  expect(new Set(record.kernels.map(({ kernel }) => kernel))).toEqual(
    new Set(specs.map(({ name }) => name)),
  );
  for (const law of record.kernels) {
    expect(law).toMatchObject({ outcome: 'pass', cases: 5 });
    expect(law.seconds).toBeGreaterThanOrEqual(0);
  }
  expect(record.counts).toEqual({
    pass: record.kernels.length,
    fail: 0,
    skip: 0,
    unexpectedPass: 0,
    crashed: 0,
  });
});

test('conformance --list names kernels, tensors and laws without running any', async () => {
  const { code, stdout } = await matryoshka('conformance', '--list');
  expect(code).toBe(0);
  for (const { name } of specs) expect(stdout).toContain(name);
  expect(stdout).toMatch(/19 kernels, \d+ laws/);
});

test('conformance --mutants counts what it rejects', async () => {
  const { code, stdout } = await matryoshka('conformance', '--mutants', '--only', 'encode');
  expect(code).toBe(0);
  expect(stdout).toMatch(/(\d+) of \1 mutants rejected/);
});

test('doctor --json says what auto takes', async () => {
  const { code, stdout } = await matryoshka('doctor', '--json');
  expect(code).toBe(0);
  const { auto, backends } = JSON.parse(stdout) as { auto: string; backends: { name: string }[] };
  expect(backends.map(({ name }) => name)).toContain(auto);
});

test('a pipe gets no colours, even where CI is set', async () => {
  const { stdout } = await matryoshka('doctor');
  const { stderr } = await matryoshka('conformance', '--runs', '0');
  expect(stdout + stderr).not.toContain('\u001b[');
});

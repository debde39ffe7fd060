/**
 * A kernel of another language shows the claims, and one with a wrong prefix gradient does not: at a size for every day.
 * With all steps and seeds: docs/experiments.md.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { addSyntheticCommand } from '../../../synthetic/command.ts';
import { readResults } from '../../../synthetic/experiments/results-schema.ts';
import type { ExperimentResults } from '../../../synthetic/experiments/results.ts';
import { pythonWith } from '../../conformance/python.ts';

const python = pythonWith('numpy');
const wrong = 'test/synthetic/kernels/wrong-prefix-gradient.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kernel-claims-'));
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(() => {
  vi.spyOn(console, 'log').mockImplementation(() => undefined);
  vi.spyOn(console, 'error').mockImplementation(() => undefined);
  return () => {
    vi.restoreAllMocks();
    process.exitCode = undefined;
  };
});

async function synthetic(...args: string[]): Promise<void> {
  const program = new Command('matryoshka').exitOverride();
  addSyntheticCommand(program);
  await program.parseAsync(['synthetic', ...args], { from: 'user' });
}

const resultsIn = async (name: string): Promise<string> =>
  readFile(join(folder, name, 'results.json'), 'utf8');

async function claimsWith(kernel: string, steps: number): Promise<ExperimentResults['claims']> {
  const out = join(folder, 'claims');
  await rm(out, { recursive: true, force: true });
  const size = ['--seeds', '3', '--steps', `${steps}`];
  await synthetic('claims', ...size, '--kernel', kernel, '--out', out);
  return readResults(JSON.parse(await resultsIn('claims')), 'results.json').claims;
}

const verdicts = (claims: ExperimentResults['claims'], numbers: readonly number[]): string[] =>
  claims.filter(({ number }) => numbers.includes(number)).map(({ verdict }) => verdict);

describe('claims by a kernel of one’s own', () => {
  // 5, what reconstruction costs, has too wide an interval after so few steps.
  test.skipIf(python.path === null)(
    `are shown by a right one in Python${python.path === null ? ': no numpy here' : ''}`,
    async () => {
      const claims = await claimsWith(
        `${python.path} conformance/examples/numpy/numpy_kernels.py`,
        1600,
      );
      expect(verdicts(claims, [1, 2, 4])).toEqual(['shown', 'shown', 'shown']);
    },
    400_000,
  );

  test('are not shown by one whose prefix losses hand back no gradient: both SAEs are the same', async () => {
    const claims = await claimsWith(wrong, 400);
    expect(verdicts(claims, [1, 2, 4])).toEqual(['undecided', 'undecided', 'undecided']);
    for (const { evidence } of claims) {
      for (const { difference } of evidence) expect(difference?.mean ?? 0).toBe(0);
    }
  }, 120_000);
});

describe('shards of claims', () => {
  const shard = (name: string, share: string, ...more: string[]): Promise<void> =>
    synthetic(
      ...['claims', '--seeds', '1', '--steps', '4', '--threads', '1'],
      ...(share === '' ? [] : ['--shard', share]),
      ...['--out', join(folder, name), ...more],
    );
  const merge = (...names: string[]): Promise<void> =>
    synthetic('merge', ...names.map((name) => join(folder, name)), '--out', join(folder, 'merged'));

  test.each([
    ['--kernel', wrong],
    ['--dialect', 'saelens', '--backend', 'reference'],
  ])(
    'with %s %s are the whole, claims and all',
    async (...more) => {
      const name = more[0].slice(2);
      await shard(`${name}-whole`, '', ...more);
      await shard(`${name}-1`, '1/2', ...more);
      await shard(`${name}-2`, '2/2', ...more);
      await rm(join(folder, 'merged'), { recursive: true, force: true });
      await merge(`${name}-1`, `${name}-2`);
      expect(await resultsIn('merged')).toBe(await resultsIn(`${name}-whole`));
    },
    120_000,
  );

  test('of other kernels or dialects are refused, naming what differs', async () => {
    await shard('other', '2/2', '--dialect', 'dictionary_learning', '--backend', 'threads');
    await expect(merge('kernel-1', 'other')).rejects.toThrow(
      `kernels.batchtopk is "threads" there and ${JSON.stringify(wrong)} here`,
    );
    await expect(merge('dialect-1', 'other')).rejects.toThrow(
      'architectures.0.dialect is "dictionary_learning" there and "saelens" here',
    );
  }, 60_000);
});

test('auto goes on with the kernels it began with', async () => {
  const out = join(folder, 'auto');
  const begin = (): Promise<void> =>
    synthetic(
      ...['run', 'tree', '--arch', 'batchtopk,relu', '--seeds', '1', '--steps', '4'],
      ...['--threads', '1', '--out', out],
    );
  await begin();
  const before = await resultsIn('auto');
  const told = vi.mocked(console.error);
  told.mockClear();
  await begin();
  expect(told.mock.calls.flat().slice(1, 3)).toEqual([
    expect.stringMatching(/^batchtopk: kernel (reference|threads), as it began$/),
    'relu: kernel reference, as it began',
  ]);
  expect(await resultsIn('auto')).toBe(before);
}, 60_000);

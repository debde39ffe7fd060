import { existsSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { addSyntheticCommand } from '../../synthetic/command.ts';
import { readResults } from '../../synthetic/experiments/results-schema.ts';
import { UsageError } from '../../training/usage-error.ts';

const folder = mkdtempSync(join(tmpdir(), 'experiments-'));
let printed: { out: string[]; err: string[] };

beforeEach(() => {
  printed = { out: [], err: [] };
  vi.spyOn(console, 'log').mockImplementation((text: string) => void printed.out.push(text));
  vi.spyOn(console, 'error').mockImplementation((text: string) => void printed.err.push(text));
});

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

/** Runs `matryoshka synthetic` with these arguments; returns the exit status it asked for. */
async function synthetic(...args: string[]): Promise<number> {
  const program = new Command('matryoshka').exitOverride();
  addSyntheticCommand(program);
  await program.parseAsync(['synthetic', ...args], { from: 'user' });
  return Number(process.exitCode ?? 0);
}

const read = (...path: string[]): string => readFileSync(join(folder, ...path), 'utf8');
const small = [
  ...['run', 'tree', '--steps', '3', '--batch', '64', '--samples', '256', '--seeds', '2'],
  ...['--backend', 'reference', '--threads', '1'],
];

describe('matryoshka synthetic run', () => {
  test('writes results, report and pictures; the same command again trains nothing and writes the same', async () => {
    const out = join(folder, 'whole');
    await synthetic(...small, '--out', out);
    const results = readResults(JSON.parse(read('whole', 'results.json')), 'results.json');
    expect(results.cells).toHaveLength(4);
    expect(results.cells.every(({ kernel }) => kernel === 'reference')).toBe(true);
    expect(results.architectures.map(({ slug }) => slug)).toEqual(['batchtopk', 'matryoshka']);
    expect(readdirSync(join(out, 'pictures')).every((name) => name.endsWith('.svg'))).toBe(true);
    expect(printed.out.join('\n')).toContain(join(out, 'report.html'));
    expect(printed.err).toContainEqual(expect.stringMatching(/^4\/4 trained: /));

    const before = read('whole', 'results.json');
    printed.err.length = 0;
    await synthetic(...small, '--out', out);
    expect(printed.err).toEqual([
      expect.stringMatching(/^tree: 20 latents, L0 1.12, prefixes 3,5,8,12,16,20, 3 steps/),
      expect.stringContaining('0 of 4 cells to train on 1 threads, 4 found'),
      expect.stringMatching(/^A run took .*: 3 steps of .* ms, .* 4,000 steps would take about /),
    ]);
    expect(read('whole', 'results.json')).toBe(before);

    await expect(synthetic(...small, '--lr', '0.5', '--out', out)).rejects.toThrow(
      'learningRate is 0.005 there and 0.5 here',
    );
  });

  test('in two shards, merged, is the whole to the bit', async () => {
    for (const i of [1, 2]) {
      await synthetic(...small, '--shard', `${i}/2`, '--out', join(folder, `${i}`));
      expect(existsSync(join(folder, `${i}`, 'results.json'))).toBe(false);
    }
    await expect(
      synthetic('merge', join(folder, '1'), '--out', join(folder, 'half')),
    ).rejects.toThrow('2 cells are in none of the folders');
    await synthetic('merge', join(folder, '1'), join(folder, '2'), '--out', join(folder, 'merged'));
    expect(read('merged', 'results.json')).toBe(read('whole', 'results.json'));
  });

  test('refuses by name what it cannot run', async () => {
    const refused = (...args: string[]) =>
      expect(synthetic(...small, '--out', join(folder, 'never'), ...args)).rejects;
    await refused('--arch', 'nobody').toThrow(UsageError);
    await refused('--arch', 'matryoshka,matryoshka').toThrow('each architecture once');
    await refused('--shard', '3/2').toThrow('--shard: expected i/n');
    await refused('--shard', '1/2', '--backend', 'auto').toThrow('--backend reference or threads');
    await refused('--arch', 'relu', '--backend', 'threads').toThrow('penalty.kind');
    await refused('--kernel', 'nowhere.ts').toThrow('--kernel nowhere.ts: ');
    expect(existsSync(join(folder, 'never'))).toBe(false);
  });
});

test('matryoshka synthetic claims answers with its verdict, and its results name every claim', async () => {
  const out = join(folder, 'claims');
  const status = await synthetic(
    ...['claims', '--seeds', '1', '--steps', '5', '--dialect', 'dictionary_learning'],
    ...['--threads', '1', '--out', out],
  );
  const { claims, acceptance } = readResults(JSON.parse(read('claims', 'results.json')), 'it');
  expect(claims.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5]);
  const expected = claims.filter((claim) => claim.expected);
  expect(expected.map(({ number }) => number)).toEqual([1, 2, 4, 5]);
  expect(status).toBe(expected.every(({ verdict }) => verdict === 'shown') ? 0 : 1);
  // Nothing published has these settings.
  expect(acceptance).toEqual([]);
  expect(printed.err[0]).toMatch(/^batchtopk: kernel (reference|threads) \(.* ms a step/);
});

describe('a world of one’s own', () => {
  const own = {
    kind: 'parent-child',
    name: 'own',
    d_in: 6,
    features: [
      { probability: 0.3 },
      { probability: 0.4, parent: 0 },
      { probability: 0.4, parent: 0 },
      { probability: 0.2 },
    ],
  };
  const quick = ['--seeds', '1', '--steps', '5', '--threads', '1', '--backend', 'reference'];
  const file = (): string => join(folder, 'own.json');

  test('needs no sizes: run says those it takes', async () => {
    writeFileSync(file(), JSON.stringify(own));
    await synthetic('run', file(), ...quick, '--out', join(folder, 'own'));
    expect(printed.err[0]).toBe(
      'own: 4 latents, L0 0.74, prefixes 1,2,3,4, 5 steps of 512 rows, learning rate 0.005',
    );
    await synthetic('run', 'tree', ...quick, '--width', '10', '--out', join(folder, 'narrow'));
    expect(printed.err.join('\n')).toContain('tree: 10 latents, L0 1.12, prefixes 3,4,5,6,8,10');
  });

  test('has its claims judged, with nothing expected', async () => {
    writeFileSync(file(), JSON.stringify(own));
    const out = join(folder, 'own-claims');
    expect(await synthetic('claims', '--world', file(), ...quick, '--out', out)).toBe(0);
    const { claims, acceptance } = readResults(
      JSON.parse(read('own-claims', 'results.json')),
      'it',
    );
    expect(claims.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5]);
    expect(claims.some(({ expected }) => expected)).toBe(false);
    expect(acceptance).toEqual([]);
    expect(read('own-claims', 'report.html')).toContain('Nothing is published of this world');
    expect(printed.out.join('\n')).not.toContain('nor elsewhere');
  });
});

test('matryoshka synthetic describe prints a world', async () => {
  await synthetic('describe', 'tree');
  expect(printed.out.join('\n')).toContain('1.12');
});

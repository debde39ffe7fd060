import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { addSyntheticCommand } from '../../synthetic/command.ts';
import type { TreeResults } from '../../synthetic/experiments/tree.ts';
import { UsageError } from '../../training/usage-error.ts';

const folder = mkdtempSync(join(tmpdir(), 'synthetic-'));
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

/** Runs `matryoshka synthetic tree` with these arguments; returns the exit status it asked for. */
async function tree(...args: string[]): Promise<number> {
  const program = new Command('matryoshka').exitOverride();
  addSyntheticCommand(program);
  await program.parseAsync(['synthetic', 'tree', ...args], { from: 'user' });
  return Number(process.exitCode);
}

describe('matryoshka synthetic tree', () => {
  test('writes results and report, prints seed, table and paths, and exits by the verdict', async () => {
    const out = join(folder, 'new', 'run');
    const status = await tree(
      ...['--seeds', '1', '--seed', '3', '--steps', '8', '--batch', '128', '--k', '1.5'],
      ...['--prefixes', '4,20', '--threads', '1', '--out', out],
    );
    const results = JSON.parse(readFileSync(join(out, 'results.json'), 'utf8')) as TreeResults;
    expect(results.settings).toMatchObject({
      seeds: [3],
      worldSeeds: [3],
      k: 1.5,
      prefixes: [4, 20],
    });
    expect(status).toBe(results.verdict.shown ? 0 : 1);

    expect(printed.err[0]).toContain('--seed 3');
    expect(printed.err.slice(1)).toEqual([
      '1/2 trained: BatchTopK, seed 3, world 3',
      '2/2 trained: Matryoshka BatchTopK, seed 3, world 3',
    ]);
    const text = printed.out.join('\n');
    for (const part of [
      'full absorption',
      'MCC',
      join(out, 'results.json'),
      join(out, 'report.html'),
    ]) {
      expect(text).toContain(part);
    }

    const report = readFileSync(join(out, 'report.html'), 'utf8').replace(/<[^>]*>/g, '');
    expect(report).toContain('matryoshka synthetic tree --seeds 1 --seed 3');
    expect(report).toContain('--prefixes 4,20');
    expect(readdirSync(out).sort()).toEqual(['report.html', 'results.json']);
  });

  test('with --json prints the results and nothing else on stdout', async () => {
    const out = join(folder, 'json');
    await tree('--seeds', '1', '--steps', '4', '--batch', '128', '--json', '--out', out);
    expect(printed.out).toHaveLength(1);
    expect(JSON.parse(printed.out[0])).toEqual(
      JSON.parse(readFileSync(join(out, 'results.json'), 'utf8')),
    );
  });

  test.each([
    [['--seeds', '0'], '--seeds: expected a whole number >= 1, got "0"'],
    [['--seeds', 'many'], '--seeds: expected a whole number >= 1, got "many"'],
    [['--seed', '-1'], '--seed: expected a whole number >= 0, got "-1"'],
    [['--seed', '1e17'], '--seed: expected a whole number >= 0, got "1e17"'],
    [['--worlds', '0'], '--worlds: expected a whole number >= 1'],
    [['--k', '21'], 'k: expected a number above 0 and at most d_sae = 20, got 21'],
    [['--k', '0'], '--k: expected a number above 0, got "0"'],
    [['--k', 'Infinity'], '--k: expected a number above 0, got "Infinity"'],
    [['--k', ''], '--k: expected a number above 0, got ""'],
    [['--steps', '1.5'], '--steps: expected a whole number >= 1, got "1.5"'],
    [['--batch', '4'], 'batch: expected a whole number >= 16, got 4'],
    [['--prefixes', '3,5'], 'prefixes: expected the last to be d_sae = 20, got 5'],
    [
      ['--prefixes', '5,3,20'],
      'prefixes: expected whole numbers, each above the one before (5), got 3',
    ],
    [['--prefixes', '20'], 'prefixes: expected at least 2'],
    [['--prefixes', '3,,20'], '--prefixes: expected a whole number >= 1, got ""'],
    [['--prefixes', '3;20'], '--prefixes: expected a whole number >= 1, got "3;20"'],
    [['--threads', '0'], '--threads: expected a whole number >= 1, got "0"'],
  ])('refuses %s in one line before computing', async (args, message) => {
    const error = await tree(...args, '--out', join(folder, 'never')).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message).toContain(message);
    expect((error as Error).message).not.toContain('\n');
    expect(printed).toEqual({ out: [], err: [] });
  });

  test('refuses a folder it cannot write before computing', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, 'in the way');
    for (const out of [file, join(file, 'below')]) {
      const error = await tree('--out', out).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(UsageError);
      expect((error as Error).message).toContain(`--out ${out}`);
    }
    expect(printed).toEqual({ out: [], err: [] });
  });

  test('refuses options and subcommands it does not know', async () => {
    vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    await expect(tree('--sede', '3')).rejects.toThrow("unknown option '--sede'");
    await expect(tree('extra')).rejects.toThrow('too many arguments');
  });
});

import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { addSyntheticCommand } from '../../synthetic/command.ts';
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

/** Runs `matryoshka synthetic` with these arguments. */
async function synthetic(...args: string[]): Promise<void> {
  const program = new Command('matryoshka').exitOverride();
  addSyntheticCommand(program);
  await program.parseAsync(['synthetic', ...args], { from: 'user' });
}

const run = (...args: string[]): Promise<void> =>
  synthetic('run', 'tree', '--backend', 'reference', ...args);

describe('matryoshka synthetic run', () => {
  test('with --json prints the results and nothing else on stdout; the report says the command', async () => {
    const out = join(folder, 'json');
    await run(
      ...['--seeds', '1', '--seed', '3', '--world-seed', '3', '--steps', '4', '--batch', '128'],
      ...['--l0', '1.5', '--prefixes', '4,20', '--samples', '256', '--threads', '1'],
      ...['--dialect', 'dictionary_learning', '--json', '--out', out],
    );
    expect(printed.out).toHaveLength(1);
    const results: unknown = JSON.parse(printed.out[0]);
    expect(results).toEqual(JSON.parse(readFileSync(join(out, 'results.json'), 'utf8')));
    expect(results).toMatchObject({
      seeds: [3],
      worldSeeds: [3],
      architectures: [
        { prefixes: [20], targetL0s: [1.5], dialect: 'dictionary_learning' },
        { prefixes: [4, 20], targetL0s: [1.5], dialect: 'dictionary_learning' },
      ],
    });
    const report = readFileSync(join(out, 'report.html'), 'utf8').replace(/<[^>]*>/g, '');
    expect(report).toContain('matryoshka synthetic run tree --arch batchtopk,matryoshka --l0 1.5');
    expect(report).toContain('--prefixes 4,20');
  });

  test.each([
    [['--seeds', '0'], '--seeds: expected a whole number >= 1, got "0"'],
    [['--seeds', 'many'], '--seeds: expected a whole number >= 1, got "many"'],
    [['--seed', '-1'], '--seed: expected a whole number >= 0, got "-1"'],
    [['--seed', '1e17'], '--seed: expected a whole number >= 0, got "1e17"'],
    [['--worlds', '0'], '--worlds: expected a whole number >= 1'],
    [['--l0', '21'], 'k: expected'],
    [['--l0', '0'], '--l0: expected'],
    [['--l0', 'Infinity'], '--l0: expected'],
    [['--l0', ''], '--l0: expected'],
    [['--lr', '0'], '--lr: expected a number above 0, got "0"'],
    [['--steps', '1.5'], '--steps: expected a whole number >= 1, got "1.5"'],
    [['--batch', '0'], '--batch: expected a whole number >= 1, got "0"'],
    [['--prefixes', '3,5'], 'prefixes: expected the last to be d_sae = 20, got 5'],
    [
      ['--prefixes', '5,3,20'],
      'prefixes: expected whole numbers, each above the one before (5), got 3',
    ],
    [['--prefixes', '3,,20'], '--prefixes: expected'],
    [['--prefixes', '3;20'], '--prefixes: expected'],
    [['--threads', '0'], '--threads: expected a whole number >= 1, got "0"'],
  ])('refuses %s in one line before computing', async (args, message) => {
    const out = join(folder, 'never');
    const error = await run(...args, '--out', out).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message).toContain(message);
    expect((error as Error).message).not.toContain('\n');
    expect(printed).toEqual({ out: [], err: [] });
    expect(existsSync(out)).toBe(false);
  });

  test('refuses a folder it cannot write before computing', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, 'in the way');
    for (const out of [file, join(file, 'below')]) {
      const error = await run('--out', out).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(UsageError);
      expect((error as Error).message).toContain(`--out ${out}`);
    }
    expect(printed.out).toEqual([]);
    expect(printed.err.join('\n')).not.toContain('to train');
  });
});

test('matryoshka synthetic refuses options and commands it does not know', async () => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  await expect(run('--sede', '3')).rejects.toThrow("unknown option '--sede'");
  await expect(run('extra')).rejects.toThrow('too many arguments');
  await expect(synthetic('tree')).rejects.toThrow("unknown command 'tree'");
});

import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import type { BenchRecord } from '../../gpu/bench/record.ts';
import { run, start } from '../training/command-line.ts';

const folder = mkdtempSync(join(tmpdir(), 'bench-test-'));
const { TMPDIR } = process.env;
afterEach(() => {
  if (TMPDIR === undefined) delete process.env['TMPDIR'];
  else process.env['TMPDIR'] = TMPDIR;
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('matryoshka bench', () => {
  test('times both dialects of ours without peers, and writes what it measured', async () => {
    const json = join(folder, 'bench.json');
    const html = join(folder, 'bench.html');
    const temporary = mkdtempSync(join(folder, 'temporary-'));
    process.env['TMPDIR'] = temporary;
    const { status, stdout, stderr } = await run([
      ...['bench', '--shape', '8/16/32/2', '--backend', 'cpu', '--peers', 'none', '--seed', '5'],
      ...['--seconds', '0.2', '--rounds', '3', '--threads', '1', '--json', json, '--html', html],
    ]);
    expect(stderr).toContain('8/16/32/2: 3 rounds (1 of 1 shapes)');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^\| times as fast/);
    expect(stdout).toMatch(/8\/16\/32\/2 +\| no peer \(dictionary_learning\)/);
    expect(stdout).toContain(
      'matryoshka bench --shape 8/16/32/2 --backend cpu --peers none --seconds 0.2 --rounds 3 --threads 1 --seed 5',
    );
    const record = JSON.parse(readFileSync(json, 'utf8')) as BenchRecord;
    expect(record.rows.map(({ dialect }) => dialect)).toEqual(['dictionary_learning', 'saelens']);
    for (const { rounds, losses, dead, peak, base, products } of record.shapes[0].sides) {
      expect(rounds).toHaveLength(3);
      expect(losses.every((loss) => loss > 0)).toBe(true);
      expect(dead[0]).toBeGreaterThan(0); // AuxK was at work
      expect(peak).toBeGreaterThanOrEqual(base);
      expect(products.every((seconds) => seconds > 0)).toBe(true);
    }
    expect(readFileSync(html, 'utf8')).toContain('<!doctype html>');
    // tsx keeps its own there.
    const left = readdirSync(temporary).filter((name) => name.startsWith('matryoshka-'));
    expect(left).toEqual([]);
  });

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    '%s prints the shapes that are done, and leaves nothing behind',
    async (signal, code) => {
      const temporary = mkdtempSync(join(folder, 'temporary-'));
      process.env['TMPDIR'] = temporary;
      const { child, finished } = start([
        ...['bench', '--shape', '8/16/32/2', '8/16/64/2', '--backend', 'cpu', '--peers', 'none'],
        ...['--seconds', '0.5', '--rounds', '2', '--threads', '1'],
      ]);
      child.stderr!.on('data', (text) => {
        if (String(text).includes('1 of 2 shapes')) child.kill(signal);
      });
      const { status, stdout } = await finished;
      expect(status).toBe(code);
      expect(stdout).toMatch(/\| 8\/16\/32\/2 +\| no peer \(saelens\) +\| cpu +\| \d/);
      expect(readdirSync(temporary).filter((name) => name.startsWith('matryoshka-'))).toEqual([]);
    },
  );

  // Where the peers are installed: see gpu/bench/peers-venv.sh.
  const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  const installed = join(cache, 'matryoshka-sae', 'vectors', 'venv', 'installed-saelens.txt');
  const without = !existsSync(installed);
  test.skipIf(without)(
    `the peers and the float64 reference lose alike, step for step${without ? ' (skipped: the peers are not installed)' : ''}`,
    async () => {
      const json = join(folder, 'peers.json');
      const { status, stderr } = await run([
        ...['bench', '--shape', '8/32/32/2', '--backend', 'reference', '--threads', '1'],
        ...['--seconds', '0.5', '--rounds', '2', '--json', json],
      ]);
      expect(stderr).not.toContain('error');
      expect(status).toBe(0);
      const { rows } = JSON.parse(readFileSync(json, 'utf8')) as BenchRecord;
      expect(rows.map(({ peer }) => peer?.name)).toEqual(['dictionary_learning', 'saelens']);
      for (const { ours, peer, lossDifference, ratio, notes } of rows) {
        expect(notes).toEqual([]);
        expect(lossDifference).toBeLessThan(0.01);
        expect(peer!.dead).toBe(ours!.dead);
        expect(ours!.dead).toBeGreaterThan(0);
        expect(ratio!.median).toBeGreaterThan(0);
      }
    },
  );

  test.each([
    [['--shape', '1/2/3'], /--shape: expected d_in\/d_sae\/B\/k.*got "1\/2\/3"/],
    [['--shape', '4/8/16/2', '4/8/16/2'], /--shape: expected each once, got 4\/8\/16\/2 again/],
    [['--backend', 'cuda'], /--backend: expected one of .*"cuda"/],
    [['--backend', 'cpu', 'cpu'], /--backend: expected one or 2 different names, got cpu cpu/],
    [['--peers', 'openai'], /--peers: expected none, or some of .*got "openai"/],
    [['--peers', 'none', '--svg', join(folder, 'x.svg')], /--svg: there is no ratio/],
    [['--seconds', '0'], /--seconds: expected a number above 0, got "0"/],
  ])('%j exits 2 with one line', async (args, message) => {
    const { status, stderr } = await run(['bench', ...args]);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
    expect(
      stderr
        .trimEnd()
        .split('\n')
        .filter((line) => line.startsWith('error:')),
    ).toHaveLength(1);
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});

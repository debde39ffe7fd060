import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import type { ShapeResult, SideResult } from '../../gpu/bench/bench.ts';
import { rowsOf } from '../../gpu/bench/compare.ts';
import { benchFigures, benchPage } from '../../gpu/bench/page.ts';
import { parsePeers } from '../../gpu/bench/peers.ts';
import { readFloat32, readParams, writeActivations, writeParams } from '../../gpu/bench/problem.ts';
import {
  benchRecord,
  circumstances,
  thisMachine,
  type BenchRecord,
} from '../../gpu/bench/record.ts';
import { benchConfig, benchPrefixes, parseShape, shapeName } from '../../gpu/bench/shape.ts';
import { quantile, ratios, spread } from '../../gpu/bench/statistics.ts';
import { benchTable } from '../../gpu/bench/table.ts';
import { requirePrefixes } from '../../reference/prefixes.ts';
import { UsageError } from '../../training/usage-error.ts';

const folder = mkdtempSync(join(tmpdir(), 'bench-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('statistics', () => {
  test('median and quartiles are those of NumPy', () => {
    expect(spread([4, 1, 3, 2])).toEqual({ median: 2.5, q1: 1.75, q3: 3.25, count: 4 });
    expect(spread([7])).toEqual({ median: 7, q1: 7, q3: 7, count: 1 });
    expect(quantile([10, 20, 40], 0.75)).toBe(30);
  });

  test('order does not matter, and quartiles enclose the median', () => {
    const values = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1 });
    fc.assert(
      fc.property(values, (some) => {
        const { median, q1, q3 } = spread(some);
        expect(spread([...some].reverse())).toEqual(spread(some));
        expect(q1 <= median && median <= q3).toBe(true);
      }),
    );
  });

  test('no value, or one that is not finite, has no median', () => {
    expect(() => quantile([], 0.5)).toThrow(/expected at least one value/);
    expect(() => quantile([1, NaN], 0.5)).toThrow(/expected finite values, got NaN/);
  });

  test('a ratio is of one round: what slows both down together leaves it alone', () => {
    expect(ratios([1, 10, 2], [3, 30, 6])).toEqual([3, 3, 3]);
    expect(() => ratios([1], [1, 2])).toThrow(/as many rounds of both, got 1 and 2/);
    expect(() => ratios([0], [1])).toThrow(/times above 0, got 0/);
  });
});

describe('shapes', () => {
  test.each([
    ['64/256/512', /d_in\/d_sae\/B\/k/],
    ['64/256/512/0', /whole numbers above 0/],
    ['64/256/512/1.5', /whole numbers above 0/],
    ['64x256x512x8', /got "64x256x512x8"/],
    ['4/8/16/9', /k: expected at most d_sae = 8, got 9/],
    ['4/8/1/2', /batch: expected at least 2 rows, got 1/],
    ['4/1048576/4096/2', /up to 2\^31 values/],
  ])('%s is refused in one line', (text, message) => {
    expect(() => parseShape(text)).toThrow(UsageError);
    expect(() => parseShape(text)).toThrow(message);
    expect(() => parseShape(text)).toThrow(/^--shape[^\n]*$/);
  });

  test('a shape that is read is written the same', () => {
    expect(shapeName(parseShape('384/6144/2048/32'))).toBe('384/6144/2048/32');
  });

  test('prefixes are valid at any width, and five from eleven latents on', () => {
    for (let d_sae = 1; d_sae < 300; d_sae++) {
      const prefixes = benchPrefixes(d_sae);
      requirePrefixes(prefixes, d_sae);
      if (d_sae >= 11) expect(prefixes).toHaveLength(5);
    }
  });

  test('a latent is dead after three steps in either unit, or never', () => {
    const shape = parseShape('4/8/16/2');
    expect(benchConfig(shape, 'dictionary_learning', true).deadAfter).toBe(3 * 16);
    expect(benchConfig(shape, 'saelens', true).deadAfter).toBe(3);
    expect(benchConfig(shape, 'saelens', false).deadAfter).toBeGreaterThan(1e8);
  });
});

describe('the problem', () => {
  const shape = parseShape('6/16/32/2');

  test('activations come from the seed, in whole batches', async () => {
    const { path, batches } = await writeActivations(folder, shape, 3);
    const first = await readFloat32(path, batches * 32 * 6);
    expect(first.every(Number.isFinite)).toBe(true);
    const again = await writeActivations(folder, shape, 3);
    expect(await readFloat32(again.path, batches * 32 * 6)).toEqual(first);
    const other = await writeActivations(folder, shape, 4);
    expect(await readFloat32(other.path, batches * 32 * 6)).not.toEqual(first);
    await expect(readFloat32(path, 7)).rejects.toThrow(/expected 7 float32 values, got/);
  });

  test('every eighth latent starts faint, every sixteenth below 0 besides', async () => {
    const config = benchConfig(shape, 'dictionary_learning', true);
    const { W_enc, b_enc, W_dec } = await readParams(await writeParams(folder, config, 3), shape);
    expect([...b_enc]).toEqual(Array.from({ length: 16 }, (_, j) => (j === 15 ? -0.5 : 0)));
    for (let j = 0; j < 16; j++) {
      // dictionary_learning starts from the decoder's transpose, and its rows have unit norm.
      const short = j % 8 === 7 ? 1 / 8 : 1;
      for (let i = 0; i < 6; i++) {
        expect(W_enc.data[i * 16 + j]).toBe(Math.fround(W_dec.data[j * 6 + i] * short));
      }
    }
  });
});

/** As a run would give it. */
function side(part: Partial<SideResult>): SideResult {
  return {
    ...{
      name: 'auto',
      kind: 'ours',
      dialect: 'saelens',
      allowed: 1,
      engine: 'wasm',
      notes: [],
      base: 2 ** 20,
    },
    ...{ rounds: [0.01, 0.02], medianStep: [], losses: [3, 2], dead: [4, 6], peak: 2 ** 21 },
    ...{ threads: null, products: [], failure: null },
    ...part,
  };
}

function result(sides: readonly SideResult[], part: Partial<ShapeResult> = {}): ShapeResult {
  const shape = parseShape('20/40/200/1');
  const rest = { prefixes: [40], warmupSteps: 9, stepsPerRound: 2, othersLoad: 0 };
  return { shape, sides, interrupted: false, ...rest, ...part };
}

const peer = side({ name: 'saelens', kind: 'peer', rounds: [0.03, 0.04], products: [0.005] });

const record = (part: Partial<BenchRecord> = {}): BenchRecord =>
  benchRecord({
    ...{ date: '2026-01-02T03:04:05Z', command: 'matryoshka bench', machine: thisMachine() },
    ...{ threads: 1, seed: 0, auxk: true, shapes: [result([side({}), peer])], growth: [] },
    ...part,
  });

describe('comparing', () => {
  test('a ratio is the peer’s time by ours, round by round', () => {
    const [row] = rowsOf(result([side({}), peer]));
    expect(row.ratios).toEqual([3, 2]);
    expect(row.ratio?.median).toBe(2.5);
    expect(row.product?.seconds).toBe(0.005);
    expect(row.lossDifference).toBe(0);
  });

  test('a peer counts with the faster of its thread numbers, and not if it failed', () => {
    const slow = { ...peer, threads: 1, rounds: [0.05, 0.06] };
    const failed = { ...peer, threads: 4, rounds: [], losses: [], failure: 'it died' };
    for (const order of [
      [slow, peer, failed],
      [failed, peer, slow],
    ]) {
      expect(rowsOf(result([side({}), ...order]))[0].ratios).toEqual([3, 2]);
    }
  });

  test.each([
    ['losses that differ', [3, 2.2], '9.1 %'],
    ['a loss that is no number', [3, NaN], 'Infinity %'],
  ])('%s get no ratio', (_name, losses, shown) => {
    const [row] = rowsOf(result([side({ losses: [3, 2] }), { ...peer, losses }]));
    expect(row.ratio).toBeNull();
    expect(row.notes.join()).toContain(shown);
  });

  test('a side is compared with the peer of its own dialect only', () => {
    const [row] = rowsOf(result([side({ dialect: 'dictionary_learning' }), peer]));
    expect(row.peer).toBeNull();
    expect(row.ratio).toBeNull();
  });

  test('a side that failed before its first round leaves its reason', () => {
    const failed = side({ rounds: [], losses: [], dead: [], failure: 'fake: out of memory' });
    const [row] = rowsOf(result([failed, peer]));
    expect(row).toMatchObject({ ratio: null, ours: null, notes: ['fake: out of memory'] });
  });

  test('a busy machine is told', () => {
    const told = (othersLoad: number): string =>
      circumstances(record({ shapes: [result([side({}), peer], { othersLoad })] }))[0];
    expect(told(0.43)).toMatch(/43 % of the processors busy: do not rely on these times\.$/);
    expect(told(0.02)).toMatch(/2 % of the processors busy\.$/);
    expect(told(NaN)).toMatch(/0 % of the processors busy\.$/);
  });
});

describe('what is shown', () => {
  test('the table has its ratio first, and every row as wide as its head', () => {
    const rows = rowsOf(result([side({}), { ...peer, threads: 2 }]));
    const [head, rule, line] = benchTable(rows).split('\n');
    expect(head).toMatch(/^\| times as fast +\|/);
    expect(line).toMatch(/^\| 2\.50 \(2\.25–2\.75\) +\| 20\/40\/200\/1 +\| saelens \(2 threads\) /);
    expect(line).toContain('| 15.0 (12.5–17.5) | 35.0 (32.5–37.5) |');
    expect(line).toMatch(/\| 3\.00 \/ 7\.00 +\| 2 \(1\) \/ 2 \(1\) +\| 5 \/ 5 +\|/);
    expect([rule.length, line.length]).toEqual([head.length, head.length]);
  });

  test('without a peer there is a time and no ratio', () => {
    const [, , line] = benchTable(rowsOf(result([side({})]))).split('\n');
    expect(line).toMatch(/^\| – +\| 20\/40\/200\/1 +\| no peer \(saelens\) +\| wasm +\| 15\.0/);
  });

  test('notes stand below the table', () => {
    const rows = rowsOf(result([side({ failure: 'it died' }), peer]));
    expect(benchTable(rows)).toContain('\n\n- 20/40/200/1, saelens: it died\n');
  });

  test('figures show ratios and growth, and the page holds both and the notes', () => {
    const grown = [1024, 2048].map((d_sae) => ({
      axis: 'd_sae' as const,
      result: result([side({}), peer], {
        shape: parseShape(`64/${d_sae}/256/16`),
        othersLoad: 0.5,
      }),
    }));
    const all = record({ growth: grown });
    const figures = benchFigures(all);
    expect(figures.map(({ svg }) => /aria-label="([^"]*)"/.exec(svg)![1])).toEqual([
      'Times as fast as the peer at 1 shapes: from 2.50 to 2.50.',
      'Time of a training step over d_sae at d_in 64, B 256, k 16, for ours on wasm, as saelens, saelens.',
    ]);
    const page = benchPage(all, figures);
    expect(page.match(/<svg/g)).toHaveLength(2);
    expect(page).toContain('50 % of the processors busy');
  });

  test('a run without peers has a page without figures', () => {
    const alone = record({ shapes: [result([side({})])] });
    expect(benchFigures(alone)).toEqual([]);
    expect(benchPage(alone, [])).not.toContain('<svg');
  });
});

test.each([
  ['none', []],
  ['saelens', ['saelens']],
  ['saelens, dictionary_learning', ['dictionary_learning', 'saelens']],
])('--peers %s is read', (text, names) => expect(parsePeers(text)).toEqual(names));

import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, inject, test } from 'vitest';
import { formatOracle, formatOracleFailures } from '../../../conformance/oracle/format.ts';
import { exempt, oracles } from '../../../conformance/oracle/operators/all.ts';
import { runOracle } from '../../../conformance/oracle/run.ts';
import type { Reference } from '../../../conformance/oracle/reference.ts';
import { mistakes, spoiled } from './broken-reference.ts';

const root = join(import.meta.dirname, '../../..');
const seed = inject('seed');
const held = oracles.flatMap(({ holds }) => holds);

test('the reference is within its float64 bound of exact arithmetic', async () => {
  const rows = await runOracle({ cases: 300, seed });
  expect(formatOracleFailures(rows)).toBe('');
  expect(rows.map(({ operator }) => operator)).toEqual(oracles.map(({ name }) => name));
  for (const row of rows) {
    expect(row.cases, row.operator).toBe(300);
    expect(row.values, row.operator).toBeGreaterThan(0);
    expect(row.worst, row.operator).toBeLessThanOrEqual(1);
  }
  expect(formatOracle(rows).split('\n')).toHaveLength(rows.length + 2);
});

test('every function that the reference exports has an oracle, or a reason to have none', async () => {
  const functions: string[] = [];
  for (const name of readdirSync(join(root, 'reference')).filter((file) => file.endsWith('.ts'))) {
    const file = join(root, 'reference', name);
    const exports = (await import(pathToFileURL(file).href)) as Record<string, unknown>;
    const camel = basename(name, '.ts').replace(/-(.)/g, (_, letter: string) =>
      letter.toUpperCase(),
    );
    for (const [member, value] of Object.entries(exports)) {
      if (typeof value === 'function') functions.push(`${camel}.${member}`);
    }
  }
  expect([...held, ...Object.keys(exempt)].sort()).toEqual(functions.sort());
});

/** What answers with whole numbers, which rounding leaves as they are. */
const whole = new Set([
  'auxk.auxkCount',
  'deadLatents.deadMask',
  'deadLatents.updateSinceFired',
  'latentOrder.latentOrder',
  'params.zeroParams',
  'prefixes.prefixesFromFractions',
  'prefixes.samplePrefixes',
  'select.selectionCount',
]);

describe('a wrong reference is noticed', () => {
  /** The message of the first case that contradicts exact arithmetic; a crash does not count. */
  async function noticed(operator: string, reference: Reference): Promise<string> {
    const [row] = await runOracle({
      cases: 2000,
      seed,
      only: [operator],
      reference,
      shrinks: false,
    });
    const message = row.failure?.message ?? '';
    return /^\w*Error: /.test(message) ? '' : message;
  }

  test.each(oracles.flatMap(({ name, holds }) => holds.map((path) => [path, name] as const)))(
    '%s, with float32’s precision or off by one',
    async (path, operator) => {
      const change = whole.has(path) ? (value: number) => value + 1 : Math.fround;
      expect(await noticed(operator, spoiled(path, change))).not.toBe('');
    },
  );

  test.each(mistakes.map(({ operator, what, reference }) => [operator, what, reference] as const))(
    '%s: %s',
    async (operator, _, reference) => {
      expect(await noticed(operator, reference)).not.toBe('');
    },
  );

  test('every oracle is tried', () => {
    const tried = new Set(mistakes.map(({ operator }) => operator));
    const untried = oracles.filter(({ name, holds }) => holds.length === 0 && !tried.has(name));
    expect(untried).toEqual([]);
  });
});

test('the table of docs/accuracy.md lists every oracle, none above its bound', () => {
  const page = readFileSync(join(root, 'docs/accuracy.md'), 'utf8');
  const [table] = page.split('## No false alarms');
  const lines = [...table.matchAll(/^\| (.*?) +\| +(\d+) \|.*\| +([\d.]+|exact) \|/gm)];
  expect(lines.map(([, operator]) => operator)).toEqual(oracles.map(({ name }) => name));
  for (const [, operator, cases, ratio] of lines) {
    expect(Number(cases), operator).toBeGreaterThanOrEqual(2000);
    expect(ratio === 'exact' || Number(ratio) <= 1, operator).toBe(true);
  }
});

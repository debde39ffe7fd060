import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test, vi } from 'vitest';
import { oracleCommand } from '../../../conformance/oracle/command.ts';
import { runOracle, type OracleRow } from '../../../conformance/oracle/run.ts';
import { UsageError } from '../../../training/usage-error.ts';

vi.mock('../../../conformance/oracle/run.ts', async (original) => {
  const real = await original<{ runOracle: typeof runOracle }>();
  return { ...real, runOracle: vi.fn(real.runOracle) };
});

const folder = mkdtempSync(join(tmpdir(), 'oracle-command-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let printed: string[] = [];
beforeEach(() => (printed = []));
const print = (text: string): void => void printed.push(text);

test('a reference within its bounds exits 0, and the rows are written', async () => {
  const json = join(folder, 'rows.json');
  expect(await oracleCommand({ cases: 3, seed: 1, only: ['encode', 'Adam'], json }, print)).toBe(0);
  expect(printed.at(-1)).toMatch(/PASS reference: 2 operators within their bounds; 6 cases/);
  const record = JSON.parse(readFileSync(json, 'utf8')) as { verdict: string; rows: OracleRow[] };
  expect(record.verdict).toBe('pass');
  expect(record.rows.map(({ operator, cases }) => [operator, cases])).toEqual([
    ['encode', 3],
    ['Adam', 3],
  ]);
});

test('a broken bound exits 1 and says where', async () => {
  const [row] = await runOracle({ cases: 1, seed: 1, only: ['encode'] });
  const failure = { message: 'pre[0, 0]: off by 2', given: '{}', seed: 1, path: '0' };
  vi.mocked(runOracle).mockResolvedValueOnce([{ ...row, failure }]);
  const json = join(folder, 'failed.json');
  expect(await oracleCommand({ cases: 1, seed: 1, only: [], json }, print)).toBe(1);
  expect(printed.join('\n')).toMatch(/encode: pre\[0, 0\]: off by 2[^]*FAIL reference: 1 of 1/);
  expect(readFileSync(json, 'utf8')).toContain('"verdict": "fail"');
});

test('an unknown operator is wrong usage', async () => {
  await expect(oracleCommand({ cases: 1, seed: 1, only: ['nope'] }, print)).rejects.toThrow(
    UsageError,
  );
});

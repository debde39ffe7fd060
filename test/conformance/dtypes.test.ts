/** One run over several dtypes: a verdict, a set of files for each, and one page side by side. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { certify } from '../../conformance/certify-command.ts';
import { specs } from '../../conformance/kernels/all.ts';
import { selectLaws } from '../../conformance/query.ts';
import type { Certificate } from '../../conformance/records/certificate.ts';
import { readCertificate } from '../../conformance/records/certificate-file.ts';
import { mergeShards } from '../../conformance/records/merge.ts';
import { verifyCertificate } from '../../conformance/records/verify.ts';
import { shardOf } from '../../conformance/shards.ts';
import { run, type Finished } from '../training/command-line.ts';

const folder = mkdtempSync(join(tmpdir(), 'matryoshka-dtypes-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const place = (name: string): string => join(folder, name);
const text = (name: string): string => readFileSync(place(name), 'utf8');

/** Right in float32, wrong in bfloat16. */
const kernel = `"${process.execPath}" --import tsx "${fileURLToPath(new URL('hostile/by-dtype.ts', import.meta.url))}"`;
const laws = ['encode: agrees', 'batch-topk: agrees', 'batch-topk: K = 0'];
const only = laws.flatMap((law) => ['--only', law]);
const certifyByCommand = (...args: string[]): Promise<Finished> =>
  run(['conformance', '--kernel', kernel, '--runs', '5', '--seed', '3', ...only, ...args]);

describe('--dtype all', () => {
  let ended: Finished;
  beforeAll(async () => {
    ended = await certifyByCommand(
      ...['--dtype', 'all', '--json', place('k.json')],
      ...['--junit', place('k.xml'), '--html', place('k.html')],
    );
  });

  test('fails where one dtype does, and says which', () => {
    expect(ended.stderr).toBe('');
    expect(ended.status).toBe(1);
    expect(ended.stdout).toMatch(
      /^batch-topk: agrees with the reference: by dtype, bfloat16 fail$/m,
    );
    expect(ended.stdout.trimEnd().split('\n').slice(-2)).toEqual([
      'PASS by dtype, float32: 3 pass, 0 not, 0 skip',
      'FAIL by dtype, bfloat16: 2 pass, 1 not, 0 skip',
    ]);
  });

  test('a replay names its dtype', () => {
    expect(ended.stdout).toMatch(/replay: .* --dtype bfloat16 --only 'batch-topk: agrees/);
  });

  test('writes a set of files for each dtype, and one page', () => {
    const each = ['bfloat16', 'float32'].flatMap((dtype) =>
      ['html', 'json', 'xml'].map((extension) => `k.${dtype}.${extension}`),
    );
    expect(readdirSync(folder).sort()).toEqual([...each, 'k.html'].sort());
    expect(text('k.float32.xml')).toContain('name="by dtype/batch-topk/float32"');
    for (const dtype of ['float32', 'bfloat16'])
      expect(text('k.html')).toContain(`, ${dtype}</th>`);
  });

  test.each(['float32', 'bfloat16'])(
    'the certificate in %s is as good as one of its own',
    async (dtype) => {
      const record = await readCertificate(place(`k.${dtype}.json`));
      expect(record).toMatchObject({ dtype, verdict: dtype === 'float32' ? 'pass' : 'fail' });
      const wrong = verifyCertificate(record, specs).filter((check) => check.wrong !== null);
      // Not all laws were asked for.
      expect(wrong.map(({ what }) => what)).toEqual(['every law of its 2 operators is in it']);
    },
  );

  test('a certificate of another format is refused in one line', async () => {
    const other = { ...(await readCertificate(place('k.float32.json'))), format: 1 };
    writeFileSync(place('old'), JSON.stringify(other));
    await expect(readCertificate(place('old'))).rejects.toThrow(/old: no certificate: format: .*2/);
    rmSync(place('old'));
  });
});

test('shards of several dtypes merge, dtype by dtype, to the whole run', async () => {
  const quiet = vi.spyOn(console, 'log').mockImplementation(() => {});
  const chosen = selectLaws(specs, laws);
  const options = { kernel, backend: 'auto', timeLimit: 20, runs: 5, seed: 3 };
  const certified = async (name: string, shard?: string): Promise<Certificate> => {
    const json = place(`${name}.json`);
    const dtype = ['bfloat16', 'float32'];
    await certify(chosen, { ...options, dtype, json, ...(shard && { shard: shardOf(shard) }) });
    return readCertificate(place(`${name}.bfloat16.json`));
  };
  const whole = await certified('whole');
  const parts = [await certified('one', '1/2'), await certified('two', '2/2')];
  const merged = mergeShards(new Map(parts.map((part, i) => [`${i}`, part])), specs);
  expect(merged).toMatchObject({ dtype: 'bfloat16', verdict: 'fail', digest: whole.digest });
  quiet.mockRestore();
});

test('a dtype among several that is not offered is wrong usage, before anything runs', async () => {
  const { status, stdout, stderr } = await certifyByCommand(
    '--dtype',
    'float32',
    '--dtype',
    'float61',
  );
  expect(status).toBe(2);
  expect(stderr).toContain('--dtype: by dtype offers float32, bfloat16 (or all), got "float61"');
  expect(stdout).toBe('');
});

/**
 * The catalogue of mutants: every one is rejected well within the default effort, for the reason it was made to have, and
 * by a counterexample that can be read at a glance.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, inject, test, vi } from 'vitest';
import type { Call } from '../../conformance/kernel.ts';
import { specs } from '../../conformance/kernels/all.ts';
import { mutants } from '../../conformance/mutants/all.ts';
import { runMutants, type MutantFile } from '../../conformance/mutants/command.ts';
import { agreement, sameBits, type Mutant } from '../../conformance/mutants/mutant.ts';
import {
  describeSize,
  isSmall,
  measureMutant,
  rejectingLaws,
  type MutantRow,
} from '../../conformance/reject.ts';
import { sizeOf } from '../../conformance/smaller-calls.ts';
import { tensor } from '../../conformance/tensors.ts';

/** Half of the default 200 cases a law: what is rejected within them has a margin of two. */
const runs = 100;
const seed = inject('seed');
const seeds = [seed, seed ^ 0x2545f491, seed ^ 0x61c88647];

const rows: MutantRow[] = [];
const lawsOf = (operator: string): string[] =>
  specs.find(({ name }) => name === operator)!.laws.map(({ name }) => name);
const operators = [...new Set(mutants.map(({ operator }) => operator))];
const named = ({ operator, name }: Mutant): string => `${operator}: ${name}`;

describe.each(operators)('%s', (operator) => {
  test.each(mutants.filter((mutant) => mutant.operator === operator))(
    'rejects, and says why: $name',
    async (mutant) => {
      const row = await measureMutant(mutant, specs, { runs, seeds });
      rows.push(row);
      expect(row.rejectedBy, `survives half the effort, seeds ${seeds.join()}`).not.toEqual([]);
      expect(row.isRight, `taken for: ${row.diagnosedBy.join('; ')} (seeds ${seeds.join()})`).toBe(
        true,
      );
    },
  );
});

describe('diagnoses', () => {
  test('each names laws of its operator, and agreement alone if at all', () => {
    for (const mutant of mutants) {
      expect(mutant.diagnosis.length, named(mutant)).toBeGreaterThan(0);
      for (const name of mutant.diagnosis) {
        expect(lawsOf(mutant.operator), named(mutant)).toContain(name);
      }
      if (mutant.diagnosis.includes(agreement)) expect(mutant.diagnosis).toEqual([agreement]);
    }
  });

  test('agreement is the diagnosis of lost precision alone: at most one mutant in twenty', () => {
    const imprecise = mutants.filter(({ diagnosis }) => diagnosis.includes(agreement));
    expect(imprecise.length).toBeLessThanOrEqual(mutants.length / 20);
  });

  test('every law that is named rejects its mutant', async () => {
    const wrong: string[] = [];
    for (const mutant of mutants.filter(({ diagnosis }) => diagnosis.length > 1)) {
      const found = await rejectingLaws(mutant, specs, { runs: 200, seed }, (name) =>
        mutant.diagnosis.includes(name),
      );
      wrong.push(
        ...mutant.diagnosis
          .filter((name) => !found.includes(name))
          .map((name) => `${named(mutant)}: ${name}`),
      );
    }
    expect(wrong).toEqual([]);
  });

  test('a kernel with a memory is told from one that is wrong', () => {
    const forgetful = mutants.filter(({ diagnosis }) => diagnosis.includes(sameBits));
    expect(new Set(forgetful.map(({ operator }) => operator)).size).toBeGreaterThanOrEqual(6);
  });
});

describe('the catalogue as a whole', () => {
  test('nine in ten counterexamples have at most 2 rows, 4 latents and 2 dimensions', () => {
    expect(rows).toHaveLength(mutants.length);
    const large = rows.filter(({ size }) => !isSmall(size));
    const told = large.map(({ mutant, size }) => `${named(mutant)}: ${describeSize(size)}`);
    expect(large.length, told.join('; ')).toBeLessThanOrEqual(mutants.length / 10);
  });

  test('sizes are read from shapes, leading dimensions all being rows', () => {
    const spec = specs.find(({ name }) => name === 'encode')!;
    const zeros = (...shape: number[]): Call['inputs'][string] =>
      tensor(shape, new Float64Array(shape.reduce((product, length) => product * length, 1)));
    const inputs = { x: zeros(2, 3, 5), W_enc: zeros(5, 4), b_enc: zeros(4), b_dec: zeros(5) };
    expect(sizeOf(spec, { config: {}, inputs })).toEqual({ rows: 6, d_sae: 4, d_in: 5 });
  });
});

describe('--mutants', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mutants-'));
  const json = join(folder, 'mutants.json');
  const printed = vi.spyOn(console, 'log').mockImplementation(() => {});
  afterAll(() => {
    printed.mockRestore();
    rmSync(folder, { recursive: true });
  });
  const run = async (cases: number): Promise<[number, string, MutantFile]> => {
    printed.mockClear();
    const status = await runMutants(['encode', 'topk'], seed, { runs: cases, seeds: 3, json });
    const lines = printed.mock.calls.map(([line]) => String(line)).join('\n');
    return [status, lines, JSON.parse(readFileSync(json, 'utf8')) as MutantFile];
  };

  test('with enough cases all are rejected, and the file has a row for each', async () => {
    const [status, lines, { seeds: used, mutants: table }] = await run(runs);
    expect(status).toBe(0);
    expect(lines).toMatch(
      /(\d+) of \1 mutants rejected, \1 for the right reason; median \d+ cases/,
    );
    expect(new Set(used).size).toBe(3);
    expect(used[0]).toBe(seed);
    const tried = mutants.filter(({ operator }) => ['encode', 'topk'].includes(operator));
    expect(table.map(({ operator, name }) => [operator, name])).toEqual(
      tried.map(({ operator, name }) => [operator, name]),
    );
    for (const row of table) {
      expect(row).toMatchObject({ isRight: true });
      expect(row.worstCases).toBeGreaterThanOrEqual(row.medianCases!);
    }
  });

  test('with one case a law some survive, and that is a failure', async () => {
    const [status, lines, { mutants: table }] = await run(1);
    expect(status).toBe(1);
    const survivors = table.filter(({ rejectedBy }) => rejectedBy.length === 0);
    expect(survivors.length).toBeGreaterThan(0);
    for (const { operator, name, worstCases } of survivors) {
      expect(lines).toContain(`${operator}: ${name}: survives`);
      expect(worstCases).toBeNull();
    }
  });
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { Difference, StepComparison } from '../../../conformance/dialects/diff.ts';
import { matrixText } from '../../../conformance/dialects/matrix.ts';
import { addDialectsCommand } from '../../../conformance/dialects/command.ts';
import {
  applies,
  decided,
  decisionList,
  dialectFrom,
  dialects,
  withDecision,
  type Dialect,
} from '../../../reference/dialects.ts';
import { dialectJson, dialectRecord, readDialect } from '../../../training/dialect-file.ts';
import { encodeSafetensors } from '../../../training/formats/safetensors.ts';
import { UsageError } from '../../../training/usage-error.ts';
import { runCases } from '../operators/run-cases.ts';
import { printed } from '../printed.ts';

const folder = mkdtempSync(join(tmpdir(), 'matryoshka-dialects-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = (...args: readonly string[]): Promise<string> =>
  printed(addDialectsCommand, ['dialects', ...args]);

function saved(name: string, json: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, JSON.stringify(json));
  return path;
}

const matryoshka = ['dictionary_learning', 'bussmann', 'saelens', 'nabeshima', 'paper'];
const mine = saved('mine.json', {
  name: 'mine',
  extends: 'saelens',
  auxk: { residual: 'attached' },
});

describe('matryoshka dialects', () => {
  test('has a row for each decision and a column for each Matryoshka trainer', async () => {
    const lines = (await run()).split('\n');
    expect(lines[0].split(/ {2,}/)).toEqual(['decision', 'seen', ...matryoshka]);
    const rows = lines.slice(1, 1 + decisionList.length).map((line) => line.split(/ {2,}/));
    expect(rows.map(([path]) => path)).toEqual(decisionList.map(({ path }) => path));
    for (const [i, { seen }] of decisionList.entries()) expect(rows[i][1]).toBe(seen);
    const aux = rows.find(([path]) => path === 'auxk.k')!;
    expect(aux.slice(2)).toEqual(['half-d_in', '512', 'half-d_in', '–', '512']);
  });

  test('--all and names choose columns, one’s own file among them', async () => {
    expect((await run('--all')).split('\n')[0].split(/ {2,}/)).toEqual([
      'decision',
      'seen',
      ...Object.keys(dialects),
    ]);
    const text = await run('paper', mine);
    expect(text.split('\n')[0].split(/ {2,}/)).toEqual(['decision', 'seen', 'paper', 'mine']);
    expect(text).toMatch(/auxk\.residual +G +detached +attached/);
  });

  test('--json holds every value, null where it does not apply, and where each was read', async () => {
    const json = JSON.parse(await run('--json', '--all')) as {
      dialects: { name: string; readFrom: Record<string, string> }[];
      decisions: { path: string; decided: Record<string, unknown> }[];
    };
    expect(json.dialects.map(({ name }) => name)).toEqual(Object.keys(dialects));
    for (const [i, decision] of decisionList.entries()) {
      for (const [name, dialect] of Object.entries(dialects)) {
        const value = applies(decision, dialect) ? decided(dialect, decision.path) : null;
        expect(json.decisions[i].decided[name], `${decision.path} ${name}`).toEqual(value);
      }
    }
    expect(json.dialects[0].readFrom['loss']).toMatch(/MatryoshkaBatchTopKTrainer\.loss/);
  });

  test('--sources shows file and function, --markdown a table', async () => {
    expect(await run('saelens', '--sources')).toMatch(
      /threshold +saes\/batchtopk_sae\.py update_topk_threshold/,
    );
    const lines = (await run('--markdown')).trimEnd().split('\n');
    expect(lines).toHaveLength(decisionList.length + 2);
    expect(new Set(lines.map((line) => line.split('|').length))).toEqual(new Set([9]));
  });

  test.each([60, 80, 100, 132])('fits a terminal of %i columns, with nothing left out', (width) => {
    const text = matrixText(Object.values(dialects), width);
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(width);
    const headers = text.split('\n\n').map((block) => {
      const [first, second] = block.split('\n');
      return first + (second.startsWith(' ') ? second : '');
    });
    for (const name of Object.keys(dialects)) {
      for (const part of name.split('_')) expect(headers.join(' ')).toContain(part);
    }
  });
});

describe('one’s own dialect', () => {
  test.each(Object.keys(dialects))('show %s prints a file that decides the same', async (name) => {
    const path = join(folder, `shown-${name}.json`);
    writeFileSync(path, await run('show', name));
    const own = await readDialect(path);
    expect(own.name).toBe(`my_${name}`);
    for (const { path: decision } of decisionList) {
      expect(decided(own, decision), decision).toEqual(decided(dialects[name], decision));
    }
  });

  test('every decision survives a file, whatever its value', () => {
    for (const [base, other] of [
      ['dictionary_learning', 'nabeshima'],
      ['saelens', 'bussmann'],
    ]) {
      for (const { path } of decisionList) {
        const changed = withDecision(dialects[base], path, decided(dialects[other], path));
        const own: Dialect = { ...changed, name: 'own', readFrom: {} };
        expect(dialectFrom(JSON.parse(JSON.stringify(dialectJson(own)))), path).toEqual(own);
      }
    }
  });

  test('a record is the name of a published one, and all of one’s own', async () => {
    expect(dialectRecord(dialects['saelens'])).toBe('saelens');
    expect(dialectRecord(await readDialect(mine))).toMatchObject({
      name: 'mine',
      extends: 'saelens',
      auxk: { residual: 'attached', scale: 'dead-fraction' },
    });
  });
});

function caseFile(name: string, tensors: (typeof runCases)[0]['tensors'], config: object): string {
  const path = join(folder, `${name}.safetensors`);
  const all = Object.entries(tensors).map(([tensor, { shape, data }]) => ({
    name: tensor,
    shape,
    data,
    dtype: 'F64' as const,
  }));
  const metadata = Object.fromEntries(
    Object.entries(config).map(([key, value]) => [key, JSON.stringify(value)]),
  );
  writeFileSync(path, encodeSafetensors(all, metadata));
  return path;
}

interface Compared {
  readonly differences: readonly Difference[];
  readonly steps: StepComparison;
}

describe('dialects diff', () => {
  const step = runCases.find(
    ({ operator, dialect }) => operator === 'train-step' && dialect === 'dictionary_learning',
  )!;
  const full = caseFile('step', step.tensors, step.config);
  const bare = caseFile(
    'bare',
    { x: step.tensors['x'] },
    { k: 2, steps: 5000, prefixes: [3, 10], d_sae: 10, seed: 5 },
  );
  const diff = async (a: string, b: string, input: string): Promise<Compared> =>
    JSON.parse(await run('diff', a, b, '--in', input, '--json')) as Compared;
  const rowOf = ({ steps }: Compared, name: string): StepComparison['rows'][0]['change'] =>
    steps.rows.find((row) => row.name === name)?.change;

  test('lists decisions that differ with both values and their meaning, and no others', async () => {
    const text = await run('diff', 'dictionary_learning', 'saelens');
    expect(text).toContain('loss.overLevels (LG): mean → sum\n  Weighted levels');
    expect(text).not.toContain('encode.usesEncoderBias');
    expect(text).not.toContain('prefixes.power');
    expect(await run('diff', 'saelens', mine)).toMatch(
      /auxk\.residual \(G\): detached → attached[^]*1 decision differs/,
    );
    expect(await run('diff', 'paper', 'paper')).toContain('paper and paper decide alike');
  });

  test('a step shows what each decision changes, and only that', async () => {
    const compared = await diff('dictionary_learning', 'saelens', full);
    expect(compared.steps.drawnState).toBe(false);
    const twice = rowOf(compared, 'loss.overLevels')!; // of two levels: a sum is twice the mean
    expect(twice).toMatchObject({
      latents: 0,
      threshold: { relative: 0 },
      auxk: { relative: 0 },
    });
    expect(twice.lossChange.relative).toBeGreaterThan(0.1);
    expect(rowOf(compared, 'select.score')!.latents).toBeGreaterThan(0);
    expect(rowOf(compared, 'adam.beta2')).toBeUndefined();
    const averaged = rowOf(compared, 'threshold.decay')!;
    expect(averaged.threshold.relative).toBeGreaterThan(0);
    expect(averaged.gradients.relative).toBe(0);
    const detached = rowOf(await diff('saelens', mine, full), 'auxk.residual')!;
    expect(detached.gradients.relative).toBeGreaterThan(0);
    expect(detached.lossChange.relative).toBe(0);
  });

  test('a dialect against itself differs in nothing', async () => {
    const { differences, steps } = await diff('paper', 'paper', full);
    expect(differences).toEqual([]);
    expect(steps.rows).toHaveLength(1);
    expect(steps.rows[0].change).toMatchObject({
      latents: 0,
      lossChange: { relative: 0 },
      parameters: { relative: 0 },
    });
  });

  test('x alone starts from a state drawn from the seed, the same each time', async () => {
    const first = await diff('dictionary_learning', 'nabeshima', bare);
    expect(first.steps.drawnState).toBe(true);
    expect(await diff('dictionary_learning', 'nabeshima', bare)).toEqual(first);
    const drawn = rowOf(first, 'prefixes.drawn')!;
    expect(drawn.lossChange.relative).toBeGreaterThan(0);
    expect(rowOf(first, 'initialise.draw')!.parameters.relative).toBeGreaterThan(0);
  });

  test('a decision that has no step alone says why, and the others still stand', async () => {
    const { steps } = await diff('dictionary_learning', 'saelens_jumprelu', full);
    const selection = steps.rows.find(({ name }) => name === 'defaults.selection')!;
    expect(selection.refused).toMatch(/tensor "threshold": expected shape \(10\)/);
    expect(steps.rows.filter(({ change }) => change !== undefined).length).toBeGreaterThan(10);
    const text = await run('diff', 'dictionary_learning', 'saelens_jumprelu', '--in', full);
    expect(text).toMatch(/defaults\.selection: no step: /);
    expect(text).toMatch(/nothing in this step: .*initialise\.decoderNorm/);
  });
});

test.each<[string, string[], RegExp]>([
  ['an unknown name', ['paperr'], /dialects: expected one of .*got "paperr"/],
  ['an unknown dialect to show', ['show', 'x.json'], /dialects show x\.json: no such file/],
  ['--all with names', ['--all', 'paper'], /--all: give it, or names, not both/],
  ['an unknown dialect to compare', ['diff', 'paper', 'nope'], /dialects diff: expected one of/],
  ['no case', ['diff', 'paper', 'saelens', '--in', join(folder, 'no')], /--in .*: no such file/],
  [
    'a case without sizes',
    [
      'diff',
      'paper',
      'saelens',
      '--in',
      caseFile('sizeless', { x: runCases.at(-1)!.tensors['x'] }, { steps: 5000 }),
    ],
    /configuration "d_sae": missing; give it, or parameters/,
  ],
  [
    'half a state',
    [
      'diff',
      'paper',
      'saelens',
      '--in',
      caseFile(
        'half',
        {
          x: runCases.at(-1)!.tensors['x'],
          since_fired: { shape: [10], data: new Float64Array(10) },
        },
        { steps: 5000, d_sae: 10 },
      ),
    ],
    /tensor "since_fired": a state needs W_enc as well/,
  ],
])('refuses %s in one line', async (_name, args, message) => {
  const error = await run(...args).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(UsageError);
  expect((error as Error).message).toMatch(message);
  expect((error as Error).message).not.toContain('\n');
});

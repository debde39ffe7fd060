import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import {
  decided,
  decisionList,
  dialectFrom,
  dialectNamed,
  type Dialect,
} from '../../reference/dialects.ts';
import { architectureNamed } from '../../synthetic/architectures/catalogue.ts';
import { architectureRecord, configOf } from '../../synthetic/architectures/record.ts';
import type { ArchitectureRecord } from '../../synthetic/experiments/results.ts';
import { worldDefaults } from '../../synthetic/worlds/presets.ts';
import {
  dialectOfRecord,
  isPublished,
  readDialect,
  requireBatchTopK,
} from '../../training/dialect-file.ts';
import { readSae } from '../../training/formats/sae.ts';
import { train } from '../../training/train.ts';
import { UsageError } from '../../training/usage-error.ts';
import { smallRuns, trainFor } from './small-run.ts';

const folder = mkdtempSync(join(tmpdir(), 'dialect-file-'));
const { settings, remove } = smallRuns();
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  remove();
});

function saved(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const attached = dialectFrom({
  name: 'mine',
  extends: 'saelens',
  auxk: { residual: 'attached' },
});

describe('readDialect', () => {
  test('takes a published name, or a file by its ending', async () => {
    expect(await readDialect('paper')).toBe(dialectNamed('paper'));
    const path = saved(
      'mine.json',
      '\ufeff{"name": "mine", "extends": "saelens", "auxk": {"residual": "attached"}}',
    );
    expect(await readDialect(path)).toEqual(attached);
    expect(isPublished(await readDialect(path))).toBe(false);
  });

  test.each([
    [
      'saelense',
      /^--dialect: expected one of .*, or a file whose name ends in \.json, got "saelense"$/,
    ],
    [join(folder, 'absent.json'), /^--dialect .*absent\.json: no such file/],
    [saved('text.json', '{\n"name": x}'), /^--dialect .*text\.json: not JSON \(/],
    [saved('list.json', '[]'), /list\.json: dialect: expected an object, got \[\]$/],
    [
      saved('nameless.json', '{"extends": "paper"}'),
      /nameless\.json: dialect\.name: expected a name/,
    ],
    [
      saved('taken.json', '{"name": "paper", "extends": "paper"}'),
      /dialect\.name: paper is a published/,
    ],
    [
      saved('value.json', '{"name": "a", "extends": "paper", "loss": {"overLevels": "max"}}'),
      /value\.json: dialect\.loss\.overLevels: expected "sum" or "mean", got "max"$/,
    ],
  ])('%s is refused in one line', async (given, message) => {
    const attempt = readDialect(given);
    await expect(attempt).rejects.toThrow(UsageError);
    await expect(attempt).rejects.toThrow(message);
  });
});

describe('training in one’s own dialect', () => {
  test('is recorded whole, so that the file is not needed to know what was done', async () => {
    const run = settings({ dialect: attached, steps: 8, thresholdStartStep: 1 });
    await train(run);
    const { config } = await readSae(run.out);
    expect(dialectOfRecord(config.dialect)).toEqual(attached);
    const { dialect } = JSON.parse(readFileSync(join(run.out, 'cfg.json'), 'utf8')) as {
      dialect: Record<string, unknown>;
    };
    expect(dialect).toMatchObject({ name: 'mine', extends: 'saelens' });
  });

  test('is not resumed with a changed file: the decision that changed is named', async () => {
    const run = settings({ dialect: attached, steps: 8, thresholdStartStep: 1 });
    await trainFor(3, run);
    for (const [changed, message] of [
      [
        { name: 'mine', extends: 'saelens' },
        /^dialect\.auxk\.residual "detached": differs from "attached" of the run in/,
      ],
      [{ name: 'other', extends: 'saelens' }, /^dialect "other": differs from "mine"/],
    ] as const) {
      const attempt = train({ ...run, dialect: dialectFrom(changed) });
      await expect(attempt).rejects.toThrow(UsageError);
      await expect(attempt).rejects.toThrow(message);
    }
    const published = train({ ...run, dialect: dialectNamed('saelens') });
    await expect(published).rejects.toThrow(/^dialect "saelens": differs from "mine"/);
    expect(await train(run)).toMatchObject({ status: 'finished' });
  });

  test('changes what is trained', async () => {
    const runs = [attached, dialectNamed('dictionary_learning')].map((dialect) =>
      settings({ dialect, steps: 8, thresholdStartStep: 1 }),
    );
    for (const run of runs) await train(run);
    const [own, published] = await Promise.all(runs.map(({ out }) => readSae(out)));
    expect([...own.W_enc]).not.toEqual([...published.W_enc]);
  });

  test.each(['nabeshima', 'bussmann', 'saelens_jumprelu', 'dictionary_learning_relu'])(
    '%s is refused, naming the decision, since a run would not keep what it needs',
    (name) => {
      const refused = (): void => requireBatchTopK(dialectNamed(name), 'train');
      expect(refused).toThrow(UsageError);
      expect(refused).toThrow(
        /^--dialect: \w+ decides \w+\.\w+ = ".*", which train does not support; it supports/,
      );
    },
  );

  test.each(['dictionary_learning', 'saelens', 'paper'])('%s is accepted', (name) => {
    expect(() => requireBatchTopK(dialectNamed(name), 'train')).not.toThrow();
  });
});

describe('an experiment', () => {
  const record = (dialect?: Dialect): ArchitectureRecord =>
    architectureRecord(
      architectureNamed('batchtopk'),
      { ...worldDefaults['tree'], d_in: 20, activation: 1, steps: 1000, batch: 64 },
      [1.12],
      dialect,
    );

  test('holds one’s own dialect whole, and trains in it', () => {
    const plain = JSON.parse(JSON.stringify(record(attached))) as ArchitectureRecord; // as it travels to a worker
    const { dialect } = configOf(plain, 20, 1.12);
    for (const { path } of decisionList) {
      expect(decided(dialect, path), path).toEqual(decided(attached, path));
    }
  });

  test('waits in the dialect’s unit before a latent counts as dead', () => {
    // A share of the run in tokens; in steps what the dialect says.
    expect(record(dialectNamed('dictionary_learning')).settings['deadAfter']).toBe(1280);
    expect(record(attached).settings['deadAfter']).toBe(attached.defaults.deadAfter);
  });
});

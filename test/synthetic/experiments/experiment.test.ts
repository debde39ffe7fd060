import { mkdtempSync, readFileSync, rmSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { architectureNamed } from '../../../synthetic/architectures/catalogue.ts';
import { architectureRecord } from '../../../synthetic/architectures/record.ts';
import { allCells, openJobs, runExperiment } from '../../../synthetic/experiments/experiment.ts';
import type { Cell } from '../../../synthetic/experiments/results.ts';
import {
  cellJobs,
  crossed,
  experimentSettings,
  paired,
} from '../../../synthetic/experiments/settings.ts';
import { openStore, readStores } from '../../../synthetic/experiments/store.ts';
import { resultsOf } from '../../../synthetic/experiments/summarise.ts';
import type { SynthParams } from '../../../synthetic/worlds/params.ts';
import { worldNamed } from '../../../synthetic/worlds/presets.ts';
import { UsageError } from '../../../training/usage-error.ts';

const sizes = {
  d_in: 20,
  d_sae: 20,
  prefixes: [8, 20],
  steps: 4,
  batch: 64,
  learningRate: 1e-2,
  activation: 1,
};
const slugs = ['batchtopk', 'matryoshka', 'matryoshka-random'];
const settings = experimentSettings({
  experiment: 'run',
  world: { name: 'tree', parameters: worldNamed('tree') },
  architectures: slugs.map((slug) => architectureRecord(architectureNamed(slug), sizes, [1.12])),
  kernels: Object.fromEntries(slugs.map((slug) => [slug, 'reference'])),
  runs: crossed([3], [0, 1]),
  evaluationSamples: 512,
  pairs: [{ treatment: 'matryoshka', baseline: 'batchtopk' }],
});

const folder = mkdtempSync(join(tmpdir(), 'experiment-'));
const jsonOf = (cells: ReadonlyMap<string, Cell>): string =>
  JSON.stringify(resultsOf(settings, allCells(settings, cells)!));
let whole: Map<string, Cell>;

beforeAll(async () => {
  whole = await runExperiment(settings, { threads: 2 });
});

describe('an experiment', () => {
  test('has a cell for each architecture, L0, world and seed, with keys of their own', () => {
    const jobs = cellJobs(settings);
    expect(jobs).toHaveLength(3 * 2);
    expect(new Set(jobs.map(({ key }) => key)).size).toBe(6);
    expect(paired([4, 7])).toEqual([
      { worldSeed: 4, seed: 4 },
      { worldSeed: 7, seed: 7 },
    ]);
  });

  test('gives the same results, bit for bit, on one thread as on two', async () => {
    expect(jsonOf(await runExperiment(settings, { threads: 1 }))).toBe(jsonOf(whole));
  });

  test('gives the same results with threads that draw rows ahead as without', async () => {
    const parameters: SynthParams = {
      ...(worldNamed('mini256') as SynthParams),
      name: 'blocks',
      rowsPerBlock: 50,
    };
    const architecture = architectureRecord(
      architectureNamed('batchtopk'),
      { ...sizes, d_in: 64 },
      [2],
    );
    const blocks = experimentSettings({
      ...settings,
      world: { name: 'blocks', parameters },
      architectures: [architecture],
      pairs: [],
    });
    const [none, two] = await Promise.all(
      [0, 2].map((rowThreads) => runExperiment(blocks, { threads: 1, rowThreads })),
    );
    expect(JSON.stringify([...two])).toBe(JSON.stringify([...none]));
  });

  test('has no dates or durations in its results', () => {
    expect(jsonOf(whole)).not.toMatch(/\d{4}-\d\d-\d\d|seconds|duration/);
  });

  test('put together from two shards is the whole, bit for bit', async () => {
    const folders = await Promise.all(
      [1, 2].map(async (i) => {
        const own = join(folder, `shard-${i}`);
        const store = await openStore(own, settings);
        await runExperiment(settings, {
          threads: 1,
          shard: { i, n: 2 },
          onCell: (job, cell, time) => store.keep(job, cell, time),
        });
        return own;
      }),
    );
    expect(readdirSync(join(folders[0], 'cells'))).toHaveLength(3);
    const merged = await readStores(folders);
    expect(merged.settings).toEqual(settings);
    expect(jsonOf(merged.cells)).toBe(jsonOf(whole));
  });

  test('goes on where it was ended, and comes to the same results', async () => {
    const own = join(folder, 'resumed');
    const first = await openStore(own, settings);
    const kept = cellJobs(settings).slice(0, 4);
    for (const job of kept) await first.keep(job, whole.get(job.key)!, undefined);
    const second = await openStore(own, settings);
    expect([...second.cells.keys()]).toEqual(kept.map(({ key }) => key));
    const open = openJobs(settings, { done: second.cells });
    expect(open).toHaveLength(2);
    const trained: string[] = [];
    const cells = await runExperiment(settings, {
      threads: 2,
      done: second.cells,
      onCell: (job) => void trained.push(job.key),
    });
    expect(trained.sort()).toEqual(open.map(({ key }) => key).sort());
    expect(jsonOf(cells)).toBe(jsonOf(whole));
  });

  test('refuses a folder of another experiment, naming the setting and both values', async () => {
    const own = join(folder, 'other');
    await openStore(own, settings);
    const other = { ...settings, evaluationSamples: 1024 };
    const opened = openStore(own, other);
    await expect(opened).rejects.toThrow('evaluationSamples is 512 there and 1024 here');
    await expect(opened).rejects.toBeInstanceOf(UsageError);
    await expect(openStore(own, settings)).resolves.toBeDefined();
    await expect(readStores([join(folder, 'nobody')])).rejects.toThrow('holds no settings.json');
  });

  test('keeps a cell as it was, and trains one anew whose file is gone', async () => {
    const own = join(folder, 'kept');
    const [job] = cellJobs(settings);
    await (await openStore(own, settings)).keep(job, whole.get(job.key)!, undefined);
    const path = join(own, 'cells', `${job.key}.json`);
    expect(readFileSync(path, 'utf8')).toBe(`${JSON.stringify(whole.get(job.key), null, 1)}\n`);
    rmSync(path);
    expect((await openStore(own, settings)).cells.size).toBe(0);
  });

  test('pairs differences by world and seed, and counts cells away from their L0', () => {
    const results = resultsOf(settings, allCells(settings, whole)!);
    const [comparison] = results.comparisons;
    const of = (architecture: string, seed: number): number =>
      results.cells.find((cell) => cell.architecture === architecture && cell.seed === seed)!
        .metrics['mcc']!;
    expect(comparison.differences['mcc']?.values).toEqual(
      [0, 1].map((seed) => of('Matryoshka BatchTopK', seed) - of('BatchTopK', seed)),
    );
    for (const summary of results.summaries) {
      const away = results.cells.filter(
        ({ architecture, metrics }) =>
          architecture === summary.architecture && Math.abs(metrics['l0']! / 1.12 - 1) > 0.03,
      );
      expect(summary.unmatchedL0).toBe(away.length);
    }
  });
});

import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { dialectFrom, dialectNamed, type Dialect } from '../../reference/dialects.ts';
import { foldNormFactor } from '../../reference/input-norm.ts';
import { matrix } from '../../reference/matrix.ts';
import { openShards, rowsInOrder } from '../../training/activation-shards.ts';
import { decodeSafetensors, encodeSafetensors } from '../../training/formats/safetensors.ts';
import { readSae, saeTensors } from '../../training/formats/sae.ts';
import { measureNormFactor } from '../../training/norm-factor.ts';
import { train, type Progress } from '../../training/train.ts';
import { UsageError } from '../../training/usage-error.ts';
import { madeRows } from './made-activations.ts';
import { smallRuns, trainFor, written } from './small-run.ts';

const { folder, shards, heldout, settings, remove } = smallRuns();
afterAll(remove);

describe.each(['reference', 'wasm', 'threads'] as const)('on %s', (backend) => {
  test('a run stopped and resumed, twice, ends in the same bits as one that was not', async () => {
    const whole = settings({ backend });
    const outcome = await train(whole);
    expect(outcome.status).toBe('finished');
    const pieces = settings({ backend });
    expect(await trainFor(13, pieces)).toMatchObject({ status: 'interrupted', step: 13 });
    expect(existsSync(join(pieces.out, 'cfg.json'))).toBe(false);
    expect(await trainFor(30, pieces)).toMatchObject({ status: 'interrupted', step: 43 });
    const resumed = await train(pieces);
    expect(resumed.evaluations).toEqual(outcome.evaluations);
    expect(written(pieces)).toEqual(written(whole));
    expect(readdirSync(pieces.out).sort()).toEqual([
      'cfg.json',
      'checkpoint.safetensors',
      'sae.safetensors',
    ]);
  });

  test('explained variance on held-out rows is high by both operators, and L0 is about k', async () => {
    const { evaluations } = await train(settings({ backend, steps: 150, thresholdStartStep: 120 }));
    for (const { explainedVariance, l0, rows } of Object.values(evaluations!)) {
      expect(explainedVariance).toBeGreaterThan(0.6);
      expect(Math.abs(l0 - 3)).toBeLessThan(1);
      expect(rows).toBe(300);
    }
    expect(evaluations!.batch.l0).toBeLessThanOrEqual(3);
  });
});

test('the seed and nothing else decides the result', async () => {
  const [one, same, other] = [settings(), settings(), settings({ seed: 8 })];
  for (const run of [one, same, other]) await train(run);
  expect(written(same)).toEqual(written(one));
  expect(written(other)['sae.safetensors']).not.toBe(written(one)['sae.safetensors']);
});

test('a finished run trained on for more steps ends where a longer run does', async () => {
  const long = settings({ steps: 80, checkpointEvery: 7 });
  await train(long);
  const grown = settings({ steps: 60, checkpointEvery: 9 });
  await train(grown);
  await train({ ...grown, steps: 80 });
  expect(written(grown)).toEqual(written(long));
});

test('a finished run given again changes nothing and says so', async () => {
  const run = settings();
  await train(run);
  const before = written(run);
  const notes: string[] = [];
  const steps: Progress[] = [];
  await train(run, { onNote: (line) => notes.push(line), onStep: (step) => steps.push(step) });
  expect(notes.join('\n')).toMatch(/at step 60 of 60: nothing is left to train/);
  expect(steps).toEqual([]);
  expect(written(run)).toEqual(before);
});

test('the SAE read back has the shapes of its cfg.json, unit decoder rows and a positive threshold', async () => {
  const run = settings();
  await train(run);
  const { config, W_enc, b_enc, W_dec, b_dec, threshold } = await readSae(run.out);
  expect(config).toMatchObject({
    architecture: 'matryoshka_batchtopk',
    d_in: 16,
    d_sae: 48,
    k: 3,
    prefixes: [8, 24, 48],
  });
  expect([W_enc.length, b_enc.length, W_dec.length, b_dec.length]).toEqual([768, 48, 768, 16]);
  for (let j = 0; j < 48; j++) {
    expect(Math.hypot(...W_dec.subarray(j * 16, (j + 1) * 16))).toBeCloseTo(1, 5);
  }
  expect(threshold).toBeGreaterThan(0);
  expect(Math.fround(config.threshold)).toBe(threshold);
  expect(config.training.sources.map(({ file, rows }) => [file, rows])).toEqual([
    ['a.safetensors', 500],
    ['b.safetensors', 500],
  ]);
});

test.each<[string, Dialect]>([
  ['dictionary_learning', dialectNamed('dictionary_learning')],
  ['saelens, whose decoder norms are free and folded in', dialectNamed('saelens')],
  ['paper', dialectNamed('paper')],
  [
    'one of one’s own, that folds the input scale into weights',
    dialectFrom({ name: 'mine', extends: 'paper', input: { folds: 'into-weights' } }),
  ],
])(
  'the finished SAE, used as its file says on raw activations, gives the reported explained variance: %s',
  async (_name, dialect) => {
    const run = settings({ dialect });
    const { evaluations } = await train(run);
    const sae = await readSae(run.out);
    const { d_in, d_sae } = sae.config;
    const opened = await openShards([heldout], '--heldout');
    let error = 0;
    let active = 0;
    const all: number[][] = [];
    for await (const { x } of rowsInOrder(opened, 1)) {
      all.push([...x]);
      const decoded = [...sae.b_dec];
      for (let j = 0; j < d_sae; j++) {
        let act = sae.b_enc[j];
        for (let t = 0; t < d_in; t++) act += (x[t] - sae.b_dec[t]) * sae.W_enc[t * d_sae + j];
        if (!(act > 0 && act > sae.threshold)) continue;
        active++;
        for (let t = 0; t < d_in; t++) decoded[t] += act * sae.W_dec[j * d_in + t];
      }
      for (let t = 0; t < d_in; t++) error += (x[t] - decoded[t]) ** 2;
    }
    const mean = Array.from({ length: d_in }, (_, t) => all.reduce((s, x) => s + x[t], 0) / 300);
    const spread = all.reduce((s, x) => s + x.reduce((r, v, t) => r + (v - mean[t]) ** 2, 0), 0);
    expect(1 - error / spread).toBeCloseTo(evaluations!.threshold.explainedVariance, 4);
    expect(active / 300).toBeCloseTo(evaluations!.threshold.l0, 1);
    await opened.close();
  },
);

test('the input normalisation is folded as foldNormFactor folds it, and a threshold never set stays negative', async () => {
  const values = {
    W_enc: Float64Array.of(1, 2),
    b_enc: Float64Array.of(3),
    W_dec: Float64Array.of(5, 6),
    b_dec: Float64Array.of(7, 8),
    threshold: Float64Array.of(0),
  };
  for (const threshold of [0.25, -1]) {
    values.threshold[0] = threshold;
    const tensors = saeTensors(
      Object.entries(values).map(([name, data]) => ({
        name,
        dtype: 'F64',
        shape: [data.length],
        read: () => data,
      })),
      2.5,
    );
    const got = new Map<string, number[]>();
    for (const tensor of tensors)
      got.set(tensor.name, [...((await tensor.read()) as Float32Array)]);
    const expected = foldNormFactor(
      {
        W_enc: matrix(2, 1, values.W_enc),
        b_enc: values.b_enc,
        W_dec: matrix(1, 2, values.W_dec),
        b_dec: values.b_dec,
      },
      threshold,
      2.5,
    );
    expect(got.get('W_enc')).toEqual([...expected.params.W_enc.data]);
    expect(got.get('b_enc')).toEqual([...expected.params.b_enc]);
    expect(got.get('W_dec')).toEqual([...expected.params.W_dec.data]);
    expect(got.get('b_dec')).toEqual([...expected.params.b_dec]);
    expect(got.get('threshold')).toEqual([expected.threshold]);
  }
});

test('scaling all activations scales biases and threshold alike and leaves the weights, when inputs are normalised', async () => {
  const scaled = join(folder, 'scaled.safetensors');
  const plain = join(folder, 'plain.safetensors');
  for (const [path, factor] of [
    [plain, 1],
    [scaled, 1024],
  ] as const) {
    const data = madeRows(500, 3).map((value) => value * factor);
    const tensor = { name: 'activations', dtype: 'F32', shape: [500, 16], data } as const;
    writeFileSync(path, encodeSafetensors([tensor]));
  }
  const runs = [plain, scaled].map((path) => settings({ activations: [path], heldout: [] }));
  for (const run of runs) expect((await train(run)).evaluations).toBeNull();
  const [one, large] = await Promise.all(runs.map(({ out }) => readSae(out)));
  expect(large.W_enc).toEqual(one.W_enc);
  expect(large.W_dec).toEqual(one.W_dec);
  expect(large.b_dec).toEqual(one.b_dec.map((value) => value * 1024));
  expect(large.threshold).toBe(one.threshold * 1024);
  expect(one.config.metrics).toBeNull();
});

test('the norm factor is √(mean ‖x‖²) of the batches it reads', async () => {
  const opened = await openShards(shards, '--activations');
  const options = { seed: 1, batchRows: 1000 };
  let squares = 0;
  for await (const { x } of rowsInOrder(opened, 100))
    for (const value of x) squares += value * value;
  expect(await measureNormFactor(opened, options)).toBeCloseTo(Math.sqrt(squares / 1000), 8);
  await opened.close();
});

test.each(['reference', 'wasm', 'threads'] as const)(
  'a run that diverges on %s stops, naming the step and the rate, and keeps its checkpoint finite',
  async (backend) => {
    const run = settings({ backend, learningRate: 1e38, warmupSteps: 0, checkpointEvery: 1 });
    const attempt = train(run);
    await expect(attempt).rejects.toThrow(UsageError);
    await expect(attempt).rejects.toThrow(/step.* \d.*diverged.*lower --lr/);
    expect(readdirSync(run.out).filter((name) => name.startsWith('sae'))).toEqual([]);
    const path = join(run.out, 'checkpoint.safetensors');
    if (!existsSync(path)) return;
    for (const { data } of decodeSafetensors(readFileSync(path), path).tensors.values()) {
      expect((data as Float64Array).every(Number.isFinite)).toBe(true);
    }
  },
);

test('a first threshold update without any latent stops the run, naming the step', async () => {
  const run = settings({ k: 0.01, thresholdStartStep: 0 });
  await expect(train(run)).rejects.toThrow(
    /^after \d+ of 60 steps: threshold: expected a positive latent for its first update, got none/,
  );
});

test('progress counts every step once and reports finite figures', async () => {
  const seen: Progress[] = [];
  await train(settings({ steps: 12, thresholdStartStep: 3 }), { onStep: (p) => seen.push(p) });
  expect(seen.map(({ step }) => step)).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
  expect(seen.every(({ report, steps }) => Number.isFinite(report.loss) && steps === 12)).toBe(
    true,
  );
  expect(seen[11].secondsLeft).toBe(0);
});

import { copyFileSync, existsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { RunSettings } from '../../training/run-settings.ts';
import { train } from '../../training/train.ts';
import { UsageError } from '../../training/usage-error.ts';
import { writeShard } from './made-activations.ts';
import { smallRuns, trainFor, written } from './small-run.ts';

const { folder, shards, heldout, settings, remove } = smallRuns();
afterAll(remove);

describe('a checkpoint', () => {
  test('of another run is refused, naming the field and both values', async () => {
    const run = settings({ steps: 20, thresholdStartStep: 5 });
    await trainFor(3, run);
    const cases: [Partial<RunSettings>, RegExp][] = [
      [
        { k: 4 },
        /^--k 4: differs from 3 of the run in .*: give the same value, choose another --out, or start over with --no-resume$/,
      ],
      [{ seed: 8 }, /^--seed 8: differs from 7/],
      [{ learningRate: 0.02 }, /^--lr 0.02: differs from 0.01/],
      [{ batchRows: 32 }, /^--batch 32: differs from 64/],
      [{ prefixes: [8, 48] }, /^--prefixes \[8,48\]: differs from \[8,24,48\]/],
      [{ d_sae: 64, prefixes: [64] }, /^--d-sae 64: differs from 48/],
      [{ normalise: false }, /^--normalise false: differs from true/],
      [{ backend: 'wasm' }, /^--backend "wasm": differs from "reference"/],
      [{ decayStart: 10 }, /^--decay-start 10: differs from null/],
      [
        { activations: [shards[0]] },
        /^--activations \["activations sha256:.*differs from \[.*,.*\]/,
      ],
      [{ thresholdStartStep: 6 }, /^--threshold-start 6: differs from 5/],
    ];
    for (const [change, message] of cases) {
      const attempt = train({ ...run, ...change });
      await expect(attempt).rejects.toThrow(UsageError);
      await expect(attempt).rejects.toThrow(message);
    }
    expect(await train(run)).toMatchObject({ status: 'finished' });
  });

  test('with more steps than are asked for is refused', async () => {
    const run = settings({ steps: 20, thresholdStartStep: 5 });
    await train(run);
    await expect(train({ ...run, steps: 10 })).rejects.toThrow(
      /^--steps 10: the run in .* has done 20/,
    );
  });

  test('is known by the content of the shards, not by their paths', async () => {
    const run = settings();
    await trainFor(3, run);
    const moved = shards.map((path, i) => {
      const to = join(folder, `moved-${i}.safetensors`);
      copyFileSync(path, to);
      return to;
    });
    expect(await train({ ...run, activations: moved })).toMatchObject({ status: 'finished' });
  });

  test('is demanded by resume "required" and replaced by "never"', async () => {
    const run = settings();
    await expect(train({ ...run, resume: 'required' })).rejects.toThrow(
      /--resume: .* does not exist/,
    );
    await trainFor(3, run);
    await train({ ...run, resume: 'never', seed: 9 });
    const fresh = settings({ seed: 9 });
    await train(fresh);
    expect(written(run)).toEqual(written(fresh));
  });

  test('that is damaged is refused by name', async () => {
    const run = settings();
    await trainFor(3, run);
    const path = join(run.out, 'checkpoint.safetensors');
    truncateSync(path, 1000);
    await expect(train(run)).rejects.toThrow(/checkpoint.safetensors: truncated/);
    copyFileSync(heldout, path);
    await expect(train(run)).rejects.toThrow(/not a checkpoint of this version \(format "none"/);
    writeFileSync(path, 'text, and more text');
    await expect(train(run)).rejects.toThrow(UsageError);
  });
});

describe('refused before anything is computed', () => {
  const cases: [string, Partial<RunSettings>, RegExp][] = [
    ['k above d_sae', { k: 49 }, /^k: expected 0 <= k <= d_sae = 48, got 49/],
    [
      'prefixes that fall',
      { prefixes: [24, 8, 48] },
      /^prefixes: .*above the one before \(24\), got 8/,
    ],
    [
      'prefixes that end elsewhere',
      { prefixes: [8, 40] },
      /^prefixes: expected the last to be d_sae = 48, got 40/,
    ],
    [
      'fractions that do not add up',
      { prefixes: undefined, fractions: [0.5, 0.4] },
      /sum of 1, got 0.9/,
    ],
    ['prefixes and fractions', { fractions: [0.5, 0.5] }, /--prefixes and --fractions: give one/],
    [
      'prefixes of a plain SAE',
      { architecture: 'batchtopk' },
      /^--prefixes: a batchtopk SAE has one prefix/,
    ],
    ['steps and tokens', { tokens: 100 }, /--steps 60 and --tokens 100: give one/],
    [
      'a batch larger than the data',
      { batchRows: 1001 },
      /--batch 1001: the activations hold only 1000 rows/,
    ],
    [
      'a threshold that would never be set',
      { thresholdStartStep: 59 },
      /--threshold-start 59: the run has only 60 steps/,
    ],
    ['a decay after the end', { decayStart: 60 }, /^decayStart: expected a step before the last/],
    ['no shard', { activations: [] }, /--activations: expected at least one file/],
    [
      'a missing shard',
      { activations: ['/none.safetensors'] },
      /--activations \/none.safetensors: no such file/,
    ],
    [
      'a missing held-out shard',
      { heldout: ['/none.safetensors'] },
      /--heldout \/none.safetensors: no such file/,
    ],
  ];
  test.each(cases)('%s', async (_, change, message) => {
    const run = settings(change);
    await expect(train(run)).rejects.toThrow(UsageError);
    await expect(train(run)).rejects.toThrow(message);
    expect(existsSync(run.out)).toBe(false);
  });

  test('held-out activations of another width', async () => {
    const path = writeShard(join(folder, 'wide.safetensors'), 10, 1, 8);
    await expect(train(settings({ heldout: [path] }))).rejects.toThrow(
      `--heldout ${path}: d_in is 8, but --activations have d_in 16`,
    );
  });
});
